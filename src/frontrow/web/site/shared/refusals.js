// What the server refuses, in a sentence that says what to do next.

import { has, t } from "./i18n.js";

/** The sentence for an error; what the server added is filled in. */
export function sentence(error, values = {}) {
  const key = `refusal.${error.code}`;
  if (!has(key)) {
    if (error.code === undefined) throw error; // no refusal, but a fault of ours
    return t("refusal.internal_error");
  }
  return t(key, { ...error.problem, ...values });
}
