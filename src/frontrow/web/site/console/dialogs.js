// Confirms a change of a sale; a change that can't be undone needs a typed confirmation.

import { h } from "../shared/dom.js";
import { t } from "../shared/i18n.js";

/**
 * Returns whether the operator confirms. `typed`: text that has to be typed first. `kind`: the class of the
 * confirming button.
 */
export function sure({ title, text, action, typed = null, kind = "danger" }) {
  return new Promise((resolve) => {
    const yes = h("button", { type: "submit", value: "yes", class: kind, disabled: typed !== null }, action);
    const no = h("button", { type: "submit", value: "", autofocus: typed === null, formNoValidate: true }, t("cancel"));
    const field = h("input", { id: "typed", autocomplete: "off", autofocus: true });
    field.addEventListener("input", () => (yes.disabled = field.value.trim() !== typed));
    const dialog = h("dialog", { "aria-labelledby": "sure-title" },
      h("form", { method: "dialog", class: "stack" },
        h("h2", { id: "sure-title" }, title),
        [text].flat().map((line) => h("p", {}, line)),
        typed !== null && h("div", { class: "field" }, h("label", { for: "typed" }, t("type_this", { typed })), field),
        h("div", { class: "row end" }, no, yes)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
