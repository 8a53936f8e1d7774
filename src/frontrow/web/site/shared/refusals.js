// Errors of the server as a sentence that says what to do next.

import { isOfCall } from "./api.js";
import { has, t } from "./i18n.js";

/** Returns the sentence for a call's error, with the error's fields filled in. A fault of the page is thrown again. */
export function sentence(error, values = {}) {
  if (!isOfCall(error)) throw error;
  const key = `refusal.${error.code}`;
  return has(key) ? t(key, { ...error.problem, ...values }) : t("refusal.internal_error");
}
