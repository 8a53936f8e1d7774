// "Best seats together": how many, and where. Offers no more seats than there are, or than the fan may have.

import { button, h, show } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";

const MOST = 10;

/** The picker over a model. `left`: how many seats the fan may choose. `hold`: called with what is wanted. */
export class BestSeats {
  /**
   * @param {any} model
   * @param {{ left: number, hold: (wanted: object) => unknown }} parts
   */
  constructor(model, { left, hold }) {
    this.model = model;
    this.left = left;
    this.count = h("select", { id: "best-count" });
    this.where = h("select", { id: "best-where" }, h("option", { value: "" }, t("best.anywhere")));
    this.take = button(t("best.take"), () => hold(this.wanted()));
    this.form = h("div", { class: "row", hidden: true },
      h("span", { class: "field" }, h("label", { for: "best-count" }, t("best.count")), this.count),
      h("span", { class: "field" }, h("label", { for: "best-where" }, t("best.where")), this.where),
      this.take,
    );
    this.none = h("p", { hidden: true }, t("seats.sold_out"));
    this.element = h("section", { class: "card best", "aria-label": t("best.heading") },
      h("h2", {}, t("best.heading")), this.form, this.none);
  }

  wanted() {
    const wanted = { count: Number(this.count.value), together: true };
    return this.where.value ? { ...wanted, section: this.where.value } : wanted;
  }

  /** Offers what is available now; what has been selected stays so if it is. */
  refresh(freeBySection) {
    const { model, count, where } = this;
    const most = Math.min(MOST, this.left, model.available);
    show(this.form, most > 0);
    show(this.none, most === 0);
    if (count.options.length !== most) {
      const selected = Math.min(Number(count.value) || 2, most);
      count.replaceChildren(...Array.from({ length: most }, (_, index) =>
        h("option", { value: index + 1, selected: index + 1 === selected }, String(index + 1))));
    }
    const names = model.sections.map(({ name }) => name).filter(Boolean);
    if (where.options.length === 1) where.append(...names.map((name) => h("option", { value: name }, name)));
    for (const option of [...where.options].slice(1)) {
      option.disabled = !freeBySection[model.sections.findIndex(({ name }) => name === option.value)];
    }
  }
}
