// The live view of a line: waiting and admitted users, the rate, the last hour; and its controls.

import { insist } from "../../shared/api.js";
import { h } from "../../shared/dom.js";
import { roughly, t } from "../../shared/i18n.js";
import { showView } from "../../shared/view.js";
import { roomBadge } from "../../shared/room_badge.js";
import { Chart } from "./charts.js";
import { concertHeading, concertId, fact, thisConcert } from "../concert_nav.js";
import { Controls } from "./controls.js";
import { number, percent } from "../format.js";
import { operate, run } from "../operator.js";
import { orderCard } from "./line_export.js";
import { LineSettings } from "./line_settings.js";
import { poll } from "../polling.js";
import { TimesForm } from "./times.js";

const DOCUMENT_SECONDS = 2;
const STATISTICS_SECONDS = 5;
const HISTORY_SECONDS = 30;
const ADMIN = /** @type {const} */ (`/concerts/${concertId}`);

run(async () => {
  const concert = await thisConcert();
  const [{ body: stats }, { body: line }, answer] = await Promise.all([
    operate("GET", `${ADMIN}/stats`),
    insist("GET", `/concerts/${concertId}/queue`),
    operate("GET", `${ADMIN}/waiting-room`),
  ]);
  const settings = new LineSettings(concert, answer);
  const room = new Room(concert, { stats, line, settings });
  await room.history();
});

class Room {
  constructor(concert, { stats, line, settings }) {
    this.state = h("p", {});
    this.now = h("dl", { class: "facts big" });
    this.soFar = h("dl", { class: "facts" });
    this.controls = new Controls(concert, settings, () => this.look());
    const times = new TimesForm(concert, settings, () => this.look());
    const places = h("div", { class: "columns" });
    const signal = showView("room", concert.title, concertHeading(concert),
      h("section", { class: "card stack", "aria-labelledby": "now" },
        h("div", { class: "row spread" }, h("h2", { id: "now" }, t("room.now")), this.state), this.now),
      places,
      h("div", { class: "columns" }, this.controls.element,
        h("div", { class: "stack" },
          h("section", { class: "card stack" }, h("h2", {}, t("room.so_far")), this.soFar), times.element)),
      orderCard(concertId));
    this.levels = new Chart(t("chart.levels"), ["waiting", "admitted"], signal);
    this.flows = new Chart(t("chart.flows"), ["joined", "called", "paid"], signal);
    places.append(this.levels.element, this.flows.element);
    this.showNow(line, stats);
    this.showSoFar(stats);
    poll(DOCUMENT_SECONDS, () => this.look(), signal);
    poll(STATISTICS_SECONDS, () => this.count(), signal);
    poll(HISTORY_SECONDS, () => this.history(), signal);
  }

  async look() {
    const { body } = await insist("GET", `/concerts/${concertId}/queue`);
    this.showNow(body, this.stats);
  }

  async count() {
    const { body } = await operate("GET", `${ADMIN}/stats`);
    this.showSoFar(body);
  }

  async history() {
    const { body } = await operate("GET", `${ADMIN}/history`);
    await Promise.all([this.levels.show(body.minutes), this.flows.show(body.minutes)]);
  }

  showNow(line, stats) {
    this.stats = stats;
    this.state.replaceChildren(roomBadge(line.state));
    this.controls.showState(line);
    const pace = line.admitted_per_minute;
    const wait = line.waiting === 0 ? t("room.nobody_waits")
      : pace ? roughly((line.waiting / pace) * 60) : t("room.no_pace");
    this.now.replaceChildren(
      fact(t("fact.waiting"), number(line.waiting)),
      fact(t("fact.in"), stats.cap === null ? number(line.admitted) : t("of", { some: line.admitted, all: stats.cap })),
      fact(t("fact.per_minute"), number(pace)),
      fact(t("fact.until_called"), wait),
      fact(t("fact.seats_left"), t("of", { some: line.seats_available, all: line.seats_total })),
    );
  }

  showSoFar(stats) {
    this.stats = stats;
    const { finished, forecast } = stats;
    this.soFar.replaceChildren(
      fact(t("fact.claimed"), t("of", { some: stats.claimed, all: stats.called })),
      fact(t("fact.joined_per_minute"), number(stats.joined_per_minute)),
      fact(t("fact.finished_per_minute"), number(stats.finished_per_minute)),
      fact(t("finished.paid"), number(finished.paid)),
      fact(t("finished.left"), number(finished.left)),
      fact(t("finished.expired"), number(finished.expired)),
      fact(t("fact.no_show"), percent(stats.no_show_share)),
      fact(t("fact.holds_expired"), number(stats.holds_expired)),
      fact(t("fact.forecast"), forecast.judged
        ? t("fact.forecast.quality", { below: percent(forecast.below_p90), judged: forecast.judged }) : "–"),
    );
  }
}
