"""The half of the naive model of buyers that is about lines and seats: see ``buyer_model.py``.

Nothing of the product is in it, and no seat: who has one is asked of the holds.
"""

from collections.abc import Sequence
from math import inf
from uuid import UUID

from frontrow.reservations.best import Wish
from tests.integration.buyer_world import Concert, Hold, Place, Sale, Show, User
from tests.integration.choice_model import House, Section

# Real time passes too while a run goes on. So the model's time passes in tens of minutes, and all
# that ends by itself ends a hundred seconds or more from a turn of its clock.
TURN_SECONDS = 600
# Ends within the first turn of the clock, the second, the third.
OPENS_SECONDS = 300
HOLD_SECONDS = 700
CLAIM_SECONDS = 900
SESSION_SECONDS = 1_500
# Pruned is what was over a day before.
LONG_SECONDS = 288 * TURN_SECONDS
UNPAID_HOLDS = 2
UNPAID_SECONDS = 1_500
SEATS = 6
SEAT_LIMIT = 3
PRICE = 1_000
Told = tuple[str, dict[str, object]]
"""What a question is answered with: a code and its fields."""
DONE: Told = ("done", {})


def refuse(code: str, **fields: object) -> Told:
    """A refusal."""
    return code, fields


class SeatModel:
    """Everybody, and the seats that they have."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.users: list[User] = []
        self.concerts: list[Concert] = []
        self.holds: list[Hold] = []
        self.sales: list[Sale] = []
        self.keys: dict[tuple[User | None, str, str], tuple[object, Hold | None]] = {}
        """By whose (``None``: the operator's), of what and which key: the request."""

    # What it knows ------------------------------------------------------------------------------

    @property
    def places(self) -> list[Place]:
        """All places."""
        return [place for concert in self.concerts for place in concert.places]

    @property
    def shows(self) -> list[Show]:
        """All shows."""
        return [show for concert in self.concerts for show in concert.shows]

    def holder(self, show: Show, number: int) -> Hold | None:
        """Who has a seat."""
        for hold in self.holds:
            if hold.show is show and number in hold.seats and hold.has_seats_at(self.clock):
                return hold
        return None

    def taken(self, show: Show) -> list[int]:
        """The seats that somebody has."""
        return [number for number in range(1, SEATS + 1) if self.holder(show, number)]

    def states(self, show: Show) -> str:
        """The seats as a map shows them: available, held, sold."""
        holders = [self.holder(show, number) for number in range(1, SEATS + 1)]
        return "".join("a" if h is None else "s" if h.state == "paid" else "h" for h in holders)

    def objection(self, place: Place) -> Told | None:
        """Why a place may not act, if it may not."""
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
        """The places that may act."""
        return [place for place in self.places if self.objection(place) is None]

    def of_user(self, user: User, concert: Concert) -> list[Hold]:
        """A user's holds of one concert that are still known."""
        return [
            hold
            for hold in self.holds
            if hold.place.user is user and hold.show.concert is concert and not hold.pruned
        ]

    def asked_before(
        self, owner: User | None, operation: str, key: str | None, request: object
    ) -> Told | None:
        """What a key says to a request: the same again, or another one; if it was used."""
        if key is None or (owner, operation, key) not in self.keys:
            return None
        before, hold = self.keys[owner, operation, key]
        if hold is not None and hold.pruned:
            return None
        return refuse("replayed" if before == request else "idempotency_key_reused")

    def made_with(self, user: User, key: str | None) -> Hold:
        """The hold that a user made with a key."""
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
        """What a key stood for, as long as the ``hold`` that was made with it is known."""
        if key is not None:
            self.keys[owner, operation, key] = (request, hold)

    # The line -----------------------------------------------------------------------------------

    def join(self, user: User, concert: Concert) -> tuple[Told, Place | None]:
        """The live place of a user; none if a new one is due: the dead one is finished."""
        if user.erased:
            return refuse("credential_invalid"), None
        for place in concert.places:
            if place.user is user and place.state != "finished":
                if place.ends > self.clock:
                    return DONE, place
                place.finish("expired")
        return DONE, None

    def end_what_is_over(self, concert: Concert) -> None:
        """Who was called too long ago is finished."""
        for place in concert.places:
            if place.state == "admitted" and place.ends <= self.clock:
                place.finish("expired")

    def may_come(self, concert: Concert) -> list[Place]:
        """Who is to be called now, or by a rate at most."""
        active = sum(place.state == "admitted" for place in concert.places)
        waiting = concert.waiting()
        return waiting[: int(min(max(concert.cap - active, 0), len(waiting)))]

    def call(self, places: Sequence[Place]) -> None:
        """These are called."""
        for place in places:
            place.state, place.called, place.ends = "admitted", True, self.clock + CLAIM_SECONDS

    def claim(self, place: Place) -> None:
        """A call of a called one: with the first, the session begins."""
        if not place.claimed and self.objection(place) is None:
            place.claimed = True
            place.ends = place.session_ends = self.clock + SESSION_SECONDS

    def enter(self, place: Place) -> Told:
        """A call that only asks whether the place may act."""
        self.claim(place)
        return self.objection(place) or DONE

    def leave(self, place: Place) -> Told:
        """A place is given up, with its holds."""
        objection = self.objection(place)
        if objection is not None and objection[0] != "not_admitted":
            return objection
        place.finish("left")
        self.let_go_of(place)
        return DONE

    def let_go_of(self, place: Place) -> None:
        """All holds of a place are let go."""
        for hold in self.holds:
            if hold.place is place:
                hold.let_go(self.clock)

    def erase(self, user: User) -> Told:
        """A user is erased: leaves all lines; nobody joins as this user again."""
        if not user.erased:
            if user.balance > 0:
                return refuse("balance_remains", balance=user.balance)
            user.erased = True
            for place in self.places:
                if place.user is user:
                    self.leave(place)
        return DONE

    def prune(self) -> tuple[int, int, int]:
        """All that is over is dropped: how many places, unpaid holds and keys."""
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

    def hold(self, place: Place, show: Show, seats: Sequence[int], key: str | None) -> Told:
        """Named seats are asked for."""
        self.claim(place)
        missing = any(number > SEATS for number in seats)
        if objection := self._no_hold(place, show, (show, list(seats)), key, missing=missing):
            return objection
        taken = [number for number in seats if self.holder(show, number)]
        if taken:
            return refuse("seat_taken", seats=taken)
        return self._over_limit(place, len(seats)) or DONE

    def hold_best(
        self, place: Place, show: Show, wish: Wish, key: str | None
    ) -> tuple[Told, list[int]]:
        """The best seats are asked for; which they are."""
        self.claim(place)
        missing = wish.section is not None
        objection = self._no_hold(place, show, (show, wish), key, missing=missing)
        objection = objection or self._over_limit(place, wish.count)
        if objection:
            return objection, []
        house = House([Section(1, SEATS)], self.taken(show))
        none = refuse(
            "seats_unavailable", available=house.available(None), together=house.longest_run(None)
        )
        chosen = house.choose(None, wish.count, together=wish.together)
        return (none, []) if chosen is None else (DONE, sorted(chosen))

    def _no_hold(
        self, place: Place, show: Show, request: object, key: str | None, *, missing: bool
    ) -> Told | None:
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

    def _over_limit(self, place: Place, count: int) -> Told | None:
        mine = self.of_user(place.user, place.concert)
        has = sum(len(hold.seats) for hold in mine if hold.has_seats_at(self.clock))
        return refuse("seat_limit", limit=SEAT_LIMIT) if has + count > SEAT_LIMIT else None

    def _barred_until(self, place: Place) -> float:
        """Until when a user who let too many holds go may make none."""
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
        """Seats are held: the session lasts as long as they are, one hold beyond it at most."""
        ends = min(self.clock, place.session_ends) + HOLD_SECONDS
        hold = Hold(reservation_id, place, show, list(seats), len(seats) * PRICE, ends)
        self.holds.append(hold)
        place.ends = max(place.ends, ends)
        return hold

    def release(self, hold: Hold, user: User, place: Place | None) -> Told:
        """A hold is let go by its owner, with a token or without."""
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
        hold.let_go(self.clock)
        return DONE

    def expire(self) -> int:
        """It is written down which holds have ended: how many."""
        over = [h for h in self.holds if h.state == "held" and h.ends <= self.clock]
        over = [hold for hold in over if not hold.pruned]
        for hold in over:
            hold.state, hold.closed_at = "expired", self.clock
        return len(over)
