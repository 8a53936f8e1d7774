// The operator's calls, and the sign-in that they need.

import "../shared/uncaught.js";
import { call, insist } from "../shared/api.js";
import { busy, button, h, show } from "../shared/dom.js";
import { session } from "../shared/guest.js";
import { t } from "../shared/i18n.js";
import { notify } from "../shared/notice.js";
import { sentence } from "../shared/refusals.js";
import { randomUuid } from "../shared/uuid.js";
import { heading, showView } from "../shared/view.js";

const LEAVE = document.getElementById("sign-out");

/**
 * A call below /admin. Every call of the console may be repeated until it is answered.
 *
 * @template {string} Method
 * @template {string} Path
 * @param {Method} method
 * @param {Path} path
 * @param {CallOptions<Sent<Method, `/admin${Path}`>>} [options]
 * @returns {Promise<{ status: number, body: Answer<Method, `/admin${Path}`>, etag: string | null }>}
 */
export function operate(method, path, options) {
  return insist(method, /** @type {`/admin${Path}`} */ (`/admin${path}`), options);
}

/** Starts a page, after signing in if needed. */
export async function run(start) {
  const signIn = () => showSignIn(() => run(start));
  try {
    const { operator } = await session(); // first: a refused call logs an error in the console
    if (!operator) return signIn();
    await start();
    show(LEAVE, true);
  } catch (error) {
    if (isSignedOut(error)) signIn();
    else showFailure(error, () => run(start));
  }
}

/** Whether an error means that the session has ended. */
export function isSignedOut(error) {
  return error.code === "credential_missing" || error.code === "credential_invalid";
}

/** A new Idempotency-Key for a write: a repeated request has one effect. */
export function newKey() {
  return randomUuid();
}

function showSignIn(next) {
  show(LEAVE, false);
  const key = h("input", { id: "key", type: "password", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "wrong", role: "alert", id: "key-wrong" });
  const go = h("button", { type: "submit", class: "primary" }, t("signin.go"));
  key.setAttribute("aria-describedby", "key-help key-wrong");
  const form = h(
    "form",
    { class: "card stack narrow" },
    h("div", { class: "field" },
      h("label", { for: "key" }, t("signin.key")), key,
      h("p", { class: "soft small", id: "key-help" }, t("signin.help")), wrong),
    h("p", {}, go),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(go, async () => {
      try {
        await call("POST", "/admin/session", { bearer: key.value.trim() });
      } catch (error) {
        wrong.textContent = isSignedOut(error) ? t("signin.wrong") : sentence(error);
        key.select();
        return;
      }
      await next();
    });
  });
  showView("signin", t("signin.heading"), heading(t("signin.heading")), form);
  key.focus();
}

function showFailure(error, again) {
  showView("failed", t("failed"), heading(t("failed")), h("p", { role: "alert" }, sentence(error)),
    h("p", {}, button(t("try_again"), again, { class: "primary" })));
}

LEAVE.addEventListener("click", () => busy(LEAVE, async () => {
  try {
    await call("DELETE", "/admin/session");
    location.assign("/console");
  } catch (error) {
    notify(sentence(error), "bad");
  }
}));
