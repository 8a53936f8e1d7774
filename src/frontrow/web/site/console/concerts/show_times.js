// The starts of a new concert's shows.

import { button, h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { localAt } from "../room/venue_time.js";
import { VenueTimeField } from "../room/venue_time_field.js";

const DAY_MS = 86_400_000;

/** A list of times that grows and shrinks. `zone`: returns the venue's present time zone. */
export class ShowTimes {
  constructor(zone) {
    this.zone = zone;
    /** @type {Map<Element, VenueTimeField>} */
    this.times = new Map();
    this.list = h("ol", { class: "stack plain-list" });
    this.element = h("fieldset", { class: "card stack", "data-pointer": "/shows" }, h("legend", {}, t("new.shows")),
      h("p", { class: "soft small" }, t("new.shows.help")), this.list,
      h("p", {}, button(t("new.shows.add"), () => this.add(true))));
    this.add(false);
  }

  add(takesFocus) {
    const before = this.list.lastElementChild?.querySelector("input").value;
    const next = before ? Date.parse(`${before}Z`) + DAY_MS : Math.ceil(Date.now() / DAY_MS + 30) * DAY_MS + 19.5 * 3_600_000;
    const id = `show-${Math.random().toString(36).slice(2, 8)}`;
    const time = new VenueTimeField(id, this.zone, { required: true, value: localAt(next, "UTC") });
    const item = h("li", { class: "row" },
      h("div", { class: "field" }, h("label", { for: id }, t("new.show")), time.input, time.note),
      button(t("house.remove"), () => this.remove(item), { class: "plain" }));
    this.times.set(item, time);
    this.list.append(item);
    this.number();
    time.check();
    if (takesFocus) time.input.focus();
  }

  remove(item) {
    if (this.list.children.length > 1) item.remove();
    this.number();
    this.list.querySelector("input").focus();
  }

  number() {
    for (const [index, item] of [...this.list.children].entries()) {
      item.firstElementChild.setAttribute("data-pointer", `/shows/${index}/starts_at`);
    }
  }

  fields() {
    return [...this.list.children].map((item) => this.times.get(item));
  }
}
