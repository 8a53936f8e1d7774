// All concerts, with the state of each line.

import { insist } from "../../shared/api.js";
import { button, h } from "../../shared/dom.js";
import { days, t } from "../../shared/i18n.js";
import { heading, showView } from "../../shared/view.js";
import { roomBadge } from "../../shared/room_badge.js";
import { fact } from "../concert_nav.js";
import { concertPages, PAGE_SIZE } from "./pages.js";
import { number } from "../format.js";
import { run } from "../operator.js";
import { poll } from "../polling.js";

const MOST_FOLLOWED = 40;
const EVERY_SECONDS = 5;

run(async () => {
  const pages = concertPages();
  const nextRows = async () => {
    const page = await pages.next();
    return page.done ? [] : page.value.map((concert) => new Row(concert));
  };
  const rows = await nextRows();
  const followed = rows.filter(({ concert }) => concert.state !== "closed").slice(0, MOST_FOLLOWED);
  const list = h("ul", { class: "lines" }, rows.map(({ element }) => element));
  const more = button(t("concerts.more"), async () => {
    const further = await nextRows();
    list.append(...further.map(({ element }) => element));
    more.hidden = further.length < PAGE_SIZE;
    await Promise.all(further.map((row) => row.look()));
  }, { hidden: rows.length < PAGE_SIZE });
  const signal = showView("concerts", t("nav.concerts"),
    h("div", { class: "row spread" }, heading(t("nav.concerts")),
      h("a", { class: "button primary", href: "/console/new" }, t("concerts.new"))),
    rows.length ? list : h("p", { class: "card" }, t("concerts.empty")), more);
  const look = () => Promise.all(followed.map((row) => row.look()));
  await look();
  poll(EVERY_SECONDS, look, signal);
});

class Row {
  /**
   * @param {Api.ListedConcert} concert
   */
  constructor(concert) {
    this.concert = concert;
    this.badge = h("span", {}, roomBadge(concert.state));
    this.facts = h("dl", { class: "facts" });
    this.sold = h("progress", { class: "track", max: 1, value: 0, "aria-label": t("sold") });
    this.element = h("li", { class: "card line" },
      h("div", {},
        h("h2", {}, h("a", { href: `/console/concerts/${concert.concert_id}` }, concert.title)),
        h("p", { class: "soft small" },
          [concert.venue, concert.first_date && days(concert.first_date, concert.last_date)].filter(Boolean).join(" · "))),
      this.badge, this.facts, this.sold);
  }

  /** Shows the line's state from its public document, which costs the server nothing. */
  async look() {
    const { body } = await insist("GET", `/concerts/${this.concert.concert_id}/queue`);
    this.badge.replaceChildren(roomBadge(body.state));
    const sold = body.seats_total - body.seats_available - body.seats_held;
    this.facts.replaceChildren(
      fact(t("fact.waiting"), number(body.waiting)),
      fact(t("fact.in"), number(body.admitted)),
      fact(t("fact.per_minute"), number(body.admitted_per_minute)),
      fact(t("fact.seats_left"), t("of", { some: body.seats_available, all: body.seats_total })),
    );
    Object.assign(this.sold, { max: Math.max(1, body.seats_total), value: sold });
  }
}
