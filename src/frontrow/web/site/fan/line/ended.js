// Nothing of a concert is sold any more: that is said, and no line is offered for nothing.

import { button, h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { heading, showView } from "../../shared/view.js";

/** Shows the view. `sale`: how it ended. */
export function showOver(concert, sale, { leave }) {
  return showView(
    "over",
    concert.title,
    heading(t(`over.${sale}`)),
    h("p", { class: "soft" }, concert.title),
    h("p", {}, t(`over.${sale}.next`)),
    h(
      "div",
      { class: "row" },
      h("a", { class: "button primary", href: "/" }, t("all_concerts")),
      h("a", { class: "button", href: "/tickets" }, t("my_tickets")),
      button(t("leave"), leave, { class: "plain" }),
    ),
  );
}
