// The server's time, estimated from its responses: this device's clock may be wrong by hours.

let earliest = -Infinity;
let latest = Infinity;
let offset = 0;

const LAG_MS = 2000; // a Date is cut to its second, and the server writes it once a second

/**
 * Takes note of an answer's Date: at some moment between sending and receiving the server's clock
 * stood at most so much later. Each answer narrows what the two clocks differ by.
 */
export function hear(date, sent, received) {
  const served = Date.parse(date);
  if (Number.isNaN(served)) return;
  const [from, to] = [served - received, served + LAG_MS - sent];
  if (from > latest || to < earliest) [earliest, latest] = [from, to]; // a clock was set
  else [earliest, latest] = [Math.max(from, earliest), Math.min(to, latest)];
  offset = latest; // of what may be, the latest: no countdown shows time that isn't there
}

/** The server's time now, in milliseconds since 1970. */
export function serverNow() {
  return Date.now() + offset;
}

/**
 * Seconds until a moment of the server's; negative once it is past.
 *
 * @param {string} iso
 */
export function secondsUntil(iso) {
  return (Date.parse(iso) - serverNow()) / 1000;
}
