// Who is signed in, as the page's header says; nothing where nobody signs in here.

const shown = document.querySelector("[data-account]");

/** Whether the browser has a session of somebody who signed in, as opposed to a guest. */
export function isSignedIn() {
  return shown?.dataset.account === "in";
}

/** Where one signs in, and comes back from to this page; null for guests, and where nobody does. */
export function signInLink() {
  return shown && `/sign-in?to=${encodeURIComponent(location.pathname + location.search)}`;
}
