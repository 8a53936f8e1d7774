// The server's time, estimated from its responses: this device's clock may be wrong by hours.

let earliest = -Infinity;
let latest = Infinity;
let offset = 0;

const LAG_MS = 2000; // a Date is cut to its second, and the server writes it once a second

/**
 * Notes an answer's Date: the server's clock had this time at some moment between sending and receiving. Each
 * answer narrows the range of the difference between the two clocks.
 */
export function hear(date, sent, received) {
  const served = Date.parse(date);
  if (Number.isNaN(served)) return;
  const [from, to] = [served - received, served + LAG_MS - sent];
  if (from > latest || to < earliest) [earliest, latest] = [from, to]; // a clock was set
  else [earliest, latest] = [Math.max(from, earliest), Math.min(to, latest)];
  offset = latest; // the latest possible: no countdown shows more time than is left
}

/** The server's time now, in milliseconds since 1970. */
export function serverNow() {
  return Date.now() + offset;
}

/**
 * Returns the seconds until a moment by the server's clock; negative once it has passed.
 *
 * @param {string} iso
 */
export function secondsUntil(iso) {
  return (Date.parse(iso) - serverNow()) / 1000;
}
