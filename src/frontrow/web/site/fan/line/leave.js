// Leaves a line after a confirmation.

import { insist } from "../../shared/api.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";
import { sentence } from "../../shared/refusals.js";
import { confirmed } from "../../shared/confirm.js";

/** Leaves the line after a confirmation. Returns whether it was left. */
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
