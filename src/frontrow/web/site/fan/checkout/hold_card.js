// An active hold outside its payment page: what is on hold, for how long, and what to do with it.

import { h, setText } from "../../shared/dom.js";
import { secondsUntil } from "../../shared/clock.js";
import { countdown, day, money, t, timeOfDay } from "../../shared/i18n.js";
import { keptName } from "../../shared/seat_names.js";
import { everySecond } from "../../shared/ticking.js";

/** Whether a reservation is a hold that can still be paid. */
export function isActive({ state, held_until: until }) {
  return state === "held" && secondsUntil(until) > 0;
}

/** A card about a hold, with these buttons or links. */
export class HoldCard {
  /**
   * @param {Api.Reservation} hold
   * @param {{ title: string, timezone: string } | undefined} concert
   * @param {...Child} actions
   */
  constructor(hold, concert, ...actions) {
    this.hold = hold;
    this.left = h("strong", { class: "figures" });
    const seats = hold.seats.map((seat) => keptName(hold, seat)).join("; ");
    this.element = h("section", { class: "card stack hold", "aria-label": t("holding.state") },
      h("div", { class: "row spread" },
        h("h2", {}, concert?.title ?? t("holding.state")),
        h("span", { class: "badge warn" }, t("holding.state")),
      ),
      h("p", { class: "soft" }, `${day(hold.date)} · ${timeOfDay(hold.starts_at, concert?.timezone)}`),
      h("p", {}, `${seats} · ${money(hold.amount, hold.currency)}`),
      h("p", {}, t("holding.left"), " ", this.left),
      h("div", { class: "row" }, ...actions),
    );
  }

  /** Counts down; `ended` is called once when the hold has ended. */
  start(signal, ended) {
    let hasEnded = false;
    everySecond(signal, () => {
      const seconds = secondsUntil(this.hold.held_until);
      setText(this.left, countdown(seconds));
      if (seconds > 0 || hasEnded) return;
      hasEnded = true;
      ended();
    });
  }
}
