// Calls of the public API. The credentials are cookies that no script can read.

import { hear } from "./clock.js";

const BASE = "/api/v1";
const PATIENCE_MS = 15_000;
const LONGEST_PAUSE_MS = 5000;

/** The server refused the call: `code` is the contract's, `problem` the whole problem document. */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {Partial<Api.Problem> & Record<string, any>} problem
   * @param {string | null} [retryAfter]
   */
  constructor(status, problem, retryAfter = null) {
    super(problem.detail ?? String(status));
    this.status = status;
    this.problem = problem;
    this.code = problem.code ?? (status >= 500 ? "unavailable" : "internal_error");
    this.retryAfterMs = (Number(retryAfter) || 0) * 1000;
  }
}

/** No response: the network or the server is unavailable. */
export class OutOfTouch extends Error {
  constructor() {
    super("out of touch");
    this.code = "out_of_touch";
    this.problem = {};
  }
}

/** Whether an error is a call's outcome; any other is a fault of the page. */
export function isOfCall(error) {
  return error instanceof Refused || error instanceof OutOfTouch;
}

/**
 * Makes one call. Returns { status, body, etag, replayed }; a 304 has no body. replayed: the answer is that of an
 * earlier request with the same key, not the present state.
 *
 * concert: whose place makes the call, where the path doesn't say. key: its Idempotency-Key. etag:
 * the version that is known. ifMatch: the version that may be replaced. patience: milliseconds until the call
 * counts as unanswered.
 *
 * @template {string} Method
 * @template {string} Path
 * @param {Method} method
 * @param {Path} path
 * @param {CallOptions<Sent<Method, Path>>} options
 * @returns {Promise<{ status: number, body: Answer<Method, Path>, etag: string | null, replayed: boolean }>}
 */
export async function call(method, path, options = {}) {
  const { response, end } = await send(method, path, options);
  const { status, headers } = response;
  try {
    const body = await read(response);
    if (status >= 400) throw new Refused(status, body ?? {}, headers.get("retry-after"));
    const replayed = headers.get("idempotency-replayed") === "true";
    return { status, body, etag: headers.get("etag"), replayed };
  } finally {
    end();
  }
}

/** Returns the JSON of a response. Anything else as a result comes from a proxy on the way, not from the server. */
async function read(response) {
  const isJson = response.headers.get("content-type")?.includes("json");
  if (!isJson && (!response.ok || response.status === 204)) return undefined;
  try {
    return await response.json();
  } catch {
    throw new OutOfTouch();
  }
}

/**
 * Returns the response itself, for streams. `done` stops the timeout; `end` also ends the call.
 *
 * @param {string} method
 * @param {string} path
 * @param {CallOptions} options
 */
export async function send(method, path, options = {}) {
  const { body, concert, key, etag, ifMatch, signal, bearer, accept, cache = "no-store", patience = PATIENCE_MS } = options;
  /** @type {Record<string, string>} */
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (concert) headers["Frontrow-Concert"] = concert;
  if (key) headers["Idempotency-Key"] = key;
  if (etag) headers["If-None-Match"] = etag;
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (accept) headers.Accept = accept;
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const ended = new AbortController();
  const timer = setTimeout(() => ended.abort(), patience);
  const done = () => clearTimeout(timer);
  const end = () => {
    done();
    ended.abort();
  };
  // Not AbortSignal.any, which Safari has since 17.4 only.
  signal?.addEventListener("abort", end, { signal: ended.signal });
  if (signal?.aborted) end();
  const content = body === undefined ? undefined : JSON.stringify(body);
  const request = new Request(BASE + path, { method, headers, body: content, signal: ended.signal, cache });
  const sent = Date.now();
  let response;
  try {
    response = await fetch(request);
  } catch (error) {
    end();
    throw signal?.aborted ? error : new OutOfTouch();
  }
  hear(response.headers.get("date"), sent, Date.now());
  return { response, done, end };
}

/** Returns the error of a response of `send` that is a refusal. */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  return new Refused(response.status, problem, response.headers.get("retry-after"));
}

/**
 * Makes a call that may be repeated until it is answered: reads, and writes with their own key. A call that the
 * server could not run is repeated after its Retry-After, and once the browser is online again.
 *
 * onRetry: called with the error before each repetition.
 *
 * @template {string} Method
 * @template {string} Path
 * @param {Method} method
 * @param {Path} path
 * @param {CallOptions<Sent<Method, Path>>} options
 * @returns {Promise<{ status: number, body: Answer<Method, Path>, etag: string | null, replayed: boolean }>}
 */
export async function insist(method, path, options = {}, attempts = 4) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(method, path, options);
    } catch (error) {
      const passing =
        error instanceof OutOfTouch || error.code === "overloaded" || error.code === "unavailable";
      if (!passing || attempt >= attempts || options.signal?.aborted) throw error;
      options.onRetry?.(error);
      const wait = Math.min(300 * 2 ** attempt, LONGEST_PAUSE_MS);
      await untilOnline(Math.max(error.retryAfterMs ?? 0, wait) * (0.75 + Math.random() / 2), options.signal);
    }
  }
}

/** Waits, but no longer than until the browser is online again. */
async function untilOnline(ms, signal) {
  const waiting = new AbortController();
  const end = () => waiting.abort();
  window.addEventListener("online", end, { signal: waiting.signal });
  signal?.addEventListener("abort", end, { signal: waiting.signal });
  await pause(ms, waiting.signal);
  end();
}

/**
 * Waits.
 *
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end, { once: true });
  });
}
