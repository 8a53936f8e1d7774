"""The part of the naive model of buyers for lines and seats: see ``buyer_model.py``.

It uses nothing of the product, and stores no seats: their holders are derived from the holds.
"""

from collections.abc import Sequence
from math import inf
from uuid import UUID

from frontrow.reservations.model import Wish
from tests.integration.buyer_world import Concert, Hold, Place, Sale, Show, User
from tests.integration.choice_model import House, Section

# Real time passes during a run too. So the model's time passes in tens of minutes, and every time
# limit is a hundred seconds or more from a turn of its clock.
TURN_SECONDS = 600
# Ends within the first turn of the clock, the second, the third.
OPENS_SECONDS = 300
HOLD_SECONDS = 700
CLAIM_SECONDS = 900
SESSION_SECONDS = 1_500
# Data that ended more than a day before is pruned.
LONG_SECONDS = 288 * TURN_SECONDS
UNPAID_HOLDS = 2
UNPAID_SECONDS = 1_500
SEATS = 6
SEAT_LIMIT = 3
PRICE = 1_000
Reply = tuple[str, dict[str, object]]
"""The answer to a call: a code and its fields."""
DONE: Reply = ("done", {})


def refuse(code: str, **fields: object) -> Reply:
    """Returns a refusal."""
    return code, fields


