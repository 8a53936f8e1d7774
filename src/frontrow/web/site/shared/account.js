// Sign-in at an issuer, if the page's header has a link to it.

const shown = document.querySelector("[data-account]");

/** The address for signing in and returning to this page; null for guests and without an issuer. */
export function signInLink() {
  return shown && `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
}
