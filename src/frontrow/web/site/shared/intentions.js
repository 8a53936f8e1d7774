// Idempotency-Keys. A key belongs to one intention of the user: it is kept until the request is known to have
// succeeded, also over a reload. A key made from a state (a balance, a choice) would repeat an old request when that
// state comes back.

import { Refused } from "./api.js";
import { randomUuid } from "./uuid.js";

const KEPT = "frontrow.intentions"; // no secret: a key is valid only for the user who sends it
const UNDECIDED = new Set([401, 403, 429]); // refused before the request itself was considered

/**
 * Makes a request under the key of its intention: that of an earlier attempt at the same, unless its outcome is known.
 * `replayed` in the answer says that an earlier attempt succeeded: the answer is then that of the earlier time.
 *
 * @template Answer
 * @param {string} name of the intention: its purpose and its object
 * @param {unknown} wanted the request's body; a request for something else is another intention
 * @param {(key: string) => Promise<Answer>} request
 * @returns {Promise<Answer>}
 */
export async function intend(name, wanted, request) {
  const body = JSON.stringify(wanted);
  const all = load();
  const key = all[name]?.body === body ? all[name].key : randomUuid();
  save({ ...all, [name]: { body, key } });
  try {
    const answer = await request(key);
    settle(name);
    return answer;
  } catch (error) {
    if (error instanceof Refused && error.status < 500 && !UNDECIDED.has(error.status)) settle(name);
    throw error;
  }
}

/** Returns what was wanted by an intention whose outcome isn't known; null if there is none. */
export function unsettled(name) {
  const kept = load()[name];
  return kept ? JSON.parse(kept.body) : null;
}

/** Ends an intention: its outcome is known. */
export function settle(name) {
  const { [name]: _, ...others } = load();
  save(others);
}

function load() {
  return JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
}

function save(all) {
  sessionStorage.setItem(KEPT, JSON.stringify(all));
}
