// The chosen seats of a show. They are kept in the tab, so that a reload doesn't lose them.

const KEPT = "frontrow.chosen"; // no secret: the seats that are chosen, of one show

/** A set of seat numbers that is the same after a reload. */
export class Chosen {
  /** @param {string} show */
  constructor(show) {
    this.show = show;
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
    /** @type {Set<number>} */
    this.numbers = new Set(kept.show === show ? kept.numbers : []);
  }

  get size() {
    return this.numbers.size;
  }

  has(number) {
    return this.numbers.has(number);
  }

  add(number) {
    this.numbers.add(number);
    this.keep();
  }

  /** Removes seats. */
  remove(numbers) {
    for (const number of numbers) this.numbers.delete(number);
    this.keep();
  }

  /** The seats in order. */
  sorted() {
    return [...this.numbers].sort((a, b) => a - b);
  }

  keep() {
    sessionStorage.setItem(KEPT, JSON.stringify({ show: this.show, numbers: this.sorted() }));
  }
}
