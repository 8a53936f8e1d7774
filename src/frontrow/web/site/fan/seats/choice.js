// Choosing seats: on the map, from a list, or "best together"; with the changes by other users.

import { insist, pause } from "../../shared/api.js";
import { button, h, setText, show } from "../../shared/dom.js";
import { day, money, t, timeOfDay } from "../../shared/i18n.js";
import { intend, unsettled } from "../../shared/intentions.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { announce, heading, showView } from "../../shared/view.js";
import { keepNames, seatName } from "../../shared/seat_names.js";
import { BestSeats } from "./best.js";
import { Chosen } from "./chosen.js";
import { isBroken } from "./layout.js";
import { SeatList } from "./list.js";
import { SeatMap, priceClasses } from "./map.js";
import { HELD, SeatModel } from "./model.js";

const LOOK_MS = 2000;

/**
 * Shows the seats of a show, of which the fan may have `left` more, but none while `isHolding` others. `held` is called
 * with the reservation, `refused` with an error that the page handles; `back` leads to the dates, if there are several;
 * `tick` starts the session's clock.
 */
export function showSeats(concert, showing, parts) {
  const seats = new Seats(concert, showing, parts);
  seats.show().catch((error) => seats.signal?.aborted || parts.refused(error));
}

class Seats {
  /**
   * @param {Api.ListedConcert} concert
   * @param {Api.ShowStock & { date: string }} showing
   * @param {any} parts
   */
  constructor(concert, showing, parts) {
    this.concert = concert;
    this.showing = showing;
    this.parts = parts;
    this.chosen = new Chosen(showing.show_id);
    this.isAsking = false; // for a hold: until there is an answer the choice stays as it is
    this.rows = null;
    this.model = new SeatModel(concert.concert_id, showing);
    const { left, isHolding } = parts;
    const hold = (wanted) => this.ask(wanted);
    this.best = left > 0 && !isHolding ? new BestSeats(this.model, { left, hold }) : null;
  }

  async show() {
    const { concert, showing, parts } = this;
    this.mapPlace = h("div", { class: "map-place" }, h("p", { class: "soft loading" }, t("loading")));
    this.broken = h("p", { class: "soft small", hidden: true }, t("map.broken"));
    this.sections = h("ul", { class: "sections" });
    this.listPlace = h("div", {});
    this.total = h("p", { class: "chosen" });
    this.hold = button(t("seats.hold"), () => this.ask({ seats: this.chosen.sorted() }), { class: "primary large", hidden: true });
    this.signal = showView(
      "seats",
      concert.title,
      parts.header,
      heading(t("seats.heading")),
      h("div", { class: "row when" },
        h("p", { class: "soft" }, `${day(showing.date)} · ${timeOfDay(showing.starts_at, concert.timezone)}`),
        parts.back && button(t("seats.other_date"), parts.back, { class: "plain" }),
      ),
      this.best?.element ?? h("p", { class: "card" }, this.limit()),
      this.sections,
      this.mapPlace,
      h("p", { class: "soft small sideways" }, t("map.sideways")),
      this.broken,
      h("p", { class: "soft small legend" }, ...legend()),
      h("p", { id: "map-help", class: "soft small" }, t("map.help")),
      h("details", { class: "card", ontoggle: (event) => this.openList(event) }, h("summary", {}, t("list.heading")), this.listPlace),
      h("div", { class: "bar" }, this.total, this.hold),
    );
    parts.tick(this.signal);
    await this.model.update(this.signal);
    this.restore();
    this.map = new SeatMap(this.model, this.chosen, {
      press: (number) => this.press(number),
      look: (number) => announce(this.words(number), { now: true }),
      signal: this.signal,
    });
    this.mapPlace.replaceChildren(this.map.element);
    show(this.broken, this.model.sections.some(isBroken));
    this.map.resize();
    this.showSections();
    this.watch();
  }

  /** Requests changes while the page is visible. */
  async watch() {
    while (!this.signal.aborted) {
      await pause(LOOK_MS * (0.9 + Math.random() / 5), this.signal);
      if (this.signal.aborted) return;
      if (document.visibilityState !== "visible") continue;
      try {
        await this.look();
      } catch (error) {
        if (this.signal.aborted) return;
        if (error.code === "token_finished" || error.code === "show_closed") return this.parts.refused(error);
        await pause(Math.max(3000, error.retryAfterMs ?? 0), this.signal);
      }
    }
  }

  async look() {
    const changed = await this.model.update(this.signal);
    if (changed?.length === 0) return;
    this.dropTaken();
    if (changed === null) this.map.resize();
    this.map.later();
    this.list?.refresh();
    this.showSections();
  }

  /** Shows the choice that was made before a reload, and what has become of a request without an answer. */
  restore() {
    const tooMany = this.chosen.sorted().filter((number, index) => !this.model.stateOf(number) || index >= this.parts.left);
    this.chosen.remove(tooMany);
    this.dropTaken();
    this.showChosen();
    if (!this.parts.isHolding && unsettled("hold")?.show_id === this.showing.show_id) notify(t("seats.unanswered"), "bad");
  }

  /** Removes the seats that others have taken from the choice. */
  dropTaken() {
    if (this.isAsking) return; // the answer says whose they are
    const lost = this.chosen.sorted().filter((number) => !this.model.isFree(number));
    if (!lost.length) return;
    this.chosen.remove(lost);
    notify(t("seats.lost", { count: lost.length, seats: this.names(lost) }), "bad");
    this.showChosen();
  }

