// Reports errors that no other code has handled, so that no page stays in its loading state.

import { button, h } from "./dom.js";
import { t } from "./i18n.js";
import { notify } from "./notice.js";
import { heading, showView } from "./view.js";

addEventListener("error", ({ error }) => error && report()); // without an error object: a notice of the browser
addEventListener("unhandledrejection", report);

function report() {
  if (!document.querySelector("#main .loading")) notify(t("refusal.malformed"), "bad");
  else {
    showView("failed", t("failed"), heading(t("failed")), h("p", { role: "alert" }, t("refusal.malformed")),
      h("p", {}, button(t("try_again"), () => location.reload(), { class: "primary" })));
  }
}