class SeatModel:
    """All users, and their seats."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.users: list[User] = []
        self.concerts: list[Concert] = []
        self.holds: list[Hold] = []
        self.sales: list[Sale] = []
        self.keys: dict[tuple[User | None, str, str], tuple[object, Hold | None]] = {}
        """The request by user (``None``: the operator), kind and key."""

    # State --------------------------------------------------------------------------------------

    @property
    def places(self) -> list[Place]:
        """Returns all places."""
        return [place for concert in self.concerts for place in concert.places]

    @property
    def shows(self) -> list[Show]:
        """Returns all shows."""
        return [show for concert in self.concerts for show in concert.shows]

    def holder(self, show: Show, number: int) -> Hold | None:
        """Returns the holder of a seat."""
        for hold in self.holds:
            if hold.show is show and number in hold.seats and hold.has_seats_at(self.clock):
                return hold
        return None

    def taken(self, show: Show) -> list[int]:
        """Returns the taken seats."""
        return [number for number in range(1, SEATS + 1) if self.holder(show, number)]

    def states(self, show: Show) -> str:
        """Returns the states of seats in a map: available, held, sold."""
        holders = [self.holder(show, number) for number in range(1, SEATS + 1)]
        return "".join("a" if h is None else "s" if h.state == "paid" else "h" for h in holders)

    def objection(self, place: Place) -> Reply | None:
        """Returns the refusal of a place that may not act."""
        if place.is_pruned():
            return refuse("credential_invalid")
        if place.state == "waiting":
            return refuse("not_admitted")
        if place.state == "finished":
            return refuse("token_finished", reason=place.reason)
        if place.ends <= self.clock:
            return refuse("token_finished", reason="expired")
        return None

    def acting(self) -> list[Place]:
        """Returns the places that may act."""
        return [place for place in self.places if self.objection(place) is None]

    def of_user(self, user: User, concert: Concert) -> list[Hold]:
        """Returns a user's holds of one concert that are not pruned."""
        return [
            hold
            for hold in self.holds
            if hold.place.user is user and hold.show.concert is concert and not hold.pruned
        ]

    def asked_before(
        self, owner: User | None, operation: str, key: str | None, request: object
    ) -> Reply | None:
        """Returns the answer to a used key: a replay, or a refusal for another request."""
        if key is None or (owner, operation, key) not in self.keys:
            return None
        before, hold = self.keys[owner, operation, key]
        if hold is not None and hold.pruned:
            return None
        return refuse("replayed" if before == request else "idempotency_key_reused")

    def made_with(self, user: User, key: str | None) -> Hold:
        """Returns the hold that a user made with a key."""
        hold = self.keys[user, "reservation", str(key)][1]
        assert hold is not None
        return hold

    def remember(
        self,
        owner: User | None,
        operation: str,
        key: str | None,
        request: object,
        hold: Hold | None = None,
    ) -> None:
        """Stores the request of a key, until the ``hold`` that it made is pruned."""
        if key is not None:
            self.keys[owner, operation, key] = (request, hold)

    # The line -----------------------------------------------------------------------------------

    def join(self, user: User, concert: Concert) -> tuple[Reply, Place | None]:
        """Returns a user's live place; ``None`` if a new one is due: the ended one is finished."""
        if user.erased:
            return refuse("credential_invalid"), None
        for place in concert.places:
            if place.user is user and place.state != "finished":
                if place.ends > self.clock:
                    return DONE, place
                place.finish("expired")
        return DONE, None

    def finish_ended(self, concert: Concert) -> None:
        """Finishes admitted places whose time has ended."""
        for place in concert.places:
            if place.state == "admitted" and place.ends <= self.clock:
                place.finish("expired")

    def admissible(self, concert: Concert) -> list[Place]:
        """Returns the places to admit now, or at most by a rate."""
        active = sum(place.state == "admitted" for place in concert.places)
        waiting = concert.waiting()
        return waiting[: int(min(max(concert.cap - active, 0), len(waiting)))]

    def call(self, places: Sequence[Place]) -> None:
        """Admits these places."""
        for place in places:
            place.state, place.called, place.ends = "admitted", True, self.clock + CLAIM_SECONDS

    def claim(self, place: Place) -> None:
        """Claims an admitted place: the first call starts the session."""
        if not place.claimed and self.objection(place) is None:
            place.claimed = True
            place.ends = place.session_ends = self.clock + SESSION_SECONDS

    def enter(self, place: Place) -> Reply:
        """Answers a call that only checks whether the place may act."""
        self.claim(place)
        return self.objection(place) or DONE

    def leave(self, place: Place) -> Reply:
        """Ends a place, with its holds."""
        objection = self.objection(place)
        if objection is not None and objection[0] != "not_admitted":
            return objection
        place.finish("left")
        self.release_holds_of(place)
        return DONE

    def release_holds_of(self, place: Place) -> None:
        """Releases all holds of a place."""
        for hold in self.holds:
            if hold.place is place:
                hold.end_early(self.clock)

    def erase(self, user: User) -> Reply:
        """Erases a user: leaves all lines; later joins with the user's key are refused."""
        if not user.erased:
            if user.balance > 0:
                return refuse("balance_remains", balance=user.balance)
            user.erased = True
            for place in self.places:
                if place.user is user:
                    self.leave(place)
        return DONE

    def prune(self) -> tuple[int, int, int]:
        """Prunes ended data; returns the counts of places, unpaid holds and keys."""
        places = holds = 0
        for concert in self.concerts:
            last = concert.pruned_to
            while last < len(concert.places) and concert.places[last].state == "finished":
                last += 1
            if last >= len(concert.drawn):
                places += last - concert.pruned_to
                concert.pruned_to = last
        for hold in self.holds:
            if hold.sale is None and not hold.pruned and hold.place.is_pruned():
                hold.pruned = True
                holds += 1
        over = [user for user in self.users if user.erased and user.has_key]
        for user in over:
            user.has_key = False
        return places, holds, len(over)

    # Seats --------------------------------------------------------------------------------------

    def hold(self, place: Place, show: Show, seats: Sequence[int], key: str | None) -> Reply:
        """Answers a request for named seats."""
        self.claim(place)
        missing = any(number > SEATS for number in seats)
        if objection := self._no_hold(place, show, (show, list(seats)), key, missing=missing):
            return objection
        taken = [number for number in seats if self.holder(show, number)]
        if taken:
            return refuse("seat_taken", seats=taken)
        ended = self._ended_seats(place, show)
        again = [number for number in seats if number in ended]
        if again:
            until = max(ended[number] for number in again) + HOLD_SECONDS
            retry = until - self.clock
            return refuse("recently_released", seats=again, retry_after_seconds=retry)
        return self._over_limit(place, len(seats)) or DONE

    def hold_best(
        self, place: Place, show: Show, wish: Wish, key: str | None
    ) -> tuple[Reply, list[int]]:
        """Answers a request for the best seats, with the seats."""
        self.claim(place)
        missing = wish.section is not None
        objection = self._no_hold(place, show, (show, wish), key, missing=missing)
        objection = objection or self._over_limit(place, wish.count)
        if objection:
            return objection, []
        unusable = {*self.taken(show), *self._ended_seats(place, show)}
        house = House([Section(1, SEATS)], sorted(unusable))
        none = refuse(
            "seats_unavailable", available=house.available(None), together=house.longest_run(None)
        )
        chosen = house.choose(None, wish.count, together=wish.together)
        return (none, []) if chosen is None else (DONE, sorted(chosen))

    def _no_hold(
        self, place: Place, show: Show, request: object, key: str | None, *, missing: bool
    ) -> Reply | None:
        before = self.asked_before(place.user, "reservation", key, request)
        if objection := before or self.objection(place):
            return objection
        if show.concert is not place.concert:
            return refuse("not_allowed")
        if missing:
            return refuse("not_found")
        if show.cancelled or show.closed:
            return refuse("show_closed")
        barred_until = self._barred_until(place)
        if barred_until > self.clock:
            return refuse("rate_limited", retry_after_seconds=barred_until - self.clock)
        return None

    def _over_limit(self, place: Place, count: int) -> Reply | None:
        mine = self.of_user(place.user, place.concert)
        has = sum(len(hold.seats) for hold in mine if hold.has_seats_at(self.clock))
        return refuse("seat_limit", limit=SEAT_LIMIT) if has + count > SEAT_LIMIT else None

    def _ended_seats(self, place: Place, show: Show) -> dict[int, float]:
        """Returns the seats that a user can't hold again yet, each with the end of its hold."""
        ended: dict[int, float] = {}
        for hold in self.of_user(place.user, place.concert):
            if hold.show is show and hold.ended_by_user and hold.sale is None:
                ends = min(hold.closed_at, hold.ends)
                if self.clock - HOLD_SECONDS < ends <= self.clock:
                    ended |= dict.fromkeys(hold.seats, ends)
        return ended

    def _barred_until(self, place: Place) -> float:
        """Returns until when a user with too many unpaid holds can't hold."""
        since = self.clock - UNPAID_SECONDS
        mine = self.of_user(place.user, place.concert)
        unwritten = [h for h in mine if h.state == "held" and since < h.ends <= self.clock]
        closed = sorted(
            (h.closed_at for h in mine if h.state in ("released", "expired")), reverse=True
        )
        spare = max(UNPAID_HOLDS - 1 - len(unwritten), 0)
        if spare < len(closed) and closed[spare] > since:
            return closed[spare] + UNPAID_SECONDS
        return self.clock + UNPAID_SECONDS if len(unwritten) >= UNPAID_HOLDS else -inf

    def add_hold(
        self, reservation_id: UUID, place: Place, show: Show, seats: Sequence[int]
    ) -> Hold:
        """Adds a hold: the session lasts as long as it does, but by at most one hold longer."""
        ends = min(self.clock, place.session_ends) + HOLD_SECONDS
        hold = Hold(reservation_id, place, show, list(seats), len(seats) * PRICE, ends)
        self.holds.append(hold)
        place.ends = max(place.ends, ends)
        return hold

    def release(self, hold: Hold, user: User, place: Place | None) -> Reply:
        """Releases a hold for its owner, with a token or without."""
        if place is not None:
            objection = self.objection(place)
            if objection is not None and objection[0] != "not_admitted":
                return objection
        if hold.place.user is not user or hold.pruned:
            return refuse("not_found")
        if place is not None and hold.show.concert is not place.concert:
            return refuse("not_allowed")
        if hold.sale is not None:
            return refuse("reservation_closed", state=hold.state)
        hold.end_early(self.clock)
        return DONE

    def expire(self) -> int:
        """Records which holds have ended; returns their count."""
        over = [h for h in self.holds if h.state == "held" and h.ends <= self.clock]
        over = [hold for hold in over if not hold.pruned]
        for hold in over:
            hold.state, hold.closed_at = "expired", self.clock
        return len(over)
