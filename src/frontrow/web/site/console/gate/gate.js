// The gate: a code from the camera, a scanner or the keyboard, and a loud and clear answer.

import { h, show } from "../../shared/dom.js";
import { moment, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { heading, showView } from "../../shared/view.js";
import { Camera } from "./camera.js";
import { fact } from "../concert_nav.js";
import { concertPages } from "../concerts/pages.js";
import { number } from "../format.js";
import { operate, run, takeFromSignIn } from "../operator.js";
import { poll } from "../polling.js";
import { isCharacter, isCode, ScannerField } from "./scanner.js";
import { Scans } from "./scans.js";

const KEPT = "frontrow.gate"; // no secret: the name of this gate, and its show
const COUNT_SECONDS = 5;
const MOST_CONCERTS = 2000;
const LONGEST_CODE = 1000; // the server's, as below
const LONGEST_NAME = 100;

run(async () => {
  const concerts = [];
  for await (const page of concertPages()) {
    concerts.push(...page);
    if (concerts.length >= MOST_CONCERTS) break;
  }
  await new Gate(concerts).open();
});

class Gate {
  /**
   * @param {Api.ListedConcert[]} concerts
   */
  constructor(concerts) {
    this.kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    this.concert = h("select", { id: "concert" }, h("option", { value: "" }, t("gate.any")),
      concerts.map((each) => h("option", { value: each.concert_id }, each.title)));
    this.shown = h("select", { id: "show" });
    this.zones = new Map(concerts.map((each) => [each.concert_id, each.timezone]));
    // A scanner may type a code into the name too.
    this.name = h("input", { id: "gate", maxLength: LONGEST_CODE, value: this.kept.name ?? "", autocomplete: "off" });
    this.code = h("input", { id: "code", maxLength: LONGEST_CODE, autocomplete: "off", autocapitalize: "off", spellcheck: false });
    this.counts = h("dl", { class: "facts big" });
    this.go = h("button", { type: "submit", class: "primary large" }, t("gate.go"));
    this.scans = new Scans(this.zones, () => this.count().catch(() => {}));
    this.camera = new Camera((code) => this.check(code));
  }

  async open() {
    const form = h("form", { class: "card stack" },
      h("div", { class: "field" }, h("label", { for: "code" }, t("gate.code")), this.code,
        h("p", { class: "soft small", id: "code-help" }, t("gate.help"))),
      h("div", { class: "row" }, this.go, this.camera.button), this.camera.element);
    this.code.setAttribute("aria-describedby", "code-help");
    const scanner = new ScannerField(this.code, () => form.requestSubmit());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.check(scanner.take()); // at once, not with the answer: by then the next code may be in the field
      this.code.focus();
    });
    const field = (input, label) => h("div", { class: "field" }, h("label", { for: input.id }, t(label)), input);
    const signal = showView("gate", t("nav.gate"), heading(t("nav.gate")), this.scans.latest, form, this.scans.earlier,
      h("section", { class: "card stack" }, h("h2", {}, t("gate.setup")),
        h("div", { class: "fields" }, field(this.concert, "gate.concert"), field(this.shown, "show"), field(this.name, "gate.name")),
        this.counts));
    signal.addEventListener("abort", () => this.camera.stop());
    this.takeStrayScans(scanner, signal);
    takeFromSignIn((text) => isCode(text) && this.check(text));
    const reported = (action) => () => action().catch((error) => notify(sentence(error), "bad"));
    this.concert.addEventListener("change", reported(() => this.choose()));
    this.shown.addEventListener("change", reported(() => this.keep()));
    this.name.addEventListener("change", reported(() => this.keep()));
    this.concert.value = [...this.concert.options].some(({ value }) => value === this.kept.concert) ? this.kept.concert : "";
    this.code.focus();
    await this.choose(this.kept.show);
    poll(COUNT_SECONDS, () => this.count(), signal);
  }

  /** Takes what a scanner types while another element has the focus. */
  takeStrayScans(scanner, signal) {
    document.addEventListener("keydown", (event) => {
      const isTyped = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
      if (isTyped || !isCharacter(event) || document.querySelector("dialog")) return;
      scanner.press(event);
      this.code.focus(); // before the character is inserted
    }, { signal });
    this.name.addEventListener("keydown", ({ key }) => {
      if (key !== "Enter" || !isCode(this.name.value)) return;
      this.check(this.name.value);
      this.name.value = this.kept.name ?? "";
      this.code.focus();
    });
  }

  /** Chooses the show, which scans are for at once: its list may take a while, and the next choice may come first. */
  async choose(show_id = "") {
    const concert = this.concert.value;
    this.scope = { concert, show: show_id };
    this.shown.replaceChildren(h("option", { value: "" }, t("gate.any")));
    if (concert) {
      const { body } = await operate("GET", `/concerts/${concert}/shows`);
      if (concert !== this.concert.value) return;
      const zone = this.zones.get(concert);
      this.shown.append(...body.shows.filter((each) => !each.cancelled_at).map((each) =>
        h("option", { value: each.show_id }, moment(each.starts_at, zone, { dateStyle: "medium", timeStyle: "short" }))));
      this.shown.value = [...this.shown.options].some(({ value }) => value === show_id) ? show_id : "";
    }
    await this.keep();
  }

  async keep() {
    this.scope = { concert: this.concert.value, show: this.shown.value };
    this.kept = { ...this.scope, name: this.name.value };
    sessionStorage.setItem(KEPT, JSON.stringify(this.kept));
    await this.count();
  }

  async count() {
    const show_id = this.shown.value;
    show(this.counts, Boolean(show_id));
    if (!show_id) return;
    const { body } = await operate("GET", `/shows/${show_id}/check-ins`);
    if (show_id !== this.shown.value) return;
    this.counts.replaceChildren(fact(t("gate.in"), t("of", { some: body.checked_in, all: body.tickets })),
      fact(t("gate.to_come"), number(body.tickets - body.checked_in)));
  }

  /** Queues a scanned code, for the show and under the name that this gate has now. Returns whether there is one. */
  check(text) {
    const code = text.trim();
    if (!code) return false;
    const [gate, { concert, show: show_id }] = [this.name.value.trim().slice(0, LONGEST_NAME), this.scope];
    this.scans.add({ code, ...(gate && { gate }), ...(show_id ? { show_id } : concert && { concert_id: concert }) });
    return true;
  }
}
