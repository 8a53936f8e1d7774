// The map, drawn on a canvas as large as its viewport: only the visible seats are drawn, so an arena costs no more
// than a club. The arrow keys move a cursor; its seat is announced to screen readers.

import { h } from "../../shared/dom.js";
import { t } from "../../shared/i18n.js";
import { FREE, HELD } from "./model.js";
import { centreOf, layOut, neighbour, seatAt } from "./layout.js";

const ARROWS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);
const ROW_LABEL = 10; // pixels to the left of a row
const SHADES = 6; // colours of price classes, --seat-1 and on

/** A map over a model. `press`: a seat was pressed. `look`: the cursor is on it. */
export class SeatMap {
  /**
   * @param {{ sections: Api.Section[], stateOf(number: number): string }} model
   * @param {{ has(number: number): boolean }} chosen
   * @param {{ press(number: number): void, look(number: number): void, signal: AbortSignal }} reactions
   */
  constructor(model, chosen, { press, look, signal }) {
    this.model = model;
    this.chosen = chosen;
    this.press = press;
    this.look = look;
    this.cursor = 1;
    this.drawn = 0;
    this.canvas = h("canvas", { class: "map-canvas" });
    this.spacer = h("div", { class: "map-spacer" });
    this.element = h(
      "div",
      { class: "map", tabIndex: 0, role: "application", "aria-label": t("map.label"), "aria-describedby": "map-help" },
      this.canvas,
      this.spacer,
    );
    const options = { signal };
    this.element.addEventListener("scroll", () => this.later(), { passive: true, signal });
    this.element.addEventListener("click", (event) => this.pressed(event), options);
    this.element.addEventListener("keydown", (event) => this.key(event), options);
    this.element.addEventListener("focus", () => this.focused(), options);
    this.element.addEventListener("blur", () => this.later(), options);
    const scheme = window.matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", () => this.restyle(), options);
    const watcher = new ResizeObserver(() => this.resize());
    watcher.observe(this.element);
    signal.addEventListener("abort", () => watcher.disconnect(), { once: true });
  }

  /** Lays the map out again, after a change of its seats or its width. */
  resize() {
    if (!this.model.sections.length || !this.element.clientWidth) return;
    const isFirst = !this.layout;
    this.layout = layOut(this.model.sections, this.element.clientWidth);
    this.spacer.style.width = `${this.layout.width}px`;
    this.spacer.style.height = `${this.layout.height}px`;
    this.element.classList.toggle("is-wide", this.layout.width > this.element.clientWidth);
    if (isFirst) this.element.scrollLeft = this.middle();
    this.restyle();
  }

  /** The horizontal scroll position that centres the rows. */
  middle() {
    return Math.max(0, (this.layout.width - this.element.clientWidth) / 2);
  }

  restyle() {
    const style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(name).trim();
    this.colours = {
      classes: Array.from({ length: SHADES }, (_, index) => colour(`--seat-${index + 1}`)),
      on: colour("--on-seat"),
      taken: colour("--seat-taken"),
      held: colour("--seat-held"),
      chosen: colour("--accent"),
      onChosen: colour("--on-accent"),
      text: colour("--text"),
      soft: colour("--soft"),
      line: colour("--line"),
      focus: colour("--focus"),
    };
    this.classes = priceClasses(this.model.sections);
    this.later();
  }

