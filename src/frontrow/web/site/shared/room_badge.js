// The state of a line as a badge.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const KINDS = { open: "good", scheduled: "warn", paused: "warn", sold_out: "bad", closed: "" };

/** The state's name in its colour. */
export function roomBadge(state) {
  return h("span", { class: `badge ${KINDS[state]}` }, t(`room.${state}`));
}
