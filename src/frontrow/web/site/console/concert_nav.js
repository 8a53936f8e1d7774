// Shared by the pages of one concert: its id, its heading, and the links between them.

import { insist } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { t } from "../shared/i18n.js";

const [, , , ID, PAGE = ""] = location.pathname.split("/");
const PAGES = ["", "seats", "sales"];

export const concertId = ID;

/** The concert of this page's address. */
export async function thisConcert() {
  const { body } = await insist("GET", `/concerts/${concertId}`);
  return body;
}

/** The heading of a concert's page, with the time zone and the links to its other pages. */
export function concertHeading(concert) {
  return [
    h("div", {},
      h("h1", { tabIndex: -1 }, concert.title),
      h("p", { class: "soft" }, [concert.artist, concert.venue, concert.timezone].filter(Boolean).join(" · "))),
    h("nav", { class: "tabs", "aria-label": concert.title }, PAGES.map((page) =>
      h("a", { href: `/console/concerts/${concertId}${page && `/${page}`}`, "aria-current": page === PAGE ? "page" : null },
        t(`tab.${page || "room"}`)))),
  ];
}

/** A figure with its label. */
export function fact(label, ...value) {
  return h("div", {}, h("dt", {}, label), h("dd", { class: "figures" }, value));
}
