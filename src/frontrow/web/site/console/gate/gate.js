// The gate: a code from the camera, a scanner or the keyboard, and a loud and clear answer.

import { insist } from "../../shared/api.js";
import { busy, h, show } from "../../shared/dom.js";
import { moment, t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { heading, showView } from "../../shared/view.js";
import { seatName } from "../../shared/seat_names.js";
import { Camera } from "./camera.js";
import { fact } from "../concert_nav.js";
import { number } from "../format.js";
import { isSignedOut, newKey, operate, run } from "../operator.js";
import { poll } from "../polling.js";
import { sound } from "./sound.js";

const KEPT = "frontrow.gate"; // no secret: the name of this gate, and its show
const COUNT_SECONDS = 5;

run(async () => {
  const { body } = await insist("GET", "/concerts");
  await new Gate(body.concerts).open();
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
    this.name = h("input", { id: "gate", maxLength: 100, value: this.kept.name ?? "", autocomplete: "off" });
    this.code = h("input", { id: "code", required: true, maxLength: 1000, autocomplete: "off", autocapitalize: "off", spellcheck: false });
    this.answer = h("div", { class: "answer", role: "alert" });
    this.counts = h("dl", { class: "facts big" });
    this.go = h("button", { type: "submit", class: "primary large" }, t("gate.go"));
    this.camera = new Camera((code) => this.check(code));
  }

  async open() {
    const form = h("form", { class: "card stack" },
      h("div", { class: "field" }, h("label", { for: "code" }, t("gate.code")), this.code,
        h("p", { class: "soft small", id: "code-help" }, t("gate.help"))),
      h("div", { class: "row" }, this.go, this.camera.button), this.camera.element);
    this.code.setAttribute("aria-describedby", "code-help");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      busy(this.go, () => this.check(this.code.value.trim()));
    });
    const field = (input, label) => h("div", { class: "field" }, h("label", { for: input.id }, t(label)), input);
    const signal = showView("gate", t("nav.gate"), heading(t("nav.gate")), this.answer, form,
      h("section", { class: "card stack" }, h("h2", {}, t("gate.setup")),
        h("div", { class: "fields" }, field(this.concert, "gate.concert"), field(this.shown, "show"), field(this.name, "gate.name")),
        this.counts));
    signal.addEventListener("abort", () => this.camera.stop());
    const reported = (action) => () => action().catch((error) => notify(sentence(error), "bad"));
    this.concert.addEventListener("change", reported(() => this.choose()));
    this.shown.addEventListener("change", reported(() => this.keep()));
    this.name.addEventListener("change", reported(() => this.keep()));
    this.concert.value = [...this.concert.options].some(({ value }) => value === this.kept.concert) ? this.kept.concert : "";
    this.code.focus();
    await this.choose(this.kept.show);
    poll(COUNT_SECONDS, () => this.count(), signal);
  }

  async choose(show_id = "") {
    const any = h("option", { value: "" }, t("gate.any"));
    this.shown.replaceChildren(any);
    if (this.concert.value) {
      const { body } = await operate("GET", `/concerts/${this.concert.value}/shows`);
      const zone = this.zones.get(this.concert.value);
      this.shown.append(...body.shows.filter((each) => !each.cancelled_at).map((each) =>
        h("option", { value: each.show_id }, moment(each.starts_at, zone, { dateStyle: "medium", timeStyle: "short" }))));
      this.shown.value = [...this.shown.options].some(({ value }) => value === show_id) ? show_id : "";
    }
    await this.keep();
  }

  async keep() {
    sessionStorage.setItem(KEPT, JSON.stringify({ concert: this.concert.value, show: this.shown.value, name: this.name.value }));
    await this.count();
  }

  async count() {
    show(this.counts, Boolean(this.shown.value));
    if (!this.shown.value) return;
    const { body } = await operate("GET", `/shows/${this.shown.value}/check-ins`);
    this.counts.replaceChildren(fact(t("gate.in"), t("of", { some: body.checked_in, all: body.tickets })),
      fact(t("gate.to_come"), number(body.tickets - body.checked_in)));
  }

  /** Checks a ticket in, or shows the reason for a refusal. The field is ready for the next code at once. */
  async check(code) {
    if (!code) return;
    const body = { code };
    if (this.name.value.trim()) body.gate = this.name.value.trim();
    if (this.shown.value) body.show_id = this.shown.value;
    else if (this.concert.value) body.concert_id = this.concert.value;
    try {
      const { body: done } = await operate("POST", "/tickets/check-ins", { body, key: newKey() });
      this.show("good", t("gate.let_in"), [seatName(done), done.title, moment(done.starts_at, this.zones.get(done.concert_id))]);
    } catch (error) {
      if (isSignedOut(error)) return location.reload();
      this.show("bad", ...refusal(error));
    }
    this.code.value = "";
    this.code.focus();
    this.count().catch(() => {});
  }

  show(kind, title, lines) {
    this.answer.className = `answer ${kind}`;
    this.answer.replaceChildren(h("p", { class: "verdict" }, h("span", { "aria-hidden": "true" }, kind === "good" ? "✓ " : "✕ "), title),
      ...lines.filter(Boolean).map((line) => h("p", {}, line)));
    sound(kind === "good");
  }
}

function refusal(error) {
  const { problem, code } = error;
  const already = () => [t("gate.already"), [t("gate.already.when", { time: moment(problem.checked_in_at, undefined, { dateStyle: "medium", timeStyle: "medium" }) }), problem.gate]];
  const answers = {
    already_checked_in: already,
    ticket_void: () => [t("gate.void"), [t(`gate.void.${problem.reason}`)]],
    wrong_show: () => [t("gate.wrong_show"), []],
    not_found: () => [t("gate.forged"), [t("gate.forged.meaning")]],
  };
  return answers[code]?.() ?? [t("gate.no_answer"), [sentence(error)]];
}
