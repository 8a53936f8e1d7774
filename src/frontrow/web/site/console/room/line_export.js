// Exports a line in serving order, for an audit.

import { OutOfTouch, refusal, send } from "../../shared/api.js";
import { button, h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { signedIn } from "../operator.js";

const PATIENCE_MS = 5 * 60_000;

/**
 * @param {string} path
 * @param {string} accept
 */
async function download(path, accept) {
  const { response, end } = await send("GET", path, { accept, patience: PATIENCE_MS });
  try {
    if (!response.ok) throw await refusal(response);
    return await response.blob().catch(() => {
      throw new OutOfTouch();
    });
  } finally {
    end();
  }
}

/** A card with the two exports. */
export function orderCard(concertId) {
  const save = (accept, ending) => async () => {
    try {
      const content = await signedIn(() => download(`/admin/concerts/${concertId}/order`, accept));
      const href = URL.createObjectURL(content);
      const link = h("a", { href, download: `order-${concertId}.${ending}` });
      link.click();
      URL.revokeObjectURL(href);
    } catch (error) {
      notify(sentence(error), "bad");
    }
  };
  return h("section", { class: "card stack" },
    h("h2", {}, t("order")),
    h("p", { class: "soft small" }, t("order.meaning")),
    h("p", { class: "row" }, button(t("order.csv"), save("text/csv", "csv")), button(t("order.json"), save("application/json", "json"))));
}
