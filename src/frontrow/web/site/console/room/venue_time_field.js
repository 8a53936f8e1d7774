// A field for a local time at the venue. Times that the clocks there skip or show twice are handled where they are typed.

import { h } from "../../shared/dom.js";
import { language, t } from "../../shared/i18n.js";
import { instantsAt, isZone, localAt } from "./venue_time.js";

const YEARS = { first: 1970, last: 9000 }; // the server's

/** The field's input, and the note below it: an error, or the question which of two moments is meant. */
export class VenueTimeField {
  /**
   * @param {string} id
   * @param {() => string} zone returns the venue's present time zone
   * @param {Properties<"input">} properties
   */
  constructor(id, zone, properties = {}) {
    this.zone = zone;
    this.input = h("input", { id, type: "datetime-local", ...properties });
    this.which = h("select", { id: `${id}-which`, required: true, "aria-label": t("time.which") });
    this.note = h("div", { class: "note stack", "aria-live": "polite" });
    this.asked = ""; // the time and zone of the question
    for (const event of ["input", "blur"]) this.input.addEventListener(event, () => this.check());
  }

  /** Checks the present input, also after another zone was entered. Returns the moments that it may mean. */
  check() {
    const { value } = this.input;
    const zone = this.zone();
    const instants = value && isZone(zone) ? instantsAt(value, zone) : [];
    const fault = this.fault(value, isZone(zone) ? instants : null);
    this.input.setCustomValidity(fault);
    // While the year is typed it passes 0002, 0020 and 0202.
    const isTyped = document.activeElement === this.input && !isYear(value);
    if (instants.length > 1) this.ask(value, zone, instants);
    else this.note.replaceChildren(...(fault && !isTyped ? [h("p", { class: "wrong" }, fault)] : []));
    return instants;
  }

  fault(value, instants) {
    if (!value) return "";
    if (!isYear(value)) return t("fault: it must be in the years 1970 to 9000");
    return instants?.length === 0 ? t("time.skipped") : "";
  }

  ask(value, zone, instants) {
    const question = `${value} ${zone}`;
    if (this.asked !== question || !this.note.contains(this.which)) {
      this.asked = question;
      this.which.replaceChildren(h("option", { value: "" }, t("time.which")),
        ...instants.map((instant, index) => h("option", { value: String(instant) }, t(`time.which.${index}`, { time: withOffset(instant, zone) }))));
      this.note.replaceChildren(h("p", {}, t("time.twice")), this.which);
    }
  }

  /** Shows a moment, of whole minutes; null: none. */
  show(instant) {
    this.input.value = instant ? localAt(Date.parse(instant), this.zone()) : "";
    this.check();
    if (this.note.contains(this.which)) this.which.value = String(Date.parse(instant));
  }

  /** The moment as the API takes it; null without an input. */
  read() {
    const { value } = this.input;
    const [instant = Date.parse(`${value}Z`)] = this.check();
    if (!value) return null;
    return new Date(this.note.contains(this.which) ? Number(this.which.value) : instant).toISOString();
  }
}

function isYear(value) {
  const year = Number(value.split("-")[0]);
  return !value || (year >= YEARS.first && year <= YEARS.last);
}

function withOffset(instant, timeZone) {
  const options = /** @type {const} */ ({ timeZone, hour: "numeric", minute: "2-digit", timeZoneName: "longOffset" });
  return new Intl.DateTimeFormat(language, options).format(instant);
}
