// Converts between moments and local times at the venue.

/** The moment at which a clock in a time zone shows a local time (YYYY-MM-DDTHH:MM). */
export function instantAt(local, timeZone) {
  const wanted = Date.parse(`${local}Z`);
  let instant = wanted;
  // Twice: the first guess may lie on the other side of a change of the clocks.
  for (let round = 0; round < 2; round++) instant += wanted - Date.parse(`${localAt(instant, timeZone)}Z`);
  return new Date(instant).toISOString();
}

/** The local time in a time zone at a moment. */
export function localAt(instant, timeZone) {
  const format = new Intl.DateTimeFormat("en-CA", {
    timeZone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  });
  const part = Object.fromEntries(format.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day}T${part.hour}:${part.minute}`;
}

/** The time zones that this browser knows; the server rejects unknown ones. */
export function isZone(timeZone) {
  try {
    return Boolean(new Intl.DateTimeFormat("en", { timeZone }));
  } catch {
    return false;
  }
}
