// The times of a line: when it opens and closes, by the clocks at the venue.

import { busy, h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sure } from "../dialogs.js";
import { clearFaults, showFaults } from "../field_errors.js";
import { operate } from "../operator.js";
import { instantAt, localAt } from "./venue_time.js";

const TIMES = ["opens_at", "closes_at"];

/** The form for the times of one line. `changed`: called after a change. */
export class TimesForm {
  constructor(concert, settings, changed) {
    Object.assign(this, { zone: concert.timezone, changed });
    this.path = `/concerts/${concert.concert_id}/waiting-room`;
    this.inputs = TIMES.map((name) => h("input", { id: name, type: "datetime-local", "aria-describedby": `${name}-help` }));
    const apply = h("button", { type: "submit" }, t("times.apply"));
    this.form = h("form", { class: "stack" },
      h("div", { class: "fields" }, this.inputs.map((input) =>
        h("div", { class: "field", "data-pointer": `/${input.id}` },
          h("label", { for: input.id }, t(`times.${input.id}`)), input,
          h("p", { class: "soft small", id: `${input.id}-help` }, t(`times.${input.id}.help`))))),
      h("p", {}, apply));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      clearFaults(this.form);
      busy(apply, () => this.apply());
    });
    this.element = h("section", { class: "card stack", "aria-labelledby": "times" },
      h("h2", { id: "times" }, t("times")),
      h("p", { class: "soft small" }, t("times.zone", { zone: this.zone })),
      this.form);
    this.show(settings);
  }

  show(settings) {
    this.known = TIMES.map((name) => settings[name]);
    this.shown = this.known.map((instant) => (instant ? localAt(Date.parse(instant), this.zone) : ""));
    for (const [index, input] of this.inputs.entries()) input.value = this.shown[index];
  }

  /** The times as the API takes them. One that was left alone is still the same, to the microsecond. */
  read() {
    const told = this.inputs.map(({ value }, index) =>
      value === this.shown[index] ? this.known[index] : value ? instantAt(value, this.zone) : null);
    return Object.fromEntries(TIMES.map((name, index) => [name, told[index]]));
  }

  async apply() {
    const times = this.read();
    if (!(await sure({ title: t("times.sure"), text: t("times.meaning"), action: t("times.apply"), kind: "primary" }))) return;
    try {
      // The rest stays as it is by now, whoever changed it meanwhile.
      const { body: settings } = await operate("GET", this.path);
      const { body: stands } = await operate("PUT", this.path, { body: { ...settings, ...times } });
      this.show(stands);
      await this.changed();
      notify(t("times.done"), "good");
    } catch (error) {
      showFaults(this.form, error);
    }
  }
}
