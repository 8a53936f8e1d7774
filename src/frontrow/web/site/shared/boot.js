// Loads a page's script after the first paint: loading it earlier would delay the paint, and the page
// can be used without it.

const LATEST_MS = 500; // a hidden tab paints nothing
const AGAIN_MS = 5000;

const { script, imports } = JSON.parse(document.getElementById("boot").textContent);
let sent = null; // a form that was submitted before the script was loaded

addEventListener("submit", keep);
await new Promise((resolve) => {
  requestAnimationFrame(() => setTimeout(resolve)); // a task later the frame is on its way
  setTimeout(resolve, LATEST_MS);
});
for (const href of imports) {
  document.head.append(Object.assign(document.createElement("link"), { rel: "modulepreload", href }));
}
try {
  await import(script);
} catch (error) {
  again();
  throw error;
} finally {
  removeEventListener("submit", keep);
  sent?.target.requestSubmit(sent.submitter); // handled by the script, or else by the server
}

/** Reloads the page when the script could not be loaded: without it the page is never updated. */
async function again() {
  if (!navigator.onLine) await new Promise((resolve) => addEventListener("online", resolve, { once: true }));
  setTimeout(() => location.reload(), AGAIN_MS);
}

function keep(event) {
  event.preventDefault();
  sent = event;
}
