// Reads codes with the camera, where the browser can read QR codes. No image leaves the page.

import { button, h, show } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { notify } from "../../shared/notice.js";

const EVERY_MS = 150;
const SAME_AGAIN_MS = 4000; // a ticket that stays in view is read once; one that was away for this long, again

/** A button that opens the camera; `read`: called with each code. */
export class Camera {
  constructor(read) {
    this.read = read;
    /** @type {Map<string, number>} when each code was last in view */
    this.seen = new Map();
    this.video = h("video", { class: "camera", muted: true, playsInline: true });
    this.video.setAttribute("aria-label", t("camera.view"));
    this.element = h("div", { hidden: true }, this.video);
    const can = "BarcodeDetector" in window && navigator.mediaDevices;
    this.button = can
      ? button(t("camera.start"), () => (this.stream ? this.stop() : this.start()))
      : h("p", { class: "soft small" }, t(isSecureContext ? "camera.cannot" : "camera.insecure"));
  }

  async start() {
    try {
      this.detector = new BarcodeDetector({ formats: ["qr_code"] });
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      notify(t("camera.refused"), "bad");
      return;
    }
    this.video.srcObject = this.stream;
    show(this.element, true);
    this.button.textContent = t("camera.stop");
    await this.video.play();
    this.timer = setInterval(() => this.look(), EVERY_MS);
  }

  stop() {
    clearInterval(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    show(this.element, false);
    if (this.button.tagName === "BUTTON") this.button.textContent = t("camera.start");
  }

  async look() {
    if (this.isBusy || this.video.readyState < HTMLMediaElement.HAVE_ENOUGH_DATA) return;
    this.isBusy = true;
    try {
      const [found] = await this.detector.detect(this.video);
      const now = performance.now();
      for (const [code, at] of this.seen) if (now - at > SAME_AGAIN_MS) this.seen.delete(code);
      if (!found) return;
      const isNew = !this.seen.has(found.rawValue);
      this.seen.set(found.rawValue, now);
      if (isNew) this.read(found.rawValue);
    } catch {
      // A frame that can't be read: the next one may be.
    } finally {
      this.isBusy = false;
    }
  }
}
