// A hold, until it is paid, released or expired. Pressing twice and reloading are safe: a hold is paid once, and the
// key of a charge is kept until its outcome is known.

import { call, insist, pause } from "../../shared/api.js";
import { button, h, setText, show } from "../../shared/dom.js";
import { secondsUntil } from "../../shared/clock.js";
import { countdown, day, money, t, timeOfDay } from "../../shared/i18n.js";
import { intend, settle } from "../../shared/intentions.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { announce, heading, setTitle, showView } from "../../shared/view.js";
import { keptName } from "../../shared/seat_names.js";
import { everySecond } from "../../shared/ticking.js";

const HURRY_SECONDS = 60;
const LOOK_SECONDS = 25; // how long the server may hold its answer

/** Shows the hold. `ended`: it expired or was released. */
export function showCheckout(concert, reservation, { ended, refused }) {
  const checkout = new Checkout(concert, reservation, ended, refused);
  checkout.show().catch((error) => checkout.refuse(error));
}

class Checkout {
  /**
   * @param {Api.ListedConcert} concert
   * @param {Api.Reservation} reservation
   * @param {() => Promise<void>} ended
   * @param {(error: any) => void} refused
   */
  constructor(concert, reservation, ended, refused) {
    this.concert = concert;
    this.reservation = reservation;
    this.ended = ended;
    this.refused = refused;
    this.shortfall = 0;
    this.topUp = `charge ${reservation.reservation_id}`;
    this.isPaid = false;
  }

  async show() {
    const { reservation: held, concert } = this;
    const price = (amount) => money(amount, held.currency);
    this.left = h("strong", { class: "left figures" });
    this.balanceText = h("dd", { class: "figures" });
    this.missing = h("p", { class: "hint warn" });
    this.pending = h("p", { class: "hint warn", hidden: true }, t("pay.retrying"));
    this.add = this.action("", () => this.charge(), { class: "add large" });
    this.pay = this.action(t("pay.pay", { amount: price(held.amount) }), () => this.payNow(), { class: "pay primary large" });
    this.releasing = this.action(t("pay.release"), () => this.release(), { class: "plain" });
    const signal = showView(
      "checkout",
      concert.title,
      heading(t("pay.heading")),
      h(
        "section",
        { class: "card stack" },
        h("p", { class: "row spread clock" }, h("span", {}, t("pay.left")), this.left),
        h("h2", {}, concert.title),
        h("p", { class: "soft" }, `${day(held.date)} · ${timeOfDay(held.starts_at, concert.timezone)}`),
        h(
          "ul",
          { class: "lines" },
          held.seats.map((seat) =>
            h("li", { class: "row spread" }, h("span", {}, keptName(held, seat)), h("span", { class: "figures" }, price(seat.price))),
          ),
        ),
        h(
          "dl",
          { class: "lines" },
          h("div", { class: "row spread total" }, h("dt", {}, t("pay.total")), h("dd", { class: "figures" }, price(held.amount))),
          h("div", { class: "row spread" }, h("dt", {}, t("pay.balance")), this.balanceText),
        ),
        this.missing,
        h("div", { class: "stack" }, this.add, this.pay),
        this.pending,
      ),
      h("div", { class: "row" }, this.releasing),
      h("p", { class: "soft small" }, t("pay.release_note")),
      h("p", { class: "soft small" }, t("pay.safe")),
    );
    for (const unknown of [this.missing, this.add, this.pay]) show(unknown, false);
    this.signal = signal;
    everySecond(signal, () => this.tick());
    this.watch();
    await this.readBalance();
  }

  /** A button. While its action has no answer, the other buttons are off too. */
  action(label, run, properties) {
    return button(label, async () => {
      const buttons = [this.add, this.pay, this.releasing];
      for (const each of buttons) each.setAttribute("aria-disabled", "true");
      try {
        await run();
      } catch (error) {
        await this.refuse(error);
      } finally {
        for (const each of buttons) each.removeAttribute("aria-disabled");
      }
    }, properties);
  }

