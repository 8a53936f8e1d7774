// Builds elements. Texts are never parsed as HTML.

/**
 * An element. Properties beginning with "on" are listeners, "class" and names with a hyphen are
 * attributes, everything else is set as a property. Children are nodes, texts, or nothing.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Properties<Tag>} properties
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) {
      element.setAttribute(name, value);
    } else element[name] = value;
  }
  element.append(...children.flat(Infinity).filter((child) => child || child === 0));
  return element;
}

/**
 * Sets a text only if it differs, so that an unchanged one is neither announced nor drawn again.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Shows or hides.
 *
 * @param {HTMLElement} element
 * @param {unknown} visible
 */
export function show(element, visible) {
  element.hidden = !visible;
}

/**
 * A button for an action that takes a while: pressed twice, it runs the action once.
 *
 * @param {string} label
 * @param {() => unknown} action
 * @param {Properties<"button">} properties
 */
export function button(label, action, properties = {}) {
  const element = h("button", { type: "button", ...properties }, label);
  element.addEventListener("click", () => busy(element, action));
  return element;
}

/**
 * Runs an action and shows its button as busy meanwhile. The button keeps the focus.
 *
 * @param {HTMLElement} element
 * @param {() => unknown} action
 */
export async function busy(element, action) {
  if (element.getAttribute("aria-disabled") === "true") return;
  element.setAttribute("aria-disabled", "true");
  element.setAttribute("aria-busy", "true");
  try {
    await action();
  } finally {
    element.removeAttribute("aria-disabled");
    element.removeAttribute("aria-busy");
  }
}
