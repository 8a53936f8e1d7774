// The sales of a concert: by show, the holds that end next, the payments.

import { button, h, show } from "../../shared/dom.js";
import { countdown, moment, money, t } from "../../shared/i18n.js";
import { secondsUntil } from "../../shared/clock.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { showView } from "../../shared/view.js";
import { concertHeading, concertId, fact, thisConcert } from "../concert_nav.js";
import { number } from "../format.js";
import { operate, run } from "../operator.js";
import { paymentItem } from "./payments.js";
import { poll } from "../polling.js";

const EVERY_SECONDS = 5;
const ADMIN = /** @type {const} */ (`/concerts/${concertId}`);
const SHOWN_HOLDS = 20;

run(async () => {
  const concert = await thisConcert();
  const page = new Sales(concert);
  await Promise.all([page.look(), page.more()]);
  const signal = showView("sales", concert.title, concertHeading(concert), page.content());
  poll(EVERY_SECONDS, () => page.look(), signal);
  poll(1, () => page.tick(), signal);
});

class Sales {
  /**
   * @param {Api.ListedConcert} concert
   */
  constructor(concert) {
    this.concert = concert;
    this.facts = h("dl", { class: "facts big" });
    this.shows = h("tbody", {});
    this.holds = h("tbody", {});
    this.noHolds = h("p", { class: "soft" }, t("holds.none"));
    this.payments = h("ol", { class: "payments", id: "payments" });
    this.noPayments = h("p", { class: "soft" }, t("payments.none"));
    this.further = button(t("payments.more"), () => this.more());
    this.ends = [];
  }

  content() {
    const region = (title, ...content) => h("section", { class: "card stack" }, h("h2", {}, title), content);
    const table = (label, names, body) => h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": label },
      h("table", { class: "rows" }, h("thead", {}, h("tr", {}, names.map(([name, kind]) =>
        h("th", { scope: "col", class: kind ?? null }, t(name))))), body));
    return [
      h("section", { class: "card" }, this.facts),
      region(t("shows"), table(t("shows"), [["show"], ["sold", "number"], ["held", "number"], ["free", "number"], ["revenue", "number"]], this.shows)),
      region(t("holds"), this.noHolds, table(t("holds"), [["holds.left"], ["holds.seats"], ["amount", "number"], ["payment.user"]], this.holds)),
      region(t("payments"), this.noPayments, this.payments, h("p", {}, this.further)),
    ];
  }

  async look() {
    const [{ body: stats }, { body: shows }, { body: holds }] = await Promise.all([
      operate("GET", `${ADMIN}/stats`), operate("GET", `${ADMIN}/shows`), operate("GET", `${ADMIN}/holds?limit=${SHOWN_HOLDS}`),
    ]);
    const { currency, timezone } = this.concert;
    this.facts.replaceChildren(
      fact(t("revenue"), money(stats.revenue, currency)),
      fact(t("sold"), t("of", { some: stats.seats.sold, all: stats.seats.total })),
      fact(t("held"), number(stats.seats.held)),
      fact(t("fact.holds_expired"), number(stats.holds_expired)));
    this.shows.replaceChildren(...shows.shows.map((each) => h("tr", {},
      h("th", { scope: "row" }, h("a", { href: `/console/concerts/${concertId}/seats?show=${each.show_id}` },
        moment(each.starts_at, timezone, { dateStyle: "medium", timeStyle: "short" })),
      each.cancelled_at && [" ", h("span", { class: "badge bad" }, t("show.cancelled"))]),
      [each.seats.sold, each.seats.held, each.seats.available].map((count) => h("td", { class: "number" }, number(count))),
      h("td", { class: "number" }, money(each.revenue, currency)))));
    this.showHolds(holds.holds, currency);
  }

  showHolds(holds, currency) {
    show(this.noHolds, holds.length === 0);
    this.ends = holds.map(({ held_until: until }) => ({ until, cell: h("td", { class: "figures" }) }));
    this.holds.replaceChildren(...holds.map((hold, index) => h("tr", {}, this.ends[index].cell,
      h("td", {}, hold.seats.join(", ")), h("td", { class: "number" }, money(hold.amount, currency)),
      h("td", { class: "ids" }, hold.user_id))));
    this.tick();
  }

  tick() {
    for (const { until, cell } of this.ends) cell.textContent = countdown(secondsUntil(until));
  }

  async more() {
    try {
      const after = this.next ? `&after=${this.next}` : "";
      const { body } = await operate("GET", `${ADMIN}/payments?limit=20${after}`);
      this.payments.append(...body.payments.map((payment) => paymentItem(payment)));
      this.next = body.next;
      show(this.further, body.next !== null);
      show(this.noPayments, this.payments.children.length === 0);
    } catch (error) {
      if (!this.payments.isConnected) throw error;
      notify(sentence(error), "bad");
    }
  }
}