  /** Draws in the next frame, once for any number of calls. */
  later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = undefined;
      this.draw();
    });
  }

  draw() {
    const { element, canvas, layout } = this;
    if (!layout) return;
    const [width, height, ratio] = [element.clientWidth, element.clientHeight, window.devicePixelRatio || 1];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    const pen = canvas.getContext("2d");
    const [left, top] = [element.scrollLeft, element.scrollTop];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.translate(-left, -top);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    this.drawStage(pen, left, width);
    for (const block of layout.blocks) {
      if (block.bottom < top || block.top > top + height) continue;
      this.drawBlock(pen, block, { left, top, width, height });
    }
    if (document.activeElement === element) this.drawCursor(pen);
    this.drawn += 1;
  }

  drawStage(pen, left, width) {
    pen.fillStyle = this.colours.line;
    pen.beginPath();
    pen.roundRect(left + width * 0.2, 8, width * 0.6, 22, 6);
    pen.fill();
    pen.fillStyle = this.colours.text;
    pen.font = "600 12px system-ui";
    pen.fillText(t("map.stage"), left + width / 2, 19);
  }

  drawBlock(pen, block, view) {
    const { size } = this.layout;
    if (block.name) {
      pen.fillStyle = this.colours.text;
      pen.font = "600 14px system-ui";
      pen.fillText(shortened(pen, block.name, view.width - 16), view.left + view.width / 2, block.top + 22);
    }
    const from = Math.max(0, Math.floor((view.top - block.seatsTop) / size));
    const to = Math.min(block.rows, Math.ceil((view.top + view.height - block.seatsTop) / size));
    const first = Math.max(0, Math.floor((view.left - block.left) / size));
    const last = Math.min(block.length, Math.ceil((view.left + view.width - block.left) / size));
    const fill = this.colours.classes[this.classes.get(block.price)];
    pen.font = `${Math.floor(size * 0.36)}px system-ui`;
    for (let row = from; row < to; row++) {
      if (block.hasRows) {
        pen.fillStyle = this.colours.soft;
        pen.fillText(String(row + 1), block.left - ROW_LABEL, block.seatsTop + (row + 0.5) * size);
      }
      for (let column = first; column < last; column++) {
        const number = block.first_number + row * block.length + column;
        if (number > block.last_number) break;
        const label = block.hasRows ? column + 1 : row * block.length + column + 1;
        const [x, y] = [block.left + column * size, block.seatsTop + row * size];
        this.drawSeat(pen, { number, label, x, y, fill });
      }
    }
  }

  /** Free seats are filled and numbered, held ones a ring, sold ones a dot: distinguishable without colour. */
  drawSeat(pen, { number, label, x, y, fill }) {
    const { size } = this.layout;
    const state = this.model.stateOf(number);
    const isChosen = this.chosen.has(number);
    pen.beginPath();
    if (state === FREE || isChosen) {
      pen.roundRect(x + 2, y + 2, size - 4, size - 4, size / 5);
      pen.fillStyle = isChosen ? this.colours.chosen : fill;
      pen.fill();
      pen.fillStyle = isChosen ? this.colours.onChosen : this.colours.on;
      pen.fillText(isChosen ? "✓" : String(label), x + size / 2, y + size / 2 + 0.5);
    } else if (state === HELD) {
      pen.arc(x + size / 2, y + size / 2, size / 4, 0, 2 * Math.PI);
      pen.lineWidth = 2;
      pen.strokeStyle = this.colours.held;
      pen.stroke();
    } else {
      pen.arc(x + size / 2, y + size / 2, size / 8, 0, 2 * Math.PI);
      pen.fillStyle = this.colours.taken;
      pen.fill();
    }
  }

  drawCursor(pen) {
    const { size } = this.layout;
    const { x, y } = centreOf(this.layout, this.cursor);
    pen.beginPath();
    pen.roundRect(x - size / 2, y - size / 2, size, size, size / 4);
    pen.lineWidth = 3;
    pen.strokeStyle = this.colours.focus;
    pen.stroke();
  }

  pressed(event) {
    if (!this.layout) return;
    const box = this.element.getBoundingClientRect();
    const x = event.clientX - box.left + this.element.scrollLeft - this.element.clientLeft;
    const y = event.clientY - box.top + this.element.scrollTop - this.element.clientTop;
    const number = seatAt(this.layout, x, y);
    if (number === null) return;
    this.cursor = number;
    this.press(number);
    this.later();
  }

  /** Keyboard users see where the cursor is. */
  focused() {
    if (this.layout && this.element.matches(":focus-visible")) this.reveal(this.cursor);
    this.later();
  }

  key(event) {
    if (!this.layout || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") this.press(this.cursor);
    else if (ARROWS.has(event.key)) this.moveTo(neighbour(this.layout, this.cursor, event.key));
    else return;
    event.preventDefault();
    this.later();
  }

  /** Puts the cursor on a seat and brings that into view. */
  moveTo(number) {
    this.cursor = number;
    this.reveal(number);
    this.look(number);
    this.later();
  }

  reveal(number) {
    const { x, y } = centreOf(this.layout, number);
    const { element, layout } = this;
    const near = layout.size;
    const clamp = (at, start, length) =>
      at - near < start ? at - near : at + near > start + length ? at + near - length : start;
    element.scrollLeft = clamp(x, element.scrollLeft, element.clientWidth);
    element.scrollTop = clamp(y, element.scrollTop, element.clientHeight);
  }

  /** Scrolls to a section. */
  goTo(index) {
    const block = this.layout.blocks[index];
    this.cursor = block.first_number;
    this.element.scrollTop = Math.max(0, block.top - 8);
    this.element.scrollLeft = this.middle();
    this.later();
  }
}

/**
 * A text that is no wider than `width` pixels. Its whole is in the list of sections.
 * @param {{ measureText(text: string): { width: number } }} pen
 */
export function shortened(pen, text, width) {
  const wide = pen.measureText(text).width;
  if (wide <= width) return text;
  const letters = Array.from(text);
  let kept = Math.floor((letters.length * width) / wide);
  const cut = () => `${letters.slice(0, kept).join("")}…`;
  while (kept > 0 && pen.measureText(cut()).width > width) kept -= 1;
  return cut();
}

/** The colour index of a price: the highest price has the first colour. */
export function priceClasses(sections) {
  const prices = [...new Set(sections.map(({ price }) => price))].sort((a, b) => b - a);
  return new Map(prices.map((price, index) => [price, index % SHADES]));
}
