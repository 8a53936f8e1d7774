// Notifies the fan when the turn comes, on request: with a sound and a notification.

import { t } from "../../shared/i18n.js";

const WANTED = "frontrow.alert"; // no secret: whether this tab has the alert turned on
let audio;

/** Whether the alert is on. */
export function isWanted() {
  return sessionStorage.getItem(WANTED) === "yes";
}

/** Turns the alert on. Call it from a click handler: only then browsers allow sound. */
export async function want() {
  sessionStorage.setItem(WANTED, "yes");
  audio ??= new AudioContext();
  await audio.resume();
  if ("Notification" in window && Notification.permission === "default") {
    await Notification.requestPermission();
  }
  play([[660, 0]]);
}

/** Turns the alert off. */
export function dontWant() {
  sessionStorage.removeItem(WANTED);
}

/** Notifies the fan by all means that the browser allows. */
export function callFan(title) {
  if (!isWanted()) return;
  play([[660, 0], [880, 0.25], [1100, 0.5]]);
  navigator.vibrate?.([200, 100, 200]);
  if ("Notification" in window && Notification.permission === "granted") {
    try {
      const shown = new Notification(t("turn.title"), { body: title, tag: "frontrow-turn" });
      shown.addEventListener("click", () => window.focus());
    } catch {
      // Phones have notifications for service workers only: there only the sound is played.
    }
  }
}

function play(notes) {
  if (audio?.state !== "running") return;
  for (const [frequency, delay] of notes) {
    const start = audio.currentTime + delay;
    const tone = new OscillatorNode(audio, { frequency });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.setTargetAtTime(0.25, start, 0.01);
    volume.gain.setTargetAtTime(0, start + 0.15, 0.03);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.5);
  }
}
