// Follows a place in a line: far back by the line's public document, near the front by the stream; and reports when
// the server doesn't answer. The server's status is authoritative.

import { OutOfTouch, call, isOfCall, pause, refusal, send } from "../../shared/api.js";

const NEAR = 200; // users ahead, below which the stream is worth a connection
const DOCUMENT_MS = 2000;
const OWN_MS = 30_000; // interval between requests of the place's own status, far back
const SILENCE_MS = 20_000; // the stream sends an event every 15 s
const LONGEST_RETRY_MS = 15_000;
const NO_STREAM_MS = 60_000;

/**
 * Follows until the place is finished or the signal is aborted.
 *
 * onStatus: called with each status; `estimated` ones are computed from the document. onTouch: called
 * with whether the server answers. onLost: called when this browser no longer has the place.
 * Returns a function that requests the status at once.
 */
export function follow(concert, { onStatus, onTouch, onLost, signal }) {
  const nap = wakeable(signal);
  new Following(concert, { onStatus, onTouch, onLost, signal, nap }).run();
  return nap.wake;
}

/** The time between two requests of the document. */
function untilNext() {
  return DOCUMENT_MS * (1 + Math.random() / 4);
}

class Following {
  /**
   * @param {string} concert
   * @param {{ onStatus: Function, onTouch: Function, onLost: Function, signal: AbortSignal, nap: any }} parts
   */
  constructor(concert, { onStatus, onTouch, onLost, signal, nap }) {
    this.concert = concert;
    this.onStatus = onStatus;
    this.onTouch = onTouch;
    this.onLost = onLost;
    this.signal = signal;
    this.nap = nap;
    /** @type {Api.Status | null} */
    this.status = null;
    this.askedAt = 0;
    this.failures = 0;
    this.noStreamUntil = 0;
  }

  async run() {
    while (!this.signal.aborted && this.status?.state !== "finished") {
      try {
        await this.nap(await this.step());
      } catch (error) {
        if (this.signal.aborted) return;
        if (!isOfCall(error)) {
          reportError(error); // a fault of the page, not of the connection
          await this.nap(LONGEST_RETRY_MS);
          continue;
        }
        if (error.code === "credential_missing" || error.code === "credential_invalid") {
          this.onLost(error);
          return;
        }
        await this.nap(this.fail(error));
      }
    }
  }

  /** Makes the request for the present state. Returns the time until the next step, in milliseconds. */
  async step() {
    const { status } = this;
    const age = Date.now() - this.askedAt;
    if (!status || this.nap.woken() || age > OWN_MS) return this.askOwn();
    if (this.suitsStream()) return this.stream();
    return status.state === "admitted" ? this.askOwn() : this.askDocument();
  }

  suitsStream() {
    const { state, ahead } = this.status;
    const isSeen = document.visibilityState === "visible";
    return isSeen && Date.now() > this.noStreamUntil && (state === "admitted" || ahead <= NEAR);
  }

  async askOwn() {
    const { body } = await call("GET", "/queue/tokens/me", this.as());
    this.report(body);
    if (this.suitsStream()) return 0;
    return body.state === "admitted" ? Math.max(body.poll_after_ms, DOCUMENT_MS) : untilNext();
  }

  async askDocument() {
    const path = /** @type {const} */ (`/concerts/${this.concert}/queue`);
    const { body } = await call("GET", path, { signal: this.signal, cache: "default" });
    const { number, position, ahead } = this.status;
    const isCalled = position !== null && body.serving >= position;
    const isOther = body.state !== this.status.room_state || body.sale !== this.status.sale;
    const isUnknown = number > body.issued; // the database is an older one
    if (isCalled || isOther || isUnknown) return this.askOwn();
    this.touched();
    this.onStatus({
      ...this.status,
      ahead: position === null ? ahead : Math.min(ahead, position - body.serving - 1),
      seats_available: body.seats_available,
      estimated: true,
    });
    return untilNext();
  }

  /** Reads the stream until it ends, the tab is hidden, or no event arrives any more. */
  async stream() {
    const watch = new AbortController();
    const stop = () => watch.abort();
    let timer = setTimeout(stop, SILENCE_MS);
    document.addEventListener("visibilitychange", stop, { signal: watch.signal });
    window.addEventListener("offline", stop, { signal: watch.signal });
    this.signal.addEventListener("abort", stop, { signal: watch.signal });
    this.nap.onwake = stop;
    try {
      const path = "/queue/tokens/me/events";
      const { response, done } = await send("GET", path, { ...this.as(), signal: watch.signal });
      done();
      if (!response.ok) throw await refusal(response);
      for await (const status of events(response.body)) {
        clearTimeout(timer);
        timer = setTimeout(stop, SILENCE_MS);
        this.report(status);
        if (status.state === "finished") break;
      }
      return 1000 * (1 + Math.random());
    } catch (error) {
      if (error.code === "overloaded" || error.code === "rate_limited") {
        this.noStreamUntil = Date.now() + NO_STREAM_MS;
      }
      const isCut = error instanceof OutOfTouch || error.name === "AbortError";
      if (!watch.signal.aborted || !isCut) throw error;
      const isMeant = document.visibilityState !== "visible" || this.nap.isWoken();
      if (isMeant) return 0; // continues by polling
      throw new OutOfTouch();
    } finally {
      clearTimeout(timer);
      this.nap.onwake = undefined;
      stop();
    }
  }

  as() {
    return { concert: this.concert, signal: this.signal };
  }

  report(status) {
    this.status = status;
    this.askedAt = Date.now();
    this.touched();
    this.onStatus(status);
  }

  touched() {
    this.failures = 0;
    this.onTouch(true);
  }

  fail(error) {
    if (error.code === "token_finished") {
      this.askedAt = 0; // the next status has the reason
      return 0;
    }
    if (error.code === "not_found") this.askedAt = 0; // no document: the line may be gone, and its places
    this.failures += 1;
    this.onTouch(false, error);
    const wait = Math.min(LONGEST_RETRY_MS, 500 * 2 ** this.failures) * (0.75 + Math.random() / 2);
    return Math.max(wait, error.retryAfterMs ?? 0);
  }
}

/** Waits that end early when the tab is visible again, the network is back, or a status is requested. */
function wakeable(signal) {
  let wake = () => {};
  let woken = false;
  const nap = async (ms) => {
    if (woken) return;
    /** @type {Promise<void>} */
    const woke = new Promise((resolve) => (wake = resolve));
    await Promise.race([pause(ms, signal), woke]);
  };
  nap.onwake = undefined;
  nap.wake = () => {
    woken = true;
    wake();
    nap.onwake?.();
  };
  nap.isWoken = () => woken;
  nap.woken = () => {
    const was = woken;
    woken = false;
    return was;
  };
  const options = { signal };
  const seen = () => document.visibilityState === "visible" && nap.wake();
  document.addEventListener("visibilitychange", seen, options);
  window.addEventListener("online", nap.wake, options);
  window.addEventListener("pageshow", (event) => event.persisted && nap.wake(), options);
  document.addEventListener("resume", nap.wake, options);
  return nap;
}

/** The statuses of a stream of server-sent events. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new OutOfTouch();
    });
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}
