// The page of an admitted user: dates, then seats, then a hold and its payment. An active hold takes precedence
// over the address, so a reload or another tab continues where the user was; *Back* leads from its payment to the seats.

import "../../shared/uncaught.js";
import { signInLink } from "../../shared/account.js";
import { insist } from "../../shared/api.js";
import { button, h, setText } from "../../shared/dom.js";
import { secondsUntil } from "../../shared/clock.js";
import { countdown, day, t, timeOfDay } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { enterView, fillView, handleActions, heading, showView, viewName } from "../../shared/view.js";
import { showCheckout } from "./checkout.js";
import { HoldCard, isActive } from "./hold_card.js";
import { showSeats } from "../seats/choice.js";
import { follow } from "../line/follow.js";
import { leaveLine } from "../line/leave.js";
import { everySecond } from "../../shared/ticking.js";

const id = location.pathname.split("/")[2];
const line = `/concerts/${id}`; // the page that shows the place in every state
const following = new AbortController();

let latest; // the last status of the place

handleActions({ leave });
window.addEventListener("pageshow", ({ persisted }) => persisted && location.reload()); // the state there is an old one

start().catch((error) => {
  showView("failed", t("site"), heading(t("failed")), h("p", { role: "alert" }, sentence(error)),
    button(t("try_again"), () => location.reload(), { class: "primary" }));
});

async function start() {
  const { body: concert } = await insist("GET", `/concerts/${id}`);
  let isOpen = false;
  const ask = follow(id, {
    signal: following.signal,
    onStatus(status) {
      latest = status;
      if (status.reason === "paid" && viewName() === "checkout") return; // that view opens the tickets
      if (status.state !== "admitted") backToLine();
      else if (!isOpen) {
        isOpen = true;
        openShop(concert, ask);
      }
    },
    onTouch() {}, // each action on this page reports its own errors
    onLost: () => backToLine(),
  });
}

function openShop(concert, ask) {
  const shop = new Shop(concert, ask);
  window.addEventListener("popstate", () => shop.open({ isBack: true }));
  shop.open();
}

function backToLine(hash = "") {
  following.abort();
  location.replace(line + hash);
}

async function leave() {
  if (await leaveLine(id)) backToLine("#left");
}

class Shop {
  /**
   * @param {Api.ListedConcert} concert
   * @param {() => void} ask
   */
  constructor(concert, ask) {
    this.concert = concert;
    this.ask = ask;
    this.turn = 0;
    /** @type {Api.Reservation | undefined} the active hold */
    this.held = undefined;
  }

  /**
   * Shows the view for the server's state and the address. `closed`: a show has just been closed. `isBack`: the
   * address decides, also about an active hold.
   */
  async open({ closed = false, isBack = false } = {}) {
    const turn = this.nextTurn();
    try {
      const { body: me } = await insist("GET", "/users/me");
      if (turn !== this.turn) return;
      this.held = me.reservations.find((each) => each.concert_id === this.concert.concert_id && isActive(each));
      if (this.held && (isPaying() || !isBack)) {
        this.checkOut(this.held);
        return;
      }
      this.owned = me.tickets.filter(
        ({ concert_id: concert, state }) => concert === this.concert.concert_id && state !== "void",
      ).length;
      const { body } = await insist("GET", `/concerts/${this.concert.concert_id}/dates?all=true`);
      if (turn !== this.turn) return;
      if (!latest.claimed_at) this.ask(); // that call was the claim, which begins the session
      if (isPaying()) history.replaceState(null, "");
      this.choose(body.dates, closed);
    } catch (error) {
      if (turn === this.turn) this.refused(error);
    }
  }

  /** Counts the changes of the view: an answer that arrives after the next one changes nothing. */
  nextTurn() {
    this.turn += 1;
    return this.turn;
  }

  choose(dates, closed) {
    const wanted = new URLSearchParams(location.search).get("show");
    const all = dates.flatMap(({ date, shows: of }) => of.map((show) => ({ date, ...show })));
    const shows = all.filter(({ sale }) => sale === "open");
    const chosen = shows.find(({ show_id: showId }) => showId === wanted) ?? (shows.length === 1 && shows[0]);
    if (!shows.length) {
      const sale = all.some((show) => show.sale === "ended") ? "ended" : "cancelled";
      enterView("over", this.concert.title);
      fillView({ title: this.concert.title, heading: t(`over.${sale}`), text: t(`over.${sale}.next`) });
    } else if (chosen && !closed) this.showSeats(chosen, shows.length > 1);
    else {
      this.showDates(shows);
      if (closed) notify(t("refusal.show_closed"), "bad");
    }
  }

