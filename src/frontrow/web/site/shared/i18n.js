// Texts from the page's catalog, and values formatted in its language.

import { serverNow } from "./clock.js";

/** @type {Record<string, string>} */
const catalog = JSON.parse(document.getElementById("catalog").textContent);

export const language = document.documentElement.lang;

// Created once, when first needed: each takes a phone some milliseconds.
const formats = new Map();

function format(kind, options = {}) {
  const key = kind.name + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new kind(language, options));
  return formats.get(key);
}

/** Whether the catalog has a text. */
export function has(key) {
  return key in catalog;
}

/**
 * A text, its {names} filled in. With a `count`, "key.one" or "key.other" by the language's rules.
 * Numbers are formatted in the language.
 *
 * @param {string} key
 * @param {Record<string, any>} values
 * @returns {string}
 */
export function t(key, values = {}) {
  let text = catalog[key];
  if (text === undefined && "count" in values) {
    text = catalog[`${key}.${format(Intl.PluralRules).select(values.count)}`] ?? catalog[`${key}.other`];
  }
  if (text === undefined) throw new Error(`no text: ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? format(Intl.NumberFormat).format(values[name]) : String(values[name]),
  );
}

/**
 * An amount in the currency's minor unit.
 *
 * @param {number} amount
 * @param {string} currency
 */
export function money(amount, currency) {
  const written = format(Intl.NumberFormat, { style: "currency", currency });
  return written.format(amount / 10 ** written.resolvedOptions().maximumFractionDigits);
}

/**
 * A moment, as the clocks at the venue show it.
 *
 * @param {string} iso
 * @param {string | undefined} timeZone
 * @param {Intl.DateTimeFormatOptions} options
 * @returns {string}
 */
export function moment(iso, timeZone, options = { dateStyle: "full", timeStyle: "short" }) {
  return format(Intl.DateTimeFormat, { timeZone, ...options }).format(new Date(iso));
}

/**
 * A moment's time of day, at the venue or here.
 *
 * @param {string} iso
 * @param {string} [timeZone]
 */
export function timeOfDay(iso, timeZone) {
  return moment(iso, timeZone, { timeStyle: "short" });
}

/** A calendar day (YYYY-MM-DD), which has no time zone; with its year, unless it is in this one. */
export function day(date) {
  return days(date, date);
}

/** The days from one to another, written alike. */
export function days(first, last) {
  const [from, to] = [first, last].map((date) => new Date(`${date}T00:00:00Z`));
  const thisYear = new Date(serverNow()).getUTCFullYear();
  const hasYear = [from, to].some((date) => date.getUTCFullYear() !== thisYear);
  const options = { timeZone: "UTC", weekday: "short", month: "long", day: "numeric", ...(hasYear && { year: "numeric" }) };
  return format(Intl.DateTimeFormat, options).formatRange(from, to);
}

/**
 * A length of time in seconds, rounded for reading.
 *
 * @param {number} seconds
 */
export function roughly(seconds) {
  if (seconds < 60) return t("time.under_a_minute");
  if (seconds < 5400) return t("time.minutes", { count: Math.round(seconds / 60) });
  return t("time.hours", { count: Math.round(seconds / 1800) / 2 });
}

/**
 * A countdown, "4:07".
 *
 * @param {number} seconds
 */
export function countdown(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  const [minutes, rest] = [Math.floor(left / 60), left % 60];
  return `${minutes}:${String(rest).padStart(2, "0")}`;
}
