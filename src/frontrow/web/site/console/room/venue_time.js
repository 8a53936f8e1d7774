// Converts between moments and local times at the venue.

const DAY_MS = 86_400_000;

/**
 * The moments at which a clock in a time zone shows a local time (YYYY-MM-DDTHH:MM), in milliseconds: one; none if the
 * clocks are set forward over it; two, the earlier one first, if they are set back over it.
 *
 * @returns {number[]}
 */
export function instantsAt(local, timeZone) {
  const wanted = Date.parse(`${local}Z`);
  // With the offsets before and after any change of the clocks.
  const guesses = [-DAY_MS, DAY_MS].map((away) => 2 * wanted + away - Date.parse(`${localAt(wanted + away, timeZone)}Z`));
  return [...new Set(guesses)].filter((instant) => localAt(instant, timeZone) === local).sort((one, other) => one - other);
}

/** The local time in a time zone at a moment. */
export function localAt(instant, timeZone) {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  });
  const part = Object.fromEntries(format.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
  return `${part.year.padStart(4, "0")}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

/** The time zones that this browser knows; the server rejects unknown ones. */
export function isZone(timeZone) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone }));
  } catch {
    return false;
  }
}
