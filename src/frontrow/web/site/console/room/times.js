// The times at which a line opens and closes, in the venue's time zone.

import { h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sure } from "../dialogs.js";
import { clearFaults, showFaults } from "../field_errors.js";
import { onSubmit } from "../submissions.js";
import { showConflict } from "./line_settings.js";
import { VenueTimeField } from "./venue_time_field.js";

const TIMES = ["opens_at", "closes_at"];
const MINUTE_MS = 60_000; // what a field shows

/** The form for the times of one line. `settings`: its LineSettings. `changed`: called after a change. */
export class TimesForm {
  constructor(concert, settings, changed) {
    this.zone = concert.timezone;
    this.settings = settings;
    this.changed = changed;
    this.shown = TIMES.map(() => null);
    this.fields = TIMES.map((name) => new VenueTimeField(name, () => this.zone, { "aria-describedby": `${name}-help` }));
    const apply = h("button", { type: "submit" }, t("times.apply"));
    this.form = h("form", { class: "stack" },
      h("div", { class: "fields" }, this.fields.map(({ input, note }) =>
        h("div", { class: "field", "data-pointer": `/${input.id}` },
          h("label", { for: input.id }, t(`times.${input.id}`)), input, note,
          h("p", { class: "soft small", id: `${input.id}-help` }, t(`times.${input.id}.help`))))),
      h("p", {}, apply));
    onSubmit(this.form, apply, () => this.apply());
    this.element = h("section", { class: "card stack", "aria-labelledby": "times" },
      h("h2", { id: "times" }, t("times")),
      h("p", { class: "soft small" }, t("times.zone", { zone: this.zone })),
      this.form);
    settings.watch((stored) => this.store(stored));
  }

  /** Shows the stored times, except in fields that the operator has changed. */
  store(stored) {
    const unchanged = this.fields.map((field, index) => field.read() === this.shown[index]);
    this.known = TIMES.map((name) => stored[name]);
    this.shown = this.known.map((instant) => instant && new Date(Math.floor(Date.parse(instant) / MINUTE_MS) * MINUTE_MS).toISOString());
    for (const [index, field] of this.fields.entries()) {
      if (unchanged[index]) field.show(this.shown[index]);
    }
  }

  /** The times as the API takes them. An unchanged one keeps its microseconds. */
  read() {
    const times = this.fields.map((field) => field.read()).map((time, index) =>
      time === this.shown[index] ? this.known[index] : time);
    return Object.fromEntries(TIMES.map((name, index) => [name, times[index]]));
  }

  async apply() {
    clearFaults(this.form);
    const times = this.read();
    if (!(await sure({ title: t("times.sure"), text: t("times.meaning"), action: t("times.apply"), kind: "primary" }))) return;
    try {
      await this.settings.change(times);
      await this.changed();
      notify(t("times.done"), "good");
    } catch (error) {
      if (error.changes) showConflict(this.form, error.changes);
      else showFaults(this.form, error);
    }
  }
}
