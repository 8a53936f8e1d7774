// Shows the errors of a form at the fields that the server named.

import { h } from "../shared/dom.js";
import { has, t } from "../shared/i18n.js";
import { sentence } from "../shared/refusals.js";

/** Removes the errors. */
export function clearFaults(form) {
  for (const shown of form.querySelectorAll(".wrong")) shown.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/**
 * Shows an error: each of its faults at the field whose data-pointer is the longest prefix of its JSON pointer,
 * faults without a field at the top. The first fault gets the focus.
 */
export function showFaults(form, error) {
  clearFaults(form);
  const faults = error.problem?.errors ?? [];
  const rest = [];
  let first = null;
  for (const { pointer, detail } of faults) {
    const place = placeOf(form, pointer);
    if (!place) rest.push(`${pointer} ${detail}`.trim());
    else {
      place.append(h("p", { class: "wrong", role: "alert" }, words(detail)));
      const input = place.querySelector("input, select, button");
      input?.setAttribute("aria-invalid", "true");
      first ??= input;
    }
  }
  if (!faults.length || rest.length) {
    form.prepend(h("p", { class: "wrong", role: "alert", tabIndex: -1 },
      rest.length ? t("fault", { detail: rest.join("; ") }) : sentence(error)));
    first ??= form.querySelector(".wrong");
  }
  first?.focus();
}

/** Details with a fixed wording are in the catalog; others are shown as the server wrote them. */
function words(detail) {
  return has(`fault: ${detail}`) ? t(`fault: ${detail}`) : t("fault", { detail });
}

function placeOf(form, pointer) {
  // All shows have the same sections: a fault of one is a fault of all.
  const steps = pointer.replace(/^\/shows\/\d+\/sections/, "/sections").split("/");
  while (steps.length > 1) {
    const place = form.querySelector(`[data-pointer="${CSS.escape(steps.join("/")).replaceAll("\\/", "/")}"]`);
    if (place) return place;
    steps.pop();
  }
  return null;
}
