// Signing in elsewhere, as far as the page's header says that one can.

const shown = document.querySelector("[data-account]");

/** The address for signing in and returning to this page; null for guests and without an issuer. */
export function signInLink() {
  return shown && `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
}
