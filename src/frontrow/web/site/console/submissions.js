// Handles the submissions of a form, so that no input is lost while an answer is awaited.

import { busy } from "../shared/dom.js";

/**
 * Handles submissions one after another. A submission during another one is handled after it, if the input has
 * changed since: the same input again is a button that was pressed twice.
 *
 * @param {HTMLFormElement} form
 * @param {HTMLElement} go the button that is busy meanwhile
 * @param {() => unknown} action
 */
export function onSubmit(form, go, action) {
  let handled = null;
  let isAgain = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (handled !== null) {
      isAgain = inputOf(form) !== handled;
      return;
    }
    try {
      do {
        isAgain = false;
        handled = inputOf(form);
        await busy(go, action);
      } while (isAgain);
    } finally {
      handled = null;
    }
  });
}

function inputOf(form) {
  return JSON.stringify([...form.elements].map(({ value }) => value));
}

/**
 * Returns a function that focuses an element, unless the user has moved the focus since: what is typed
 * elsewhere would go to that element.
 *
 * @returns {(element: HTMLElement | null | undefined) => void}
 */
export function focusLater() {
  const before = document.activeElement;
  return (element) => {
    const now = document.activeElement;
    if (now === before || now === document.body || now === null) element?.focus();
  };
}
