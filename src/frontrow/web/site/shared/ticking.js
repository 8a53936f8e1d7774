// Actions that repeat every second.

/** Runs an action now and every second, until the signal is aborted. */
export function everySecond(signal, action) {
  action();
  const timer = setInterval(action, 1000);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}
