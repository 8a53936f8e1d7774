// The scans of a gate: each is queued and has a verdict of its own, however late its answer comes.

import { h } from "../../shared/dom.js";
import { has, moment, t } from "../../shared/i18n.js";
import { intend } from "../../shared/intentions.js";
import { sentence } from "../../shared/refusals.js";
import { seatName } from "../../shared/seat_names.js";
import { announce } from "../../shared/view.js";
import { operate } from "../operator.js";
import { sound } from "./sound.js";

const MOST_ASKED = 4; // calls at once: a browser has six connections to a server
const MOST_SHOWN = 10; // verdicts below the latest one
const MARKS = { good: "✓ ", bad: "✕ ", pending: "… " };

/** The queue, and its verdicts: the latest scan large, the earlier ones below it. */
export class Scans {
  /**
   * @param {Map<string, string>} zones the concerts' time zones
   * @param {() => unknown} answered called after each verdict
   */
  constructor(zones, answered) {
    this.zones = zones;
    this.answered = answered;
    /** @type {Scan[]} not yet sent */
    this.queue = [];
    /** @type {Set<string>} codes whose answers are awaited */
    this.asked = new Set();
    /** @type {Scan[]} the latest one first */
    this.shown = [];
    this.latest = h("div", { class: "answer", role: "alert" });
    this.earlier = h("ol", { class: "scans plain-list", "aria-label": t("gate.earlier") });
  }

  /** Adds a scan. `body`: the request of its check-in. */
  add(body) {
    const scan = new Scan(body);
    this.queue.push(scan);
    this.shown.unshift(scan);
    this.draw();
    this.send();
  }

  /** Sends what may be sent. A code that is scanned again waits for the answer to its earlier scan. */
  send() {
    for (const scan of [...this.queue]) {
      if (this.asked.size >= MOST_ASKED) return;
      if (this.asked.has(scan.body.code)) continue;
      this.queue.splice(this.queue.indexOf(scan), 1);
      this.asked.add(scan.body.code);
      this.ask(scan);
    }
  }

  async ask(scan) {
    try {
      scan.accept(await checkIn(scan.body), this.zones);
    } catch (error) {
      scan.refuse(error, this.zones);
    } finally {
      this.asked.delete(scan.body.code);
      sound(scan.kind === "good");
      // The latest verdict is an alert.
      if (scan !== this.shown[0]) announce([scan.title, ...scan.lines].join(". "), { now: true });
      this.draw();
      this.send();
      this.answered();
    }
  }

  draw() {
    const decided = this.shown.filter(({ kind }, index) => index > MOST_SHOWN && kind !== "pending");
    this.shown = this.shown.filter((scan) => !decided.includes(scan));
    const [latest, ...earlier] = this.shown;
    this.latest.className = `answer ${latest.kind}`;
    this.latest.replaceChildren(h("p", { class: "verdict" }, ...latest.heading()), ...latest.lines.map((line) => h("p", {}, line)));
    this.earlier.replaceChildren(...earlier.map((scan) =>
      h("li", { class: `scan ${scan.kind}` }, h("strong", {}, ...scan.heading()), " ", scan.lines.join(" · "))));
  }
}

class Scan {
  kind = "pending";
  title = "";
  /** @type {string[]} */
  lines = [];
  /** The end of the code, which identifies a scan without a seat. */
  named = "";

  constructor(body) {
    this.body = body;
    this.named = t("gate.code.end", { end: body.code.slice(-6) });
    this.show("pending", t("gate.checking"), this.named);
  }

  accept(done, zones) {
    this.show("good", t("gate.let_in"), seatName(done), done.title, moment(done.starts_at, zones.get(done.concert_id)));
  }

  refuse(error, zones) {
    this.show("bad", t("gate.no_answer")); // also if the sentence can't be found
    this.show("bad", ...refusal(error, zones), error.code !== "already_checked_in" && this.named);
  }

  show(kind, title, ...lines) {
    Object.assign(this, { kind, title, lines: lines.filter(Boolean) });
  }

  heading() {
    return [h("span", { "aria-hidden": "true" }, MARKS[this.kind]), this.title];
  }
}

/**
 * Checks a ticket in. A request without an answer may have been carried out: the next scan of its code sends its
 * key again, also after a reload, and is answered as the first one.
 */
async function checkIn(body) {
  const { body: done } = await intend(`check-in ${body.code}`, body, (key) =>
    operate("POST", "/tickets/check-ins", { body, key }));
  return done;
}

function refusal(error, zones) {
  const { problem, code } = error;
  const already = () => {
    const zone = zones.get(problem.concert_id);
    const time = moment(problem.checked_in_at, zone, { dateStyle: "medium", timeStyle: "medium" });
    return [t("gate.already"), seatName(problem), problem.concert_title, moment(problem.starts_at, zone),
      problem.gate ? t("gate.already.where", { time, gate: problem.gate }) : t("gate.already.when", { time })];
  };
  const unread = `gate.unread: ${problem?.detail}`;
  const answers = {
    already_checked_in: already,
    ticket_void: () => [t("gate.void"), t(`gate.void.${problem.reason}`)],
    wrong_show: () => [t("gate.wrong_show")],
    not_found: () => (has(unread) ? [t("gate.unread"), t(unread)] : [t("gate.forged"), t("gate.forged.meaning")]),
  };
  return answers[code]?.() ?? [t("gate.no_answer"), sentence(error)];
}
