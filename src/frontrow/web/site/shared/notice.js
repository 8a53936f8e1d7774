// Shows a message at the bottom of the page and announces it to screen readers.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const STAYS_MS = 12_000;
let region;
let timer;

/**
 * Shows a message until it is closed, the next one comes, or some seconds have passed.
 *
 * @param {string} text
 * @param {"info" | "good" | "bad"} kind
 */
export function notify(text, kind = "info") {
  region ??= document.getElementById("notices");
  clearTimeout(timer);
  const close = h("button", { type: "button", class: "plain", onclick: clearNotice }, t("close"));
  region.replaceChildren(h("div", { class: `notice ${kind}` }, h("p", {}, text), close));
  timer = setTimeout(clearNotice, STAYS_MS);
}

/** Removes the message. */
export function clearNotice() {
  clearTimeout(timer);
  region?.replaceChildren();
}
