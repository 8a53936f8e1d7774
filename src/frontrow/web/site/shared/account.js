// Signing in elsewhere, as far as the page's header says that one can.

const shown = document.querySelector("[data-account]");

/** Where one signs in, and comes back from to this page; null for guests, and where nobody does. */
export function signInLink() {
  return shown && `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
}
