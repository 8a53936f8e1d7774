// Leaving a line, after a question.

import { insist } from "../../shared/api.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { confirmed } from "../../shared/confirm.js";

/** Asks, and gives the place up. Whether it is given up. */
export async function leaveLine(concert) {
  if (!(await confirmed(t("leave.sure"), t("leave")))) return false;
  try {
    await insist("DELETE", "/queue/tokens/me", { concert });
  } catch (error) {
    if (error.code !== "token_finished") {
      notify(sentence(error), "bad");
      return false;
    }
  }
  return true;
}
