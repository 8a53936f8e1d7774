// Asks for confirmation before an action that can't be undone.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Returns whether the user confirmed the action. */
export function confirmed(question, action) {
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", value: "yes", class: "danger" }, action);
    const no = h("button", { type: "submit", value: "", autofocus: true }, t("cancel"));
    const dialog = h(
      "dialog",
      { "aria-label": action },
      h("form", { method: "dialog", class: "stack" }, h("p", {}, question), h("div", { class: "row" }, no, yes)),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
