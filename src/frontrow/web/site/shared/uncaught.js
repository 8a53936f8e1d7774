// A fault of ours that nothing else has dealt with: it is said, and no page stays at "one moment" for good.

import { button, h } from "./dom.js";
import { t } from "./i18n.js";
import { notify } from "./notice.js";
import { heading, showView } from "./view.js";

addEventListener("error", ({ error }) => error && report()); // without one it is the browser's own remark
addEventListener("unhandledrejection", report);

function report() {
  if (!document.querySelector("#main .loading")) notify(t("refusal.malformed"), "bad");
  else {
    showView("failed", t("failed"), heading(t("failed")), h("p", { role: "alert" }, t("refusal.malformed")),
      h("p", {}, button(t("try_again"), () => location.reload(), { class: "primary" })));
  }
}
