// "It is your turn": the fan comes in by pressing a button, so that nobody's tab keeps a place alone.

import { button, h, setText } from "../../shared/dom.js";
import { secondsUntil } from "../../shared/clock.js";
import { countdown, t } from "../../shared/i18n.js";
import { heading, showView } from "../../shared/view.js";
import { everySecond } from "../../shared/ticking.js";

/** Shows the view with the time that is left to come in. */
export function showTurn(concert, status, { enter, leave }) {
  const left = h("strong", { class: "figures" });
  const signal = showView(
    "turn",
    concert.title,
    heading(t("turn.title")),
    h("p", { class: "soft" }, concert.title),
    h("p", {}, t("turn.text")),
    h("p", {}, t("turn.left"), " ", left),
    h(
      "div",
      { class: "row" },
      button(t("turn.enter"), enter, { class: "primary large" }),
      button(t("leave"), leave, { class: "plain" }),
    ),
  );
  everySecond(signal, () => setText(left, countdown(secondsUntil(status.expires_at))));
}