  press(number) {
    const refusal = this.chosen.has(number) ? null : this.refusal(number);
    if (this.isAsking) notify(t("seats.asking"));
    else if (refusal) notify(refusal);
    else {
      if (this.chosen.has(number)) this.chosen.remove([number]);
      else this.chosen.add(number);
      announce(this.words(number), { now: true });
      this.showChosen();
      this.map.later();
      this.list?.refresh();
    }
  }

  /** Why a seat can't be chosen; nothing if it can. */
  refusal(number) {
    const { left } = this.parts;
    if (!this.model.isFree(number)) {
      const isHeld = this.model.stateOf(number) === HELD;
      return t(isHeld ? "seats.is_held" : "seats.is_sold", { seat: this.name(number) });
    }
    if (left <= 0 || this.parts.isHolding) return this.limit();
    return this.chosen.size < left ? null : t("seats.limit", { count: left });
  }

  /** Why no seats can be chosen. */
  limit() {
    if (this.parts.isHolding) return t("holding.first");
    return t("seats.no_more", { count: this.concert.max_seats_per_user });
  }

  /** The text of a seat for screen readers. */
  words(number) {
    const seat = this.model.seat(number);
    const state = this.chosen.has(number) ? "chosen" : { a: "free", h: "held", s: "sold" }[seat.state];
    return [seatName(seat), money(seat.price, this.concert.currency), t(`seat.${state}`)].join(", ");
  }

  name(number) {
    return seatName(this.model.seat(number));
  }

  names(numbers) {
    return numbers.map((number) => this.name(number)).join("; ");
  }

  showChosen() {
    const numbers = this.chosen.sorted();
    const amount = numbers.reduce((sum, number) => sum + this.model.seat(number).price, 0);
    setText(
      this.total,
      numbers.length
        ? `${t("seats.chosen", { count: numbers.length })} · ${money(amount, this.concert.currency)}`
        : t("seats.none_chosen"),
    );
    show(this.hold, numbers.length && !this.parts.isHolding);
  }

  showSections() {
    const { sections } = this.model;
    const free = this.model.freeBySection();
    const classes = priceClasses(sections);
    this.rows ??= sections.map((section, index) => {
      const left = h("span", { class: "soft figures" });
      const name = section.name ?? t("section.all");
      const go = h("button", { type: "button", class: "section", onclick: () => this.map.goTo(index) },
        h("span", { class: `swatch seat-${classes.get(section.price) + 1}`, "aria-hidden": "true" }),
        h("span", {}, name),
        h("span", { class: "figures" }, money(section.price, this.concert.currency)),
        left,
      );
      return { item: h("li", {}, go), left };
    });
    if (!this.sections.children.length) this.sections.append(...this.rows.map(({ item }) => item));
    for (const [index, { left }] of this.rows.entries()) setText(left, t("section.left", { count: free[index] }));
    this.best?.refresh(free);
  }

  // Holding

  /**
   * Requests a hold until there is an answer, also over a lost connection: only the answer says whether it happened.
   * The key is kept, so that a reload and another press repeat the same request.
   */
  async ask(wanted) {
    const hold = { show_id: this.showing.show_id, ...wanted };
    const onRetry = () => this.showAsking("seats.retrying");
    this.lock(true);
    this.showAsking("seats.asking");
    try {
      const { body, replayed } = await intend("hold", hold, (key) =>
        insist("POST", "/reservations", { body: hold, concert: this.concert.concert_id, key, onRetry }, Infinity));
      const held = replayed ? await this.present(body.reservation_id) : body;
      if (held.state === "held") {
        keepNames(held, (number) => this.name(number));
        this.chosen.remove(held.seats.map(({ number }) => number));
        this.parts.held(held);
      } else await this.ask(wanted); // that hold has ended since: this is a request for a new one
    } catch (error) {
      await this.refused(error);
    } finally {
      this.lock(false);
      this.showChosen();
    }
  }

  /** Keeps the choice as it is while there is no answer. */
  lock(isAsking) {
    this.isAsking = isAsking;
    for (const element of [this.hold, this.best?.take]) {
      if (isAsking) element?.setAttribute("aria-disabled", "true");
      else element?.removeAttribute("aria-disabled");
    }
  }

  showAsking(key) {
    setText(this.total, t(key));
    announce(t(key), { now: true });
  }

  async present(id) {
    const path = /** @type {const} */ (`/reservations/${id}`);
    return (await insist("GET", path, { concert: this.concert.concert_id })).body;
  }

  async refused(error) {
    if (error.code === "seat_taken" || error.code === "recently_released") {
      this.chosen.remove(error.problem.seats);
      notify(`${this.names(error.problem.seats)}: ${sentence(error)}`, "bad");
    } else if (error.code === "seats_unavailable") notify(sentence(error), "bad");
    else {
      this.parts.refused(error);
      return;
    }
    await this.look().catch(() => {});
    this.map.later();
  }

  openList(event) {
    if (!event.target.open || this.list) return;
    this.list = new SeatList(this.model, this.chosen, {
      press: (number) => this.press(number),
      words: (number) => this.words(number),
    });
    this.listPlace.append(this.list.element);
  }
}

function legend() {
  return ["free", "chosen", "held", "sold"].map((state) =>
    h("span", { class: "key" }, h("span", { class: `mark ${state}`, "aria-hidden": "true" }), t(`seat.${state}`)),
  );
}
