// One concert before its seats: its line, as the server says this browser stands in it.

import { insist } from "../shared/api.js";
import { button, h } from "../shared/dom.js";
import { beSomebody, session } from "../shared/guest.js";
import { days, moment, money, t } from "../shared/i18n.js";
import { notify } from "../shared/notice.js";
import { sentence } from "../shared/refusals.js";
import { announce, heading, setTitle, showView, viewName } from "../shared/view.js";
import { roomBadge } from "./badge.js";
import { follow } from "./follow.js";
import { showTurn } from "./turnview.js";
import { leaveLine } from "./leave.js";
import { callFan } from "./turn.js";
import { showWaiting } from "./waiting.js";

const JUST_NOW_MS = 2500;
const id = location.pathname.split("/")[2];

let concert; // what is on sale
let line; // its line, as everybody sees it
let following = new AbortController();
let joinedAt = -Infinity; // when the fan pressed the button, if that was just now

start().catch(fail);

async function start() {
  const [listed, document_, mine] = await Promise.all([
    insist("GET", "/concerts"),
    insist("GET", `/concerts/${id}/queue`),
    session(),
  ]);
  concert = listed.body.concerts.find((each) => each.concert_id === id);
  line = document_.body;
  if (!concert) throw Object.assign(new Error(), { code: "not_found" });
  if (mine.places.includes(id)) followPlace();
  else if (location.hash === "#left") showFinished("left");
  else showLanding();
}

function fail(error) {
  showView(
    "failed",
    t("site"),
    heading(t("failed")),
    h("p", { role: "alert" }, sentence(error)),
    h("div", { class: "row" }, button(t("try_again"), () => location.reload(), { class: "primary" }), allConcerts()),
  );
}

function allConcerts() {
  return h("a", { class: "button", href: "/" }, t("all_concerts"));
}

// Before the line

function showLanding() {
  const { state, opens_at: opensAt } = line;
  const when = { dateStyle: "full", timeStyle: "short" };
  const next = opensAt && state === "scheduled" ? moment(opensAt, concert.timezone, when) : "";
  showView(
    "landing",
    concert.title,
    h("p", {}, roomBadge(state)),
    heading(concert.title),
    ...facts(),
    h("p", {}, t(`landing.${state}`, { opens: next, waiting: line.waiting })),
    state === "closed"
      ? h("p", {}, allConcerts())
      : h("div", { class: "row" }, button(t("join"), join, { class: "primary large" })),
    h("p", { class: "soft small" }, t("landing.fair")),
  );
}

function facts() {
  const when = concert.first_date && days(concert.first_date, concert.last_date);
  return [
    concert.artist && h("p", { class: "lead" }, concert.artist),
    h("p", { class: "soft" }, [when, concert.venue].filter(Boolean).join(" · ")),
    concert.price_from && h("p", {}, t("concert.from", { price: money(concert.price_from, concert.currency) })),
  ];
}

async function join() {
  try {
    await beSomebody();
    await insist("POST", "/queue/tokens", { body: { concert_id: id } });
    joinedAt = performance.now();
    followPlace();
  } catch (error) {
    notify(sentence(error), "bad");
  }
}

// In the line

function followPlace() {
  following.abort();
  following = new AbortController();
  const { signal } = following;
  let waiting = null;
  let latest = null;
  const goIn = () => {
    following.abort();
    location.replace(`/concerts/${id}/seats`);
  };
  follow(id, {
    signal,
    onStatus(status) {
      latest = status;
      if (status.state === "finished") showFinished(status.reason);
      else if (status.state === "waiting") {
        if (viewName() !== "waiting") waiting = showWaiting(concert, line, { leave });
        waiting.update(status);
      } else called(status, goIn);
    },
    onTouch(...told) {
      if (viewName() === "waiting") waiting?.touch(...told);
    },
    // Another tab has left the line, or this browser has forgotten the place.
    onLost: () => (latest ? showFinished("left") : showLanding()),
  });
}

/** The turn has come. Who has just pressed the button or was in already needn't press again. */
function called(status, goIn) {
  if (status.claimed_at || performance.now() - joinedAt < JUST_NOW_MS) goIn();
  else if (viewName() !== "turn") {
    callFan(concert.title);
    showTurn(concert, status, { enter: goIn, leave });
    setTitle(t("turn.tab", { title: concert.title }));
    announce(t("turn.title"), { now: true });
  }
}

async function leave() {
  if (await leaveLine(id)) {
    following.abort();
    showFinished("left");
  }
}

function showFinished(reason) {
  following.abort();
  showView(
    "finished",
    concert.title,
    heading(t(`finished.${reason}`)),
    h("p", {}, t(`finished.${reason}.next`)),
    h(
      "div",
      { class: "row" },
      reason === "paid" && h("a", { class: "button primary", href: "/tickets" }, t("my_tickets")),
      button(t("join_again"), join, { class: reason === "paid" ? "" : "primary" }),
      allConcerts(),
    ),
  );
}