  /**
   * Makes a call until there is an answer, also over a lost connection, unless the view is left.
   *
   * @type {typeof insist}
   */
  async insist(method, path, options) {
    const onRetry = () => {
      show(this.pending, true);
      announce(t("pay.retrying"), { now: true });
    };
    try {
      return await insist(method, path, { ...options, signal: this.signal, onRetry }, Infinity);
    } finally {
      show(this.pending, false);
    }
  }

  tick() {
    const seconds = secondsUntil(this.reservation.held_until);
    setText(this.left, countdown(seconds));
    this.left.classList.toggle("hurry", seconds < HURRY_SECONDS);
    setTitle(t("pay.tab", { left: countdown(seconds), title: this.concert.title }));
    if (seconds > HURRY_SECONDS - 1 && seconds <= HURRY_SECONDS) announce(t("pay.hurry"), { now: true });
  }

  /** Waits until the server reports that the hold has ended. */
  async watch() {
    const path = /** @type {const} */ (`/reservations/${this.reservation.reservation_id}?wait_seconds=${LOOK_SECONDS}`);
    while (!this.signal.aborted) {
      try {
        const options = { signal: this.signal, patience: (LOOK_SECONDS + 10) * 1000 };
        const { body } = await call("GET", path, options);
        if (this.signal.aborted) return;
        if (body.state === "paid") return this.paid(body.payment_id);
        if (body.state !== "held") return this.over(body.state);
      } catch (error) {
        if (this.signal.aborted) return;
        await pause(Math.max(2000, error.retryAfterMs ?? 0), this.signal);
      }
    }
  }

  async over(state) {
    if (state === "expired") notify(t("refusal.hold_expired"), "bad");
    await this.ended();
  }

  /** Opens the tickets, once: the payment and the watch both report that the hold is paid. */
  paid(paymentId) {
    if (this.isPaid) return;
    this.isPaid = true;
    location.assign(`/tickets?paid=${paymentId}`);
  }

  async readBalance() {
    const { body } = await this.insist("GET", "/users/me");
    this.user = body.user_id;
    this.showBalance(body.balance);
  }

  showBalance(balance) {
    const { amount, currency } = this.reservation;
    const shortfall = Math.max(0, amount - balance);
    this.shortfall = shortfall;
    if (!shortfall) settle(this.topUp); // whichever request it was that added the money
    setText(this.balanceText, money(balance, currency));
    setText(this.missing, t("pay.missing", { amount: money(shortfall, currency) }));
    setText(this.add, t("pay.add", { amount: money(shortfall, currency) }));
    show(this.missing, shortfall);
    show(this.add, shortfall);
    this.add.classList.toggle("primary", shortfall > 0);
    show(this.pay, !shortfall);
  }

  /** Charges the missing amount, if that is still what is missing: another tab may have added or spent money. */
  async charge() {
    const amount = this.shortfall;
    await this.readBalance();
    if (this.shortfall === amount) {
      const { concert_id: concert } = this.reservation;
      await intend(this.topUp, amount, (key) =>
        this.insist("POST", `/users/${this.user}/balance/charges`, { body: { amount }, concert, key }));
      await this.readBalance(); // a replayed answer has the balance of its own time
    } else if (this.shortfall) {
      notify(t("pay.changed", { amount: money(this.shortfall, this.reservation.currency) }), "bad");
    }
    if (!this.pay.hidden) this.pay.focus();
  }

  async payNow() {
    const { reservation_id: id, amount, concert_id: concert } = this.reservation;
    const body = { reservation_id: id, amount };
    const { body: payment } = await this.insist("POST", "/payments", { body, concert, key: `page-pay-${id}` });
    this.paid(payment.payment_id);
    await pause(5000); // the button stays busy until the next page is loaded
  }

  async release() {
    await this.insist("DELETE", `/reservations/${this.reservation.reservation_id}`);
    await this.ended();
  }

  async refuse(error) {
    if (this.signal.aborted) return; // the view has been left
    if (error.code === "insufficient_balance") {
      this.showBalance(error.problem.balance);
      notify(sentence(error), "bad");
    } else if (error.code === "hold_expired" || error.code === "reservation_closed") {
      notify(sentence(error), "bad");
      await this.ended();
    } else this.refused(error);
  }
}