  showDates(shows) {
    const dates = new Map(shows.map(({ date }) => [date, shows.filter((show) => show.date === date)]));
    const signal = showView(
      "dates",
      this.concert.title,
      this.header(),
      heading(t("dates.heading")),
      h("p", { class: "soft" }, this.concert.title),
      h(
        "ul",
        { class: "dates" },
        Array.from(dates, ([date, of]) =>
          h(
            "li",
            { class: "card" },
            h("h2", {}, day(date)),
            h("ul", { class: "shows" }, of.map((show) => h("li", {}, this.showButton(show)))),
          ),
        ),
      ),
      h("p", { class: "soft small" }, t("dates.zone", { zone: this.concert.timezone })),
    );
    this.tick(signal);
  }

  showButton(show) {
    const left = show.seats_available;
    const time = timeOfDay(show.starts_at, this.concert.timezone);
    const label = left ? t("dates.left", { count: left }) : t("dates.sold_out");
    const go = () => {
      this.nextTurn();
      history.pushState(null, "", `?show=${show.show_id}`);
      this.showSeats(show, true);
    };
    return h(
      "button",
      { type: "button", class: "show", "aria-disabled": left ? null : "true", onclick: left ? go : undefined },
      h("strong", {}, time),
      h("span", { class: "soft" }, label),
    );
  }

  showSeats(show, hasOthers) {
    showSeats(this.concert, show, {
      header: this.header(),
      isHolding: Boolean(this.held),
      left: this.concert.max_seats_per_user - this.owned,
      tick: (signal) => this.tick(signal),
      back: hasOthers ? () => this.backToDates() : null,
      held: (reservation) => this.checkOut(reservation, "pushState"),
      refused: (error) => this.refused(error),
    });
  }

  backToDates() {
    history.pushState(null, "", location.pathname);
    return this.open();
  }

  /**
   * Shows the payment of a hold, at an entry of its own in the history.
   *
   * @param {Api.Reservation} reservation
   * @param {"pushState" | "replaceState"} enter
   */
  checkOut(reservation, enter = "replaceState") {
    this.nextTurn();
    this.held = reservation;
    if (!isPaying()) history[enter]({ view: "pay", isAdded: enter === "pushState" }, "");
    showCheckout(this.concert, reservation, {
      ended: () => this.leavePayment(),
      refused: (error) => this.refused(error),
    });
  }

  /** The hold has ended: its entry in the history would lead to the same view as the one before it. */
  async leavePayment() {
    if (isPaying() && history.state.isAdded) history.back();
    else await this.open();
  }

  async release() {
    try {
      await insist("DELETE", `/reservations/${this.held.reservation_id}`);
      await this.open({ isBack: true });
    } catch (error) {
      this.refused(error);
    }
  }

  /** Handles a refusal. If the place has ended, its status has the reason. */
  refused(error) {
    if (error.name === "AbortError") return; // its view has been left
    const isOut = error.code === "credential_missing" || error.code === "credential_invalid";
    const signIn = isOut && signInLink();
    if (signIn) location.replace(signIn); // the session has ended, the place hasn't
    else if (error.code === "token_finished" || error.code === "credential_missing") this.ask();
    else if (error.code === "not_admitted") backToLine();
    else if (error.code === "show_closed") return this.open({ closed: true });
    else if (error.code === "seat_limit") {
      notify(sentence(error), "bad");
      return this.open(); // another tab has held or bought seats meanwhile
    }
    else if (document.querySelector("#main .loading")) this.failed(error);
    else notify(sentence(error), "bad");
  }

  failed(error) {
    showView("failed", this.concert.title, heading(t("failed")), h("p", { role: "alert" }, sentence(error)),
      button(t("try_again"), () => this.open(), { class: "primary" }));
  }

  /** The remaining time, a button to leave, and the active hold. */
  header() {
    this.left = h("strong", { class: "figures" });
    const session = h(
      "div",
      { class: "session panel small row spread" },
      h("p", {}, t("session.left"), " ", this.left),
      button(t("leave"), leave, { class: "plain" }),
    );
    this.card = this.held && new HoldCard(this.held, this.concert,
      button(t("holding.pay"), () => this.checkOut(this.held, "pushState"), { class: "primary" }),
      button(t("pay.release"), () => this.release(), { class: "plain" }));
    return [session, this.card?.element];
  }

  tick(signal) {
    const { left } = this;
    this.card?.start(signal, () => this.open({ isBack: true }));
    everySecond(signal, () => {
      const { claimed_at: claimed, expires_at: until } = latest;
      setText(left, claimed && until ? countdown(secondsUntil(until)) : "–"); // before the claim: its window
      if (until && secondsUntil(until) < 0) this.ask();
    });
  }
}

/** Whether the history is at the payment of a hold. */
function isPaying() {
  return history.state?.view === "pay";
}
