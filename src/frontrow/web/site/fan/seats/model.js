// The seats of one show as this page knows them: the whole map once, then only the changes.

import { call } from "../../shared/api.js";

export const FREE = "a";
export const HELD = "h";

/** Sections, one letter per seat, and the version since which the next changes are requested. */
export class SeatModel {
  constructor(concert, show) {
    this.concert = concert;
    this.path = `/concerts/${concert}/dates/${show.date}/seats?form=compact&show_id=${show.show_id}`;
    /** @type {Api.Section[]} */
    this.sections = [];
    /** @type {string[]} a letter for each seat */
    this.states = [];
    this.available = 0;
    this.version = null;
    this.etag = null;
  }

  /**
   * Requests the map, or its changes. Returns the numbers that changed, or null when the whole map is new.
   */
  async update(signal) {
    const since = this.version ? `&since=${encodeURIComponent(this.version)}` : "";
    const path = /** @type {`/concerts/${string}/dates/${string}/seats`} */ (this.path + since);
    const { status, body, etag } = await call("GET", path, { etag: this.etag, signal });
    if (status === 304) return [];
    this.etag = etag;
    this.version = body.version;
    this.available = body.seats_available;
    if (body.complete) {
      this.sections = body.sections;
      const before = this.states;
      this.states = [...body.states];
      return before.length === this.states.length ? this.differences(before) : null;
    }
    return body.numbers.filter((number, index) => this.set(number, body.states[index]));
  }

  differences(before) {
    const found = [];
    for (let index = 0; index < before.length; index++) {
      if (before[index] !== this.states[index]) found.push(index + 1);
    }
    return found;
  }

  set(number, state) {
    const isNew = this.states[number - 1] !== state;
    this.states[number - 1] = state;
    return isNew;
  }

  isFree(number) {
    return this.states[number - 1] === FREE;
  }

  stateOf(number) {
    return this.states[number - 1];
  }

  sectionOf(number) {
    return this.sections.findIndex(({ last_number: last }) => number <= last);
  }

  /** A seat: its section, its row if there are any, and its place there, counted from 1. */
  seat(number) {
    const section = this.sections[this.sectionOf(number)];
    const index = number - section.first_number;
    const hasRows = section.seats_per_row < section.last_number - section.first_number + 1;
    return {
      section: section.name,
      price: section.price,
      row: hasRows ? Math.floor(index / section.seats_per_row) + 1 : null,
      seat: (index % section.seats_per_row) + 1,
      state: this.stateOf(number),
    };
  }

  /** The number of free seats in each section. */
  freeBySection() {
    return this.sections.map(({ first_number: first, last_number: last }) => {
      let free = 0;
      for (let number = first; number <= last; number++) if (this.isFree(number)) free += 1;
      return free;
    });
  }
}
