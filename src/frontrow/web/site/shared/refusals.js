// Errors of the server as a sentence that says what to do next.

import { has, t } from "./i18n.js";

/** Returns the sentence for an error, with the error's fields filled in. */
export function sentence(error, values = {}) {
  const key = `refusal.${error.code}`;
  if (!has(key)) {
    if (error.code === undefined) throw error; // not a refusal, but a bug in the page
    return t("refusal.internal_error");
  }
  return t(key, { ...error.problem, ...values });
}
