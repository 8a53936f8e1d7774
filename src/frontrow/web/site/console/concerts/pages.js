// The list of concerts, which the server returns in pages.

import { insist } from "../../shared/api.js";

export const PAGE_SIZE = 200;

/**
 * Yields the concerts page by page.
 *
 * @returns {AsyncGenerator<Api.ListedConcert[]>}
 */
export async function* concertPages() {
  for (let after = ""; after !== null;) {
    const { body } = await insist("GET", `/concerts?limit=${PAGE_SIZE}${after && `&after=${after}`}`);
    yield body.concerts;
    after = body.next;
  }
}
