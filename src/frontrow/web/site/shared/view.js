// One view at a time in the page's main part: its content, its title, its focus.

import { busy, h, setText, show } from "./dom.js";
import { t } from "./i18n.js";

const main = document.getElementById("main");
const announcer = document.getElementById("announcer");
const SELDOM_MS = 20_000;

let current = null;
let announcedAt = -Infinity;

/**
 * Shows a view of these nodes. Returns a signal that is aborted when the next view is shown.
 *
 * @param {string} name
 * @param {string} title
 * @param {...Child} content
 * @returns {AbortSignal}
 */
export function showView(name, title, ...content) {
  return replaceView(name, title, h("div", { class: `stack view-${name}` }, content));
}

/**
 * Shows a view from its template, unless it is shown already, also by the server. Returns the view's signal the
 * first time, then null.
 *
 * @param {string} name
 * @param {string} title
 * @returns {AbortSignal | null}
 */
export function enterView(name, title) {
  if (current?.name !== name) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById(`view-${name}`));
    return replaceView(name, title, template.content.cloneNode(true));
  }
  if (!current.isRendered) return null;
  current.isRendered = false;
  setTitle(title);
  return current.controller.signal;
}

/** Takes over the view that the server has rendered. */
export function adoptView() {
  const { view: name } = elements("[data-view]")[0].dataset;
  current = { name, controller: new AbortController(), isRendered: true };
}

// The heading gets the focus when a view replaces another one, not when the page loads.
function replaceView(name, title, content) {
  const isNext = current !== null && current.name !== name;
  current?.controller.abort();
  current = { name, controller: new AbortController() };
  main.replaceChildren(content);
  setTitle(title);
  if (isNext) {
    window.scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
  return current.controller.signal;
}

/**
 * Updates a view from a template: its texts (hidden where empty), and what is shown under a condition.
 *
 * @param {Record<string, string | boolean>} values
 */
export function fillView(values) {
  for (const element of elements("[data-value]")) {
    const value = values[element.dataset.value];
    if (typeof value !== "string") continue;
    setText(element, value);
    show(element, value !== "");
  }
  for (const element of elements("[data-when]")) show(element, Boolean(values[element.dataset.when]));
}

/** @returns {HTMLElement[]} */
function elements(selector) {
  return [...main.querySelectorAll(selector)];
}

/**
 * Handles the views' buttons in place of the server.
 *
 * @param {Record<string, () => any>} actions by the button's value
 */
export function handleActions(actions) {
  main.addEventListener("submit", (event) => {
    const { submitter } = event;
    const action = actions[submitter?.getAttribute("value")];
    if (!action) return;
    event.preventDefault();
    busy(submitter, action);
  });
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
 * Announces a text to screen readers: always with `now`, otherwise only seldom.
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
