// Texts from the page's catalog, and values in the words of its language.

const catalog = JSON.parse(document.getElementById("catalog").textContent);

export const language = document.documentElement.lang;

const plurals = new Intl.PluralRules(language);
const numbers = new Intl.NumberFormat(language);

/** Whether the catalog has a text. */
export function has(key) {
  return key in catalog;
}

/**
 * A text, its {names} filled in. With a `count`, "key.one" or "key.other" by the language's rules.
 * Numbers are written as the language writes them.
 */
export function t(key, values = {}) {
  let text = catalog[key];
  if (text === undefined && "count" in values) {
    text = catalog[`${key}.${plurals.select(values.count)}`] ?? catalog[`${key}.other`];
  }
  if (text === undefined) throw new Error(`no text: ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) =>
    typeof values[name] === "number" ? numbers.format(values[name]) : String(values[name]),
  );
}

/** An amount in the currency's minor unit. */
export function money(amount, currency) {
  const format = new Intl.NumberFormat(language, { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits;
  return format.format(amount / 10 ** digits);
}

/** A moment, as the clocks at the venue show it. */
export function moment(iso, timeZone, options = { dateStyle: "full", timeStyle: "short" }) {
  return new Intl.DateTimeFormat(language, { timeZone, ...options }).format(new Date(iso));
}

/** A moment's time of day, at the venue or here. */
export function timeOfDay(iso, timeZone) {
  return moment(iso, timeZone, { timeStyle: "short" });
}

/** A calendar day (YYYY-MM-DD), which has no time zone. */
export function day(date, options = { weekday: "short", month: "long", day: "numeric" }) {
  return moment(`${date}T00:00:00Z`, "UTC", options);
}

/** The days from one to another. */
export function days(first, last) {
  const format = new Intl.DateTimeFormat(language, {
    timeZone: "UTC", weekday: "short", month: "long", day: "numeric",
  });
  return format.formatRange(new Date(`${first}T00:00:00Z`), new Date(`${last}T00:00:00Z`));
}

/** A length of time in seconds, as roughly as people say it. */
export function roughly(seconds) {
  if (seconds < 60) return t("time.under_a_minute");
  if (seconds < 5400) return t("time.minutes", { count: Math.round(seconds / 60) });
  return t("time.hours", { count: Math.round(seconds / 1800) / 2 });
}

/** A countdown, "4:07". */
export function countdown(seconds) {
  const left = Math.max(0, Math.ceil(seconds));
  const [minutes, rest] = [Math.floor(left / 60), left % 60];
  return `${minutes}:${String(rest).padStart(2, "0")}`;
}
