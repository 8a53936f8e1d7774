// Asks for confirmation before an action that can't be undone.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Returns null unless the user confirmed the action, else whether the user also chose the `option`: the label of a
 * box that is checked at first.
 */
export function confirmed(question, action, option = "") {
  return new Promise((resolve) => {
    const also = /** @type {HTMLInputElement} */ (h("input", { type: "checkbox", checked: true }));
    const yes = h("button", { type: "submit", value: "yes", class: "danger" }, action);
    const no = h("button", { type: "submit", value: "", autofocus: true }, t("cancel"));
    const dialog = h(
      "dialog",
      { "aria-label": action },
      h("form", { method: "dialog", class: "stack" }, h("p", {}, question),
        option && h("label", { class: "row" }, also, h("span", {}, option)), h("div", { class: "row" }, no, yes)),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? { also: also.checked } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
