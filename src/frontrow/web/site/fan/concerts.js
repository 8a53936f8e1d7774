// What is on sale.

import { insist } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { day, money, t } from "../shared/i18n.js";
import { sentence } from "../shared/refusals.js";

const BADGES = { open: "good", scheduled: "warn", paused: "warn", sold_out: "bad", closed: "" };

/** Fills the page with the list of concerts. */
export async function showConcerts(main) {
  document.title = `${t("concerts")} · ${t("site")}`;
  const heading = h("h1", { tabIndex: -1 }, t("concerts"));
  try {
    const { body } = await insist("GET", "/concerts");
    const cards = body.concerts.map((concert) => h("li", {}, card(concert)));
    main.replaceChildren(
      h(
        "div",
        { class: "stack" },
        heading,
        cards.length ? h("ul", { class: "concerts" }, cards) : h("p", {}, t("concerts.none")),
      ),
    );
  } catch (error) {
    main.replaceChildren(h("div", { class: "stack" }, heading, h("p", { role: "alert" }, sentence(error))));
  }
}

function card(concert) {
  const dates = [...new Set([concert.first_date, concert.last_date])].filter(Boolean);
  return h(
    "article",
    { class: "card concert" },
    h("div", { class: "row spread" }, roomBadge(concert.state)),
    h("h2", {}, h("a", { href: `/concerts/${concert.concert_id}` }, concert.title)),
    concert.artist && h("p", {}, concert.artist),
    h("p", { class: "soft" }, dates.map((date) => day(date)).join(" – ")),
    concert.venue && h("p", { class: "soft" }, concert.venue),
    concert.price_from &&
      h("p", { class: "price" }, t("concert.from", { price: money(concert.price_from, concert.currency) })),
  );
}

/** How a line stands, in a word. */
export function roomBadge(state) {
  return h("span", { class: `badge ${BADGES[state]}` }, t(`room.${state}`));
}
