// The settings of a line as this page knows them, with their version, so that no change is lost.

import { h } from "../../shared/dom.js";
import { moment, t } from "../../shared/i18n.js";
import { clearFaults } from "../field_errors.js";
import { number } from "../format.js";
import { operate } from "../operator.js";

const TIMES = ["opens_at", "closes_at"];

/** The settings of one line. `answer`: what GET returned. */
export class LineSettings {
  /**
   * @param {Api.ListedConcert} concert
   * @param {{ body: Api.RoomSettings, etag: string | null }} answer
   */
  constructor(concert, answer) {
    this.path = `/concerts/${concert.concert_id}/waiting-room`;
    this.zone = concert.timezone;
    this.listeners = [];
    this.store(answer);
  }

  /** Calls back with the stored settings, now and whenever they change. */
  watch(listener) {
    this.listeners.push(listener);
    listener(this.stored);
  }

  store({ body, etag }) {
    this.stored = body;
    this.etag = etag;
    for (const listener of this.listeners) listener(body);
  }

  /**
   * Changes some members. If another operator has changed the settings meanwhile, reads them and throws the refusal
   * with `changes`: a sentence for each member that differs.
   */
  async change(members) {
    const wanted = { ...this.stored, ...members };
    try {
      this.store(await operate("PUT", this.path, { body: wanted, ifMatch: this.etag }));
    } catch (error) {
      if (error.code !== "version_conflict") throw error;
      const before = this.stored;
      this.store(await operate("GET", this.path));
      if (!different(wanted, this.stored).length) return; // this change was made, but its answer was lost
      error.changes = different(before, this.stored).map((name) => t("settings.change", {
        name: t(`settings.${name}`), before: this.text(name, before[name]), now: this.text(name, this.stored[name]),
      }));
      throw error;
    }
  }

  text(name, value) {
    if (value === null) return t("settings.none");
    if (TIMES.includes(name)) return moment(value, this.zone, { dateStyle: "medium", timeStyle: "short" });
    if (name === "order") return t(`settings.order.${value}`);
    if (name !== "policy") return number(value);
    const { kind, ...limits } = value;
    const facts = Object.entries(limits).map(([field, limit]) => `${t(`policy.field.${field}`)}: ${number(limit)}`);
    return [t(`policy.${kind}`), ...facts].join(", ");
  }
}

/** Shows at the top of a form what another operator has changed. The input stays. */
export function showConflict(form, changes) {
  clearFaults(form);
  const conflict = h("div", { class: "wrong", role: "alert", tabIndex: -1 },
    h("p", {}, t("settings.conflict")),
    h("ul", {}, changes.map((change) => h("li", {}, change))));
  form.prepend(conflict);
  conflict.focus();
}

function different(one, other) {
  return Object.keys(one).filter((name) => canonical(name, one[name]) !== canonical(name, other[name]));
}

function canonical(name, value) {
  if (TIMES.includes(name) && value !== null) return String(Date.parse(value));
  return JSON.stringify(name === "policy" ? Object.entries(value).sort() : value);
}
