// Refreshes a visible page at intervals, and reports when the server doesn't answer.

import { pause } from "../shared/api.js";
import { clearNotice, notify } from "../shared/notice.js";
import { sentence } from "../shared/refusals.js";
import { signedIn } from "./operator.js";

/** Runs an action every `seconds` until the view is replaced. */
export async function poll(seconds, look, signal) {
  let isLost = false;
  for (;;) {
    await pause(seconds * 1000, signal);
    if (document.hidden) await seen(signal);
    if (signal.aborted) return;
    try {
      await signedIn(look);
      if (isLost) clearNotice();
      isLost = false;
    } catch (error) {
      if (signal.aborted) return;
      if (!isLost) notify(sentence(error), "bad");
      isLost = true;
    }
  }
}

function seen(signal) {
  return new Promise((resolve) => {
    const options = { once: true, signal };
    document.addEventListener("visibilitychange", resolve, options);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
