// One concert before its seats: its line, as the server says this browser stands in it.

import "../../shared/uncaught.js";
import { insist } from "../../shared/api.js";
import { busy, button, h } from "../../shared/dom.js";
import { beSomebody, session } from "../../shared/guest.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { adoptView, announce, heading, setTitle, showView, viewName } from "../../shared/view.js";
import { follow } from "./follow.js";
import { showTurn } from "./turn_view.js";
import { leaveLine } from "./leave.js";
import { showOver } from "./ended.js";
import { callFan } from "./turn_alert.js";
import { showWaiting } from "./waiting.js";

const JUST_NOW_MS = 2500;
const id = location.pathname.split("/")[2];

// What the page came with: what is on sale, its line as everybody sees it, whether one is in it.
const known = JSON.parse(document.getElementById("known").textContent);
const { concert, line, has_place: hasPlace, sign_in: signIn } = known;
let following = new AbortController();
let { sale, state: roomState } = concert; // as they were heard of last
let joinedAt = -Infinity; // when the fan pressed the button, if that was just now

if (hasPlace) followPlace();
else if (location.hash === "#left") showFinished("left");
else adoptLanding();

/** The page came with how to join: here the form does it without a new page. */
function adoptLanding() {
  adoptView("landing");
  const form = document.querySelector("main form");
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(/** @type {SubmitEvent} */ (event).submitter, join);
  });
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible" || viewName() !== "landing") return;
    const { places } = await session(); // another tab may have joined meanwhile
    if (places.includes(id)) followPlace();
  });
}

function allConcerts() {
  return h("a", { class: "button", href: "/" }, t("all_concerts"));
}

async function join() {
  try {
    await beSomebody();
    await insist("POST", "/queue/tokens", { body: { concert_id: id } });
    joinedAt = performance.now();
    followPlace();
  } catch (error) {
    if (signIn && error.code === "not_allowed") location.assign(signIn); // there are no guests here
    else notify(sentence(error), "bad");
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
      ({ sale, room_state: roomState } = status);
      if (status.state === "finished") showFinished(status.reason);
      else if (sale !== "open" && !status.claimed_at) {
        if (viewName() !== "over") showOver(concert, sale, { leave });
      } else if (status.state === "waiting") {
        if (viewName() !== "waiting") waiting = showWaiting(concert, line, { leave });
        waiting.update(status);
      } else called(status, goIn);
    },
    onTouch(...told) {
      if (viewName() === "waiting") waiting?.touch(...told);
    },
    // Another tab has left the line, or this browser has forgotten the place.
    onLost: () => (latest ? showFinished("left") : location.reload()),
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
    h("p", {}, t(sale === "open" ? `finished.${reason}.next` : `over.${sale}`)),
    h(
      "div",
      { class: "row" },
      reason === "paid" && h("a", { class: "button primary", href: "/tickets" }, t("my_tickets")),
      sale === "open" && roomState !== "closed" && button(t("join_again"), join, { class: reason === "paid" ? "" : "primary" }),
      allConcerts(),
    ),
  );
}
