// The audit: each invariant, checked on the live database.

import { button, h } from "../shared/dom.js";
import { t } from "../shared/i18n.js";
import { notify } from "../shared/notice.js";
import { sentence } from "../shared/refusals.js";
import { announce, heading, showView } from "../shared/view.js";
import { number } from "./format.js";
import { operate, run } from "./operator.js";

const PATIENCE_MS = 10 * 60_000;

run(async () => {
  const outcome = h("div", { class: "stack" });
  const go = button(t("audit.run"), async () => {
    try {
      const { body } = await operate("GET", "/audit", { patience: PATIENCE_MS });
      outcome.replaceChildren(...result(body));
    } catch (error) {
      notify(sentence(error), "bad");
    }
  }, { class: "primary" });
  showView("audit", t("nav.audit"), heading(t("nav.audit")),
    h("section", { class: "card stack" }, h("p", {}, t("audit.meaning")), h("p", {}, go)), outcome);
});

function result({ violations, findings }) {
  const isClean = violations === 0;
  const verdict = isClean ? t("audit.clean", { count: findings.length }) : t("audit.broken", { count: violations });
  announce(verdict, { now: true });
  return [
    h("p", { class: `answer ${isClean ? "good" : "bad"}` }, h("strong", { class: "verdict" }, verdict)),
    h("div", { class: "card scroll whole", tabIndex: 0, role: "region", "aria-label": t("nav.audit") }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("audit.invariant")),
        h("th", { scope: "col", class: "number" }, t("audit.checked")), h("th", { scope: "col", class: "number" }, t("audit.violations")))),
      h("tbody", {}, findings.map((finding) => h("tr", { class: finding.violations ? "broken" : null },
        h("th", { scope: "row" }, h("span", { lang: "en" }, finding.says),
          finding.examples.length > 0 && h("p", { class: "small ids" }, finding.examples.map(String).join(", "))),
        h("td", { class: "number" }, number(finding.checked)),
        h("td", { class: "number" }, number(finding.violations))))))),
  ];
}
