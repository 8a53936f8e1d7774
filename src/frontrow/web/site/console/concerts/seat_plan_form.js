// The form for the seats of a new concert, with a picture of them.

import { button, h } from "../../shared/dom.js";
import { money, t } from "../../shared/i18n.js";
import { FREE } from "../../fan/seats/model.js";
import { SeatMap } from "../../fan/seats/map.js";
import { number } from "../format.js";

const LARGEST_SHOW = 100_000;

/** Sections: name, price, rows, seats per row. `currency`: returns the present one. */
export class HouseForm {
  constructor(currency, signal) {
    this.currency = currency;
    this.list = h("ol", { class: "stack plain-list" });
    this.summary = h("p", { role: "status" });
    this.model = { sections: [], stateOf: () => FREE };
    this.map = new SeatMap(this.model, new Set(), { press() {}, look() {}, signal });
    this.map.element.setAttribute("aria-describedby", "house-summary");
    this.summary.id = "house-summary";
    this.element = h("fieldset", { class: "card stack", "data-pointer": "/sections" },
      h("legend", {}, t("house")), this.list,
      h("p", {}, button(t("house.add"), () => this.add())),
      h("h3", {}, t("house.preview")), this.summary, this.map.element);
    this.element.addEventListener("input", () => this.preview());
    this.add({ name: t("house.first"), price: "", rows: 10, seats: 20 });
  }

  add({ name = "", price = "", rows = 1, seats = 10 } = {}) {
    const item = h("li", { class: "fields" });
    const field = (key, properties) => {
      const id = `section-${key}-${Math.random().toString(36).slice(2, 8)}`;
      return h("div", { class: "field", "data-key": key },
        h("label", { for: id }, t(`house.${key}`)), h("input", { id, required: true, ...properties }));
    };
    item.append(
      field("name", { value: name, maxLength: 100 }),
      field("price", { value: price, type: "number", min: 0, step: "any", inputMode: "decimal" }),
      field("rows", { value: rows, type: "number", min: 1, max: LARGEST_SHOW }),
      field("seats_per_row", { value: seats, type: "number", min: 1, max: LARGEST_SHOW }),
      button(t("house.remove"), () => this.remove(item), { class: "plain" }),
    );
    this.list.append(item);
    this.number();
    if (this.list.children.length > 1) item.querySelector("input").focus();
  }

  remove(item) {
    if (this.list.children.length === 1) return;
    item.remove();
    this.number();
    this.list.querySelector("input").focus();
  }

  number() {
    for (const [index, item] of [...this.list.children].entries()) {
      for (const field of item.querySelectorAll("[data-key]")) {
        field.setAttribute("data-pointer", `/sections/${index}/${field.getAttribute("data-key")}`);
      }
    }
    this.preview();
  }

  /** The sections as the API takes them; prices in the minor unit. */
  read() {
    const unit = minorUnits(this.currency());
    return [...this.list.children].map((item) => {
      /** @param {string} key @returns {string} */
      const value = (key) => /** @type {HTMLInputElement} */ (item.querySelector(`[data-key="${key}"] input`)).value;
      return {
        name: value("name"),
        price: Math.round(Number(value("price")) * unit),
        rows: Number(value("rows")),
        seats_per_row: Number(value("seats_per_row")),
      };
    });
  }

  preview() {
    let first = 1;
    const sections = [];
    let worth = 0;
    for (const { name, price, rows, seats_per_row: length } of this.read()) {
      if (!(rows >= 1 && length >= 1)) continue;
      sections.push({ name, price, first_number: first, last_number: first + rows * length - 1, seats_per_row: length });
      first += rows * length;
      worth += rows * length * price;
    }
    const seats = first - 1;
    const fits = seats > 0 && seats <= LARGEST_SHOW;
    this.summary.textContent = fits
      ? t("house.summary", { count: seats, worth: money(worth, this.currency()) })
      : t("house.too_large", { seats: number(seats), most: number(LARGEST_SHOW) });
    this.model.sections = fits ? sections : [];
    this.map.element.hidden = !fits;
    this.map.resize();
  }
}

/** The number of minor units in one unit of a currency. */
export function minorUnits(currency) {
  try {
    return 10 ** new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
  } catch {
    return 1;
  }
}
