// One view at a time in the page's main part: its title, its focus, and when it is over.

import { h, setText } from "./dom.js";
import { t } from "./i18n.js";

const main = document.getElementById("main");
const announcer = document.getElementById("announcer");
const SELDOM_MS = 20_000;

let current = null;
let announcedAt = -Infinity;

/**
 * Shows a view. Its heading gets the focus when it replaces another view, not when the page loads.
 * Gives a signal that is aborted when the next view comes.
 *
 * @param {string} name
 * @param {string} title
 * @param {...Child} content
 * @returns {AbortSignal}
 */
export function showView(name, title, ...content) {
  const isNext = current !== null && current.name !== name;
  current?.controller.abort();
  current = { name, controller: new AbortController() };
  main.replaceChildren(h("div", { class: `stack view-${name}` }, content));
  setTitle(title);
  if (isNext) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
  return current.controller.signal;
}

/** Takes over what the page came with as a view. */
export function adoptView(name) {
  current = { name, controller: new AbortController() };
}

/** The name of the view that is shown. */
export function viewName() {
  return current?.name;
}

/**
 * The heading of a view, which can have the focus.
 *
 * @param {string} text
 */
export function heading(text) {
  return h("h1", { tabIndex: -1 }, text);
}

/** The text in the browser's tab. */
export function setTitle(title) {
  const text = `${title} · ${t("site")}`;
  if (document.title !== text) document.title = text;
}

/**
 * Says something aloud: what matters at once, the rest seldom.
 *
 * @param {string} text
 * @param {{ now?: boolean }} options
 */
export function announce(text, { now = false } = {}) {
  const time = performance.now();
  if (!now && time - announcedAt < SELDOM_MS) return;
  announcedAt = time;
  setText(announcer, text);
}
