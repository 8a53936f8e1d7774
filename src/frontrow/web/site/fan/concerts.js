// What is on sale.

import { insist } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { days, money, t } from "../shared/i18n.js";
import { sentence } from "../shared/refusals.js";
import { heading, showView } from "../shared/view.js";
import { roomBadge } from "./badge.js";

try {
  const { body } = await insist("GET", "/concerts");
  showList(
    body.concerts.length
      ? h("ul", { class: "concerts" }, body.concerts.map((concert) => h("li", {}, card(concert))))
      : h("p", {}, t("concerts.none")),
  );
} catch (error) {
  showList(h("p", { role: "alert" }, sentence(error)));
}

function showList(content) {
  showView("concerts", t("concerts"), heading(t("concerts")), content);
}

function card(concert) {
  return h(
    "article",
    { class: "card concert" },
    h("div", { class: "row spread" }, roomBadge(concert.state)),
    h("h2", {}, h("a", { href: `/concerts/${concert.concert_id}` }, concert.title)),
    concert.artist && h("p", {}, concert.artist),
    concert.first_date && h("p", { class: "soft" }, days(concert.first_date, concert.last_date)),
    concert.venue && h("p", { class: "soft" }, concert.venue),
    concert.price_from &&
      h("p", { class: "price" }, t("concert.from", { price: money(concert.price_from, concert.currency) })),
  );
}
