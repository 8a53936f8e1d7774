// The names of seats: with section and row if there are any, as on the ticket.

import { t } from "./i18n.js";

const KEPT = "frontrow.seats"; // no secret: the names of the seats of the last hold

/** Returns the name of a seat. */
export function seatName({ section, row, seat }) {
  const place = row ? t("seat.in_row", { row: String(row), seat: String(seat) }) : t("seat", { seat: String(seat) });
  return section ? t("seat.in_section", { section, place }) : place;
}

/** Stores the names of a hold's seats for a reload: a reservation doesn't contain them. */
export function keepNames(reservation, nameOf) {
  const names = Object.fromEntries(reservation.seats.map(({ number }) => [number, nameOf(number)]));
  sessionStorage.setItem(KEPT, JSON.stringify({ id: reservation.reservation_id, names }));
}

/** The name of a hold's seat; in a tab that doesn't know it, by its number in the show. */
export function keptName(reservation, { section, number }) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  const name = kept.id === reservation.reservation_id ? kept.names[number] : undefined;
  return name ?? [section, t("seat.number", { number: String(number) })].filter(Boolean).join(", ");
}
