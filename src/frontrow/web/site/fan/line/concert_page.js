// A concert's page: its line, and this browser's place in it. The server has rendered the present view;
// this script follows the place, updates the view, and replaces it when the state changes.

import "../../shared/uncaught.js";
import { insist, isOfCall } from "../../shared/api.js";
import { secondsUntil } from "../../shared/clock.js";
import { beSomebody, session } from "../../shared/guest.js";
import { countdown, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { everySecond } from "../../shared/ticking.js";
import { adoptView, announce, enterView, fillView, handleActions, setTitle, viewName } from "../../shared/view.js";
import { follow } from "./follow.js";
import { leaveLine } from "./leave.js";
import { callFan } from "./turn_alert.js";
import { WaitingView } from "./waiting.js";

const JUST_NOW_MS = 2500;
const id = location.pathname.split("/")[2];

// Data from the server: the concert, whether this browser has a place in its line, where to sign in.
const { concert, opens, has_place: hasPlace, sign_in: signIn } = JSON.parse(document.getElementById("known").textContent);
const { title } = concert;
let following = new AbortController();
let { sale, state: roomState } = concert; // as last reported
let joinedAt = Number.NEGATIVE_INFINITY; // when the fan pressed the button, if that was just now

const address = new URL(location.href);
address.searchParams.delete("arrived"); // a mark of the navigation from another site
if (address.href !== location.href) history.replaceState(null, "", address);
adoptView();
handleActions({ join, leave, enter });
document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "visible" || viewName() !== "landing") return;
  try {
    const { places } = await session(); // another tab may have joined meanwhile
    if (places.includes(id)) followPlace();
  } catch (error) {
    if (!isOfCall(error)) throw error;
  }
});
if (hasPlace) followPlace();
else if (location.hash === "#left") {
  history.replaceState(null, "", location.pathname); // said once, not after a reload
  showFinished("left");
}

async function join() {
  try {
    await beSomebody();
    await insist("POST", "/queue/tokens", { body: { concert_id: id } });
    joinedAt = performance.now();
    followPlace();
  } catch (error) {
    if (signIn && error.code === "not_allowed") location.assign(signIn); // this server has no guests
    else if (error.code === "credential_missing") notify(t("landing.cookies_refused"), "bad");
    else notify(sentence(error), "bad");
  }
}

async function leave() {
  if (await leaveLine(id)) showFinished("left");
}

function enter() {
  following.abort();
  location.replace(`/concerts/${id}/seats`);
}

function followPlace() {
  following.abort();
  following = new AbortController();
  const waiting = new WaitingView(concert, opens);
  follow(id, {
    signal: following.signal,
    onStatus(status) {
      ({ sale, room_state: roomState } = status);
      if (status.state === "finished") showFinished(status.reason);
      else if (sale !== "open" && !status.claimed_at) showOver();
      else if (status.state === "waiting") waiting.update(status);
      else showTurn(status);
    },
    onTouch(isInTouch, error) {
      if (viewName() === "waiting") waiting.touch(isInTouch, error);
    },
    // Another tab has left the line, or the server doesn't know the place: its database is an older one.
    onLost: ({ code }) => showFinished(code === "credential_missing" ? "left" : "lost"),
  });
}

/** The turn has come. Users who have just pressed the button, or have been admitted before, need not press again. */
function showTurn(status) {
  if (status.claimed_at || performance.now() - joinedAt < JUST_NOW_MS) {
    enter();
    return;
  }
  const signal = enterView("turn", title);
  if (!signal) return;
  callFan(title);
  setTitle(t("turn.tab", { title }));
  announce(t("turn.title"), { now: true });
  everySecond(signal, () => fillView({ title, left: countdown(secondsUntil(status.expires_at)) }));
}

function showOver() {
  enterView("over", title);
  fillView({ title, heading: t(`over.${sale}`), text: t(`over.${sale}.next`) });
}

function showFinished(reason) {
  following.abort();
  enterView("finished", title);
  const isPaid = reason === "paid";
  const canJoin = sale === "open" && roomState !== "closed";
  fillView({
    title,
    heading: t(`finished.${reason}`),
    text: t(sale === "open" ? `finished.${reason}.next` : `over.${sale}`),
    paid: isPaid,
    join_again: canJoin && !isPaid,
    join_for_more: canJoin && isPaid,
  });
}
