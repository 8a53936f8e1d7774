// The operator's calls, and the sign-in that they need.

import "../shared/uncaught.js";
import { call, insist } from "../shared/api.js";
import { busy, button, h, show } from "../shared/dom.js";
import { session } from "../shared/guest.js";
import { t } from "../shared/i18n.js";
import { notify } from "../shared/notice.js";
import { sentence } from "../shared/refusals.js";
import { heading, showView } from "../shared/view.js";
import { onSubmit } from "./submissions.js";

const LEAVE = document.getElementById("sign-out");
const MAIN = document.getElementById("main");

/** @type {Promise<void> | null} */
let signingIn = null;
/** @type {(text: string) => boolean} */
let takes = () => false;

/**
 * A call below /admin. Every call of the console may be repeated until it is answered; one that needs another
 * sign-in is made again after it.
 *
 * @template {string} Method
 * @template {string} Path
 * @param {Method} method
 * @param {Path} path
 * @param {CallOptions<Sent<Method, `/admin${Path}`>>} [options]
 * @returns {Promise<{ status: number, body: Answer<Method, `/admin${Path}`>, etag: string | null }>}
 */
export function operate(method, path, options) {
  return signedIn(() => insist(method, /** @type {`/admin${Path}`} */ (`/admin${path}`), options));
}

/**
 * Runs an action, and again after a sign-in if the session has ended. The page stays as it is: its fields keep their
 * input.
 *
 * @template Result
 * @param {() => Promise<Result>} action
 * @returns {Promise<Result>}
 */
export async function signedIn(action) {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!isSignedOut(error)) throw error;
      signingIn ??= signInAgain().finally(() => (signingIn = null));
      await signingIn;
    }
  }
}

/**
 * Sets what takes a text that a scanner types into the key's field, such as a ticket's code: `take` returns whether it
 * has used the text.
 *
 * @param {(text: string) => boolean} take
 */
export function takeFromSignIn(take) {
  takes = take;
}

/** Starts a page, after signing in if needed. */
export async function run(start) {
  try {
    const { operator } = await session(); // first: a refused call logs an error in the console
    if (!operator) return showSignIn(() => run(start));
    await start();
    show(LEAVE, true);
  } catch (error) {
    showFailure(error, () => run(start));
  }
}

function isSignedOut(error) {
  return error.code === "credential_missing" || error.code === "credential_invalid";
}

function showSignIn(next) {
  show(LEAVE, false);
  const { form, key } = signInForm(next);
  showView("signin", t("signin.heading"), heading(t("signin.heading")), form);
  key.focus();
}

/**
 * Covers the page with the sign-in until it has succeeded.
 *
 * @returns {Promise<void>}
 */
function signInAgain() {
  return new Promise((resolve) => {
    let isDone = false;
    const { form, key } = signInForm(() => {
      isDone = true;
      dialog.close();
    });
    const dialog = h("dialog", { class: "cover", "aria-labelledby": "signin-again" },
      h("div", { class: "stack" }, h("h1", { id: "signin-again", tabIndex: -1 }, t("signin.heading")),
        h("p", {}, t("signin.again")), form));
    const ask = () => {
      dialog.showModal();
      MAIN.setAttribute("aria-hidden", "true"); // covered, not only behind the dialog
      key.focus();
    };
    dialog.addEventListener("close", () => { // also by the Escape key
      if (!isDone) return ask();
      MAIN.removeAttribute("aria-hidden");
      dialog.remove();
      resolve();
    });
    document.body.append(dialog);
    ask();
  });
}

function signInForm(next) {
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
  onSubmit(form, go, async () => {
    const entered = key.value;
    if (takes(entered)) {
      key.value = "";
      return;
    }
    wrong.textContent = "";
    try {
      await call("POST", "/admin/session", { bearer: entered.trim() });
      const { operator } = await session();
      if (!operator) wrong.textContent = t("signin.no_cookie");
    } catch (error) {
      wrong.textContent = isSignedOut(error) ? t("signin.wrong") : sentence(error);
    }
    if (!wrong.textContent) await next();
    else if (key.value === entered) key.select();
  });
  return { form, key };
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
