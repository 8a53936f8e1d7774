// Controls of a line: pause, resume, change the policy. Each is explained before it takes effect.

import { button, h, show } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { sure } from "../dialogs.js";
import { clearFaults, showFaults } from "../field_errors.js";
import { number } from "../format.js";
import { operate } from "../operator.js";
import { showConflict } from "./line_settings.js";
import { PolicyForm } from "./policy_form.js";
import { focusLater, onSubmit } from "../submissions.js";

/** The buttons and the form of one line. `settings`: its LineSettings. `changed`: called after a change. */
export class Controls {
  constructor(concert, settings, changed) {
    this.settings = settings;
    this.changed = changed;
    this.waiting = 0;
    this.path = `/concerts/${concert.concert_id}/waiting-room`;
    this.pausing = button(t("pause"), () => this.pause(), { class: "danger" });
    this.resuming = button(t("resume"), () => this.resume(), { class: "primary" });
    this.policy = new PolicyForm(settings.stored.policy);
    settings.watch(({ policy }) => this.policy.store(policy));
    const apply = h("button", { type: "submit" }, t("policy.apply"));
    this.form = h("form", { class: "stack" }, this.policy.element, h("p", {}, apply));
    onSubmit(this.form, apply, () => this.apply());
    this.element = h("section", { class: "card stack", "aria-labelledby": "controls" },
      h("h2", { id: "controls" }, t("controls")),
      h("p", { class: "soft small" }, t("pause.meaning")),
      h("p", { class: "row" }, this.pausing, this.resuming),
      this.form);
  }

  /** Shows the controls that this state allows. */
  showState(line) {
    this.waiting = line.waiting;
    show(this.pausing, line.state !== "paused" && line.state !== "closed");
    show(this.resuming, line.state === "paused");
  }

  async pause() {
    const wanted = await sure({ title: t("pause.sure"), text: t("pause.meaning"), action: t("pause") });
    if (wanted) await this.post("pause", t("pause.done"));
  }

  async resume() {
    await this.post("resume", t("resume.done"));
  }

  async post(what, done) {
    const focus = focusLater();
    try {
      await operate("POST", `${this.path}/${what}`);
      await this.changed();
      notify(done, "good");
      focus(what === "pause" ? this.resuming : this.pausing);
    } catch (error) {
      notify(sentence(error), "bad");
    }
  }

  async apply() {
    clearFaults(this.form);
    const policy = this.policy.read();
    const opens = policy.kind === "open";
    const text = [t(`policy.${policy.kind}.meaning`), t("policy.stays")];
    if (opens && this.waiting) text.unshift(t("policy.lets_all_in", { count: this.waiting, n: number(this.waiting) }));
    if (!(await sure({ title: t("policy.sure"), text, action: t("policy.apply"), kind: opens ? "danger" : "primary" }))) return;
    try {
      await this.settings.change({ policy });
      await this.changed();
      notify(t("policy.done"), "good");
    } catch (error) {
      if (error.changes) showConflict(this.form, error.changes);
      else showFaults(this.form, error);
    }
  }
}
