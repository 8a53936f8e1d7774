// The waiting view: the position, the expected wait, what happens next. The server has rendered it in
// the page, or has put its template there; this updates its values.

import { show } from "../../shared/dom.js";
import { roughly, t, timeOfDay } from "../../shared/i18n.js";
import { announce, enterView, fillView, setTitle } from "../../shared/view.js";
import { dontWant, isWanted, want } from "./turn_alert.js";

/** The view of one place. `opens`: when the line opens, as a text. */
export class WaitingView {
  constructor(concert, opens) {
    this.title = concert.title;
    this.opens = opens;
    this.first = null; // the number of users ahead at first
    /** @type {string | null} */
    this.lostAt = null;
  }

  /** Shows a status. */
  update(status) {
    const { title } = this;
    if (enterView("waiting", title)) setUpAlert(/** @type {HTMLButtonElement} */ (document.querySelector("[data-alert]")));
    this.first ??= Math.max(status.ahead, 1);
    const values = { title, ...valuesOf(status, this.opens) };
    fillView(values);
    const isDrawn = status.position !== null;
    /** @type {HTMLProgressElement} */
    const track = document.querySelector("progress.track");
    track.value = 1 - Math.min(status.ahead / this.first, 1);
    show(track, isDrawn && status.room_state === "open");
    setTitle(isDrawn ? t("wait.tab", { ahead: status.ahead, title }) : title);
    announce(values.ahead ? t("wait.ahead", { count: status.ahead }) : values.ahead_label);
  }

  /** Shows whether the server answers, and since when it doesn't. */
  touch(isInTouch, error) {
    this.lostAt = isInTouch ? null : (this.lostAt ?? new Date().toISOString());
    const key = error?.code === "out_of_touch" ? "wait.out_of_touch" : "wait.no_answer";
    const connection = isInTouch ? "" : t(key, { time: timeOfDay(this.lostAt) });
    fillView({ connection });
    if (connection) announce(connection);
  }
}

/** The values of a status, by the names that pages/line_view.py gives them too. */
function valuesOf(status, opens) {
  const { ahead, position, eta_seconds: eta, room_state: room } = status;
  const isDrawn = position !== null;
  const isBehind = isDrawn && ahead > 0;
  return {
    ahead: isBehind ? t("number", { number: ahead }) : "",
    ahead_label: isBehind ? t("wait.ahead_label", { count: ahead }) : t(isDrawn ? "wait.next_up" : "wait.before_draw"),
    next: t(`wait.next.${isDrawn || room !== "scheduled" ? room : "draw"}`, { opens }),
    number: isDrawn ? t("number", { number: position }) : t("wait.entry", { number: status.number }),
    forecast: eta ? band(eta) : t("wait.unknown"),
    seats: t("wait.seats_left", { count: status.seats_available }),
    outnumbered: status.seats_outnumbered && room !== "sold_out" ? t("wait.outnumbered") : "",
  };
}

/** A forecast as a range: its start is the median wait, its end is the 90th percentile. */
function band({ p50, p90 }) {
  const [first, last] = [roughly(p50), roughly(p90)];
  return first === last ? first : t("wait.band", { first, last });
}

function setUpAlert(button) {
  const showState = () => button.setAttribute("aria-pressed", String(isWanted()));
  button.addEventListener("click", async () => {
    if (isWanted()) dontWant();
    else await want();
    showState();
  });
  showState();
  show(button, true);
}
