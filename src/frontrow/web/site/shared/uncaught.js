// Reports errors that no other code has handled, so that no page stays in its loading state.

import { isOfCall } from "./api.js";
import { button, h } from "./dom.js";
import { t } from "./i18n.js";
import { notify } from "./notice.js";
import { sentence } from "./refusals.js";
import { heading, showView } from "./view.js";

addEventListener("error", ({ error }) => error && report(error)); // without an error object: a notice of the browser
addEventListener("unhandledrejection", ({ reason }) => report(reason));

function report(error) {
  const text = isOfCall(error) ? sentence(error) : t("refusal.malformed");
  if (!document.querySelector("#main .loading")) notify(text, "bad");
  else {
    showView("failed", t("failed"), heading(t("failed")), h("p", { role: "alert" }, text),
      h("p", {}, button(t("try_again"), () => location.reload(), { class: "primary" })));
  }
}
