// The seats of a show as they are now, and cancelling the show.

import { h, setText } from "../../shared/dom.js";
import { moment, t } from "../../shared/i18n.js";
import { announce, showView } from "../../shared/view.js";
import { SeatModel } from "../../fan/seats/model.js";
import { SeatMap } from "../../fan/seats/map.js";
import { seatName } from "../../shared/seat_names.js";
import { Cancelling } from "../sales/cancel_show.js";
import { concertHeading, concertId, fact, thisConcert } from "../concert_nav.js";
import { number } from "../format.js";
import { operate, run } from "../operator.js";
import { poll } from "../polling.js";

const EVERY_SECONDS = 1;
const STATES = { a: "free", h: "held", s: "sold" };

run(async () => {
  const concert = await thisConcert();
  const { body } = await operate("GET", `/concerts/${concertId}/shows`);
  const wanted = new URLSearchParams(location.search).get("show");
  await showSeats(concert, body.shows, body.shows.find(({ show_id: id }) => id === wanted) ?? body.shows[0]);
});

/** The seat model of the fan's page, filled by the operator's call. */
class OperatorsSeats extends SeatModel {
  constructor(show) {
    super(concertId, show);
    this.path = `/admin/shows/${show.show_id}/seats?form=compact`;
  }
}

async function showSeats(concert, shows, shown) {
  const when = (each) => moment(each.starts_at, concert.timezone, { dateStyle: "medium", timeStyle: "short" });
  const select = h("select", { id: "show" }, shows.map((each) => h("option", { value: each.show_id }, when(each))));
  select.value = shown.show_id;
  select.addEventListener("change", () => location.replace(`?show=${select.value}`));
  const model = new OperatorsSeats(shown);
  await model.update();
  const facts = h("dl", { class: "facts big" });
  const seat = h("p", { class: "seat-line figures" }, t("map.press"));
  const place = h("div", { class: "map-place" });
  const cancelling = new Cancelling(concert, shown, when(shown));
  const signal = showView("seats", concert.title, concertHeading(concert),
    h("div", { class: "field" }, h("label", { for: "show" }, t("show")), select),
    h("section", { class: "card stack" }, facts, legend(), h("p", { class: "visually-hidden", id: "map-help" }, t("map.keys")), place, seat),
    cancelling.element);
  const describe = (at) => {
    const found = model.seat(at);
    setText(seat, `${seatName(found)} (${at}): ${t(STATES[found.state])}`);
    announce(seat.textContent, { now: true });
  };
  const map = new SeatMap(model, new Set(), { press: describe, look: describe, signal });
  place.append(map.element);
  const count = () => {
    const held = model.states.filter((state) => state === "h").length;
    facts.replaceChildren(
      fact(t("free"), number(model.available)), fact(t("held"), number(held)),
      fact(t("sold"), number(model.states.length - model.available - held)));
  };
  count();
  await cancelling.look();
  poll(EVERY_SECONDS, async () => {
    const changed = await model.update(signal);
    if (changed === null) map.resize();
    if (changed === null || changed.length) {
      count();
      map.later();
    }
  }, signal);
  poll(EVERY_SECONDS * 2, () => cancelling.follow(), signal);
}

function legend() {
  return h("p", { class: "legend small" }, ["free", "held", "sold"].map((state) =>
    h("span", { class: "key" }, h("span", { class: `mark ${state}`, "aria-hidden": "true" }), t(state))));
}
