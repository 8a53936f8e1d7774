// The waiting view: where one stands, how long it may take, what happens next.

import { button, h, setText, show } from "../../shared/dom.js";
import { moment, roughly, t, timeOfDay } from "../../shared/i18n.js";
import { announce, heading, setTitle, showView } from "../../shared/view.js";
import { dontWant, isWanted, want } from "./turn_alert.js";

/**
 * Shows the view. Gives { update, touch, signal }: to be told each status and whether the server
 * answers.
 */
export function showWaiting(concert, line, { leave }) {
  const parts = {
    ahead: h("strong", { class: "ahead figures" }),
    aheadLabel: h("span", { class: "ahead-label" }),
    next: h("p", {}),
    track: h("progress", { class: "track", max: 1, "aria-hidden": "true" }),
    number: h("dd", { class: "figures" }),
    wait: h("dd", {}),
    seats: h("dd", { class: "figures" }),
    sold: h("p", { class: "hint warn" }, t("wait.outnumbered")),
    touch: h("p", { class: "hint bad" }),
  };
  const signal = showView(
    "waiting",
    concert.title,
    heading(t("wait.heading")),
    h("p", { class: "soft" }, concert.title),
    parts.touch,
    h(
      "section",
      { class: "card place", "aria-label": t("wait.place") },
      h("p", { class: "ahead-line" }, parts.ahead, parts.aheadLabel),
      parts.track,
      parts.next,
      h(
        "dl",
        { class: "facts" },
        fact(t("wait.number"), parts.number),
        fact(t("wait.forecast"), parts.wait),
        fact(t("wait.seats"), parts.seats),
      ),
      parts.sold,
    ),
    h("div", { class: "row" }, alertButton(), button(t("leave"), leave, { class: "plain" })),
    h("p", { class: "soft small" }, t("wait.keep")),
  );
  show(parts.touch, false);
  let first = null;
  return {
    signal,
    update(status) {
      first ??= Math.max(status.ahead, 1);
      fill(parts, status, { ...line, first, timeZone: concert.timezone, title: concert.title });
    },
    touch(isInTouch, error) {
      show(parts.touch, !isInTouch);
      if (isInTouch) return;
      setText(parts.touch, t("wait.out_of_touch", { time: timeOfDay(new Date().toISOString()) }));
      announce(t(error.code === "overloaded" ? "refusal.overloaded" : "refusal.out_of_touch"));
    },
  };
}

function fact(label, value) {
  return h("div", {}, h("dt", {}, label), value);
}

function fill(parts, status, { first, opens_at: opensAt, timeZone, title }) {
  const { ahead, position, eta_seconds: eta, room_state: room } = status;
  const drawn = position !== null;
  const text = !drawn ? t("wait.before_draw") : ahead ? t("wait.ahead", { count: ahead }) : t("wait.next_up");
  const isNext = drawn && ahead === 0;
  setText(parts.ahead, drawn && !isNext ? t("number", { number: ahead }) : "");
  setText(parts.aheadLabel, drawn && !isNext ? t("wait.ahead_label", { count: ahead }) : text);
  parts.track.value = 1 - Math.min(ahead / first, 1);
  show(parts.track, drawn && room === "open");
  setText(parts.number, drawn ? t("number", { number: position }) : t("wait.entry", { number: status.number }));
  setText(parts.wait, eta ? band(eta) : t("wait.unknown"));
  setText(parts.seats, t("wait.seats_left", { count: status.seats_available }));
  show(parts.sold, status.seats_outnumbered && room !== "sold_out");
  const opens = opensAt ? moment(opensAt, timeZone, { dateStyle: "medium", timeStyle: "short" }) : "";
  setText(parts.next, t(`wait.next.${drawn || room !== "scheduled" ? room : "draw"}`, { opens }));
  setTitle(drawn ? t("wait.tab", { ahead, title }) : title);
  announce(text);
}

/** A forecast as a band: as likely earlier as later, and nine times out of ten not later. */
function band({ p50, p90 }) {
  const [from, to] = [roughly(p50), roughly(p90)];
  return from === to ? from : t("wait.band", { from, to });
}

function alertButton() {
  const state = () => String(isWanted());
  const element = button(
    t("wait.alert"),
    async () => {
      if (isWanted()) dontWant();
      else await want();
      element.setAttribute("aria-pressed", state());
    },
    { "aria-pressed": state() },
  );
  return element;
}
