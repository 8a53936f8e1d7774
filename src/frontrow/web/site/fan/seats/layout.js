// Where each seat is drawn: sections one below the other, the first one next to the stage, rows
// centred. A section without rows is one row, even if it is wider than a phone: users scroll sideways, and
// neighbours stay side by side. Only a section that is too long for any row is broken into lines that fit.

const HEADER = 40; // pixels above a section, for its name
const STAGE = 44;
const MARGIN = 18; // with room for a row's number
const LARGEST = 34;
const SMALLEST = 26; // a finger's width; WCAG 2.2 requires 24 (2.5.8)
const LONGEST_ROW = 100; // of a section without rows
const LONGEST_LINE = 20;

/** Lays the sections out for a width in pixels. */
export function layOut(sections, width) {
  const longest = Math.max(...sections.map((section) => rowLength(section, width)));
  const size = Math.max(SMALLEST, Math.min(LARGEST, Math.floor((width - 2 * MARGIN) / longest)));
  const total = Math.max(width, longest * size + 2 * MARGIN);
  let top = STAGE;
  const blocks = sections.map((section) => {
    const length = rowLength(section, width);
    const seats = section.last_number - section.first_number + 1;
    const rows = Math.ceil(seats / length);
    const block = {
      ...section,
      length,
      rows,
      hasRows: section.seats_per_row < seats,
      top,
      seatsTop: top + HEADER,
      left: (total - length * size) / 2,
      bottom: top + HEADER + rows * size,
    };
    top = block.bottom + MARGIN;
    return block;
  });
  return { size, width: total, height: top, blocks, stage: STAGE };
}

/** Whether a section is one row that is shown in lines. */
export function isBroken({ first_number: first, last_number: last, seats_per_row: length }) {
  return length > LONGEST_ROW && length > last - first;
}

function rowLength(section, width) {
  const seats = section.last_number - section.first_number + 1;
  if (!isBroken(section)) return Math.min(section.seats_per_row, seats);
  const fitting = Math.max(5, Math.floor((width - 2 * MARGIN) / SMALLEST));
  return Math.min(seats, fitting, LONGEST_LINE);
}

/** The seat at a point, or null. */
export function seatAt(layout, x, y) {
  const block = layout.blocks.find((each) => y >= each.seatsTop && y < each.bottom);
  if (!block) return null;
  const column = Math.floor((x - block.left) / layout.size);
  if (column < 0 || column >= block.length) return null;
  const number = block.first_number + Math.floor((y - block.seatsTop) / layout.size) * block.length + column;
  return number <= block.last_number ? number : null;
}

/** The middle of a seat. */
export function centreOf(layout, number) {
  const block = layout.blocks.find((each) => number <= each.last_number);
  const index = number - block.first_number;
  return {
    x: block.left + ((index % block.length) + 0.5) * layout.size,
    y: block.seatsTop + (Math.floor(index / block.length) + 0.5) * layout.size,
    block,
  };
}

/** The seat that an arrow key leads to from another, across sections; itself at the edge. */
export function neighbour(layout, number, key) {
  const { x, y, block } = centreOf(layout, number);
  if (key === "ArrowLeft") return Math.max(1, number - 1);
  if (key === "ArrowRight") return Math.min(layout.blocks.at(-1).last_number, number + 1);
  const step = key === "ArrowDown" ? 1 : -1;
  const there = seatAt(layout, x, y + step * layout.size);
  if (there) return there;
  const next = layout.blocks[layout.blocks.indexOf(block) + step];
  if (!next) return number;
  const row = step > 0 ? 0 : next.rows - 1;
  const column = Math.round((x - next.left) / layout.size - 0.5);
  const clamped = Math.max(0, Math.min(next.length - 1, column));
  return Math.min(next.last_number, next.first_number + row * next.length + clamped);
}
