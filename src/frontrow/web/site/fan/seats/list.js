// The same seats without the map: a section, a row, and a button for each seat in it.

import { h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";

/** A list over a model. `press`: a seat was pressed. `words`: the text of a seat. */
export class SeatList {
  constructor(model, chosen, { press, words }) {
    this.model = model;
    this.chosen = chosen;
    this.press = press;
    this.words = words;
    this.section = h("select", { id: "list-section", onchange: () => this.fillRows() });
    this.row = h("select", { id: "list-row", onchange: () => this.fillSeats() });
    this.seats = h("ul", { class: "seat-buttons", "aria-label": t("list.seats") });
    this.section.append(
      ...model.sections.map(({ name }, index) => h("option", { value: index }, name ?? t("section.all"))),
    );
    this.element = h("div", { class: "stack" },
      h("div", { class: "row" },
        h("span", { class: "field" }, h("label", { for: "list-section" }, t("list.section")), this.section),
        h("span", { class: "field" }, h("label", { for: "list-row" }, t("list.row")), this.row),
      ),
      this.seats,
    );
    this.fillRows();
  }

  fillRows() {
    const { first_number: first, last_number: last, seats_per_row: length } = this.chosenSection();
    const rows = Math.ceil((last - first + 1) / length);
    this.row.replaceChildren(
      ...Array.from({ length: rows }, (_, row) => h("option", { value: row }, String(row + 1))),
    );
    this.fillSeats();
  }

  fillSeats() {
    const { first_number: first, last_number: last, seats_per_row: length } = this.chosenSection();
    const start = first + Number(this.row.value) * length;
    const numbers = Array.from({ length: Math.min(length, last - start + 1) }, (_, index) => start + index);
    this.buttons = numbers.map((number) => {
      const element = h("button", { type: "button", onclick: () => this.press(number) }, String(number - start + 1));
      return { number, element };
    });
    this.seats.replaceChildren(...this.buttons.map(({ element }) => h("li", {}, element)));
    this.refresh();
  }

  /** Shows the present state of the seats. */
  refresh() {
    for (const { number, element } of this.buttons) {
      element.setAttribute("aria-label", this.words(number));
      element.setAttribute("aria-pressed", String(this.chosen.has(number)));
      element.classList.toggle("taken", !this.model.isFree(number));
    }
  }

  chosenSection() {
    return this.model.sections[Number(this.section.value)];
  }
}
