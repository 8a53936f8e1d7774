"""The events of buyers, applied to the services of two processes and to a naive model."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from frontrow.audit import audit
from frontrow.payments.check_in import Scan
from frontrow.reservations.model import Reservation, Wish
from frontrow.retention.pruning import prune
from frontrow.waiting_room.policy import MaxActiveAndRatePolicy, MaxActivePolicy, OpenPolicy, Policy
from frontrow.waiting_room.settings import LineOrder
from tests.integration.buyer_seats import LONG_SECONDS, PRICE, SEAT_LIMIT, SEATS, TURN_SECONDS
from tests.integration.buyer_stage import CHOICES, PLAY_SECONDS, RARELY, BuyerStage, pick
from tests.integration.buyer_views import check_books, check_concert, check_show, check_user
from tests.integration.buyer_world import Hold, Place, Sale, Show, Ticket, User
from tests.integration.steps import only_if

KEYS = st.sampled_from([None, "a", "a", "b"])
POLICIES: st.SearchStrategy[Policy] = st.sampled_from(
    [OpenPolicy(), MaxActivePolicy(1), MaxActivePolicy(3), MaxActiveAndRatePolicy(2, 50, 1)]
)
WISHES = st.builds(
    Wish, st.integers(1, 4), st.sampled_from([None] * 9 + ["Moon"]), together=st.booleans()
)


class BuyerMachine(BuyerStage):
    """Buyers of two concerts, in the services of two processes and in a model."""

    @initialize(
        policy=POLICIES, order=st.sampled_from(["arrival", "draw"]), people=st.integers(1, 5)
    )
    def set_up(self, policy: Policy, order: LineOrder, people: int) -> None:
        """Puts two concerts on sale; users join one line; one of the admitted buys."""
        self.open_lines(policy, order, people)
        self.buy(choice=0, at=0, count=2)

    # Events: seats ------------------------------------------------------------------------------

    @rule(
        choice=CHOICES,
        at=CHOICES,
        seats=st.sets(st.integers(1, SEATS), min_size=1, max_size=4),
        beyond=RARELY,
        key=KEYS,
    )
    @only_if(lambda self: self.model.places)
    def hold(self, choice: int, at: int, seats: set[int], beyond: bool, key: str | None) -> None:
        """A user asks for seats by their numbers."""
        place = self.pick_place(choice)
        show = self.pick_show(at, place)
        self.do(self.ask_hold, place, show, sorted(seats | ({SEATS + 1} if beyond else set())), key)

    def ask_hold(self, place: Place, show: Show, wanted: list[int], key: str | None) -> None:
        """Asks for seats by their numbers."""
        expected = self.model.hold(place, show, wanted, key)
        made = self.ask(expected, lambda s: s.reservations.hold(place.ref, show.show, wanted, key))
        self._held(place, show, wanted, (key, wanted), made)

    @rule(choice=CHOICES, at=CHOICES, wish=WISHES, key=KEYS)
    @only_if(lambda self: self.model.places)
    def hold_best(self, choice: int, at: int, wish: Wish, key: str | None) -> None:
        """A user asks for the best seats."""
        place = self.pick_place(choice)
        self.do(self.ask_best, place, self.pick_show(at, place), wish, key)

    def ask_best(self, place: Place, show: Show, wish: Wish, key: str | None) -> Hold | None:
        """Asks for the best seats. Returns the hold, if there is one."""
        expected, seats = self.model.hold_best(place, show, wish, key)
        made = self.ask(expected, lambda s: s.reservations.hold(place.ref, show.show, wish, key))
        return self._held(place, show, seats, (key, wish), made)

    def _held(
        self,
        place: Place,
        show: Show,
        seats: Sequence[int],
        asked: tuple[str | None, object],
        answer: tuple[Reservation, bool] | None,
    ) -> Hold | None:
        """Returns the model's hold, new or replayed with its key; ``None`` after a refusal."""
        key, wanted = asked
        self.last_user = place.user
        if answer is None:
            return None
        made, replayed = answer
        if replayed:
            hold = self.model.made_with(place.user, key)
        else:
            hold = self.model.add_hold(made.reservation_id, place, show, seats)
            self.model.remember(place.user, "reservation", key, (show, wanted), hold)
            lasts = (made.held_until - made.created_at).total_seconds()
            assert abs(lasts - (hold.ends - self.model.clock)) < PLAY_SECONDS
        assert made.reservation_id == hold.reservation_id
        assert ([seat.number for seat in made.seats], made.amount) == (hold.seats, hold.amount)
        return hold

    @rule(choice=CHOICES, whose=CHOICES, other=RARELY, with_token=st.booleans())
    @only_if(lambda self: self.model.holds)
    def release(self, choice: int, whose: int, other: bool, with_token: bool) -> None:
        """A hold is released, with a token or a key; now and then by another user."""
        hold = self.pick_hold(choice)
        place = self.pick_place(whose) if other else hold.place
        self.do(self.ask_release, hold, place.user, place if with_token else None)

    def ask_release(self, hold: Hold, user: User, token: Place | None) -> None:
        """Releases a hold as a user, with a token or without."""
        self.last_user = user
        self.ask(
            self.model.release(hold, user, token),
            lambda s: s.reservations.release(
                hold.reservation_id, user.user_id, token.ref if token else None
            ),
        )

    @rule(choice=CHOICES)
    @only_if(lambda self: self.model.places)
    def read_seats(self, choice: int) -> None:
        """A user reads the seats of a show."""
        place = self.pick_place(choice)
        show = pick(place.concert.shows, choice)
        seen = self.ask(self.model.enter(place), lambda s: s.seat_maps.read(place.ref, show.show))
        if seen is not None:
            assert seen.seats.states.decode() == self.model.states(show)

    # Events: money ------------------------------------------------------------------------------

    @rule(choice=CHOICES, seats=st.integers(1, 5), key=KEYS)
    @only_if(lambda self: self.model.places)
    def charge(self, choice: int, seats: int, key: str | None) -> None:
        """A user charges the wallet with the price of some seats."""
        self.do(self.ask_charge, self.pick_place(choice), seats * PRICE, key)

    def ask_charge(self, place: Place, amount: int, key: str | None) -> None:
        """Charges a wallet."""
        self.last_user = place.user
        expected = self.model.charge(place, amount, key)
        answer = self.ask(expected, lambda s: s.ledger.charge(place.ref, amount, key))
        if expected[0] == "done":
            assert answer[0].balance == place.user.balance

    @rule(choice=CHOICES, other=RARELY, seats=st.integers(1, 5))
    def join_and_charge(self, choice: int, other: bool, seats: int) -> None:
        """A user joins, and charges as soon as the place is admitted."""
        place = self.join_line(choice, self.model.concerts[other])
        self.admit()
        if place is not None and self.model.objection(place) is None:
            self.ask_charge(place, seats * PRICE, None)

    @rule(
        choice=CHOICES,
        payer=CHOICES,
        other=RARELY,
        less=st.sampled_from([0, 0, 0, 0, 1, -1]),
        key=KEYS,
    )
    @only_if(lambda self: self.model.holds)
    def pay(self, choice: int, payer: int, other: bool, less: int, key: str | None) -> None:
        """A reservation is paid; now and then by another place, or with the wrong amount."""
        hold = self.pick_hold(choice)
        place = self.pick_place(payer) if other else hold.place
        self.do(self.ask_pay, place, hold, hold.amount - less, key)

    def ask_pay(self, place: Place, hold: Hold, amount: int, key: str | None) -> None:
        """Pays a reservation."""
        self.last_user = place.user
        expected = self.model.pay(place, hold, amount, key)
        answer = self.ask(
            expected, lambda s: s.payments.pay(place.ref, hold.reservation_id, amount, key)
        )
        if answer is None:
            return
        payment, _ = answer
        if expected[0] == "done":
            tickets = [(t.ticket_id, t.number, str(t.code)) for t in payment.tickets]
            self.model.add_sale(payment.payment_id, hold, tickets)
            self.model.remember(place.user, "payment", key, (hold, amount))
        sale = hold.sale
        assert sale is not None
        assert payment.payment_id == sale.payment_id
        assert (payment.amount, payment.balance) == (sale.amount, sale.balance)
        assert [t.ticket_id for t in payment.tickets] == [t.ticket_id for t in sale.tickets]

    @rule(choice=CHOICES, at=CHOICES, count=st.integers(1, SEAT_LIMIT))
    @only_if(lambda self: self.model.acting())
    def buy(self, choice: int, at: int, count: int) -> None:
        """An admitted user holds the best seats and pays them."""
        place = pick(self.model.acting(), choice)
        hold = self.ask_best(place, pick(place.concert.shows, at), Wish(count), None)
        if hold is not None:
            self.ask_charge(place, hold.amount, None)
            self.do(self.ask_pay, place, hold, hold.amount, None)

    @rule(choice=CHOICES, by=st.sampled_from(["operator", "buyer", "buyer", "anybody"]), key=KEYS)
    @only_if(lambda self: self.model.sales)
    def refund(self, choice: int, by: str, key: str | None) -> None:
        """A payment is refunded: by the operator, its buyer, or another user."""
        sale = pick(self.model.sales, choice)
        anybody = pick(self.model.users, choice)
        buyer = {"operator": None, "buyer": sale.user, "anybody": anybody}[by]
        self.do(self.ask_refund, sale, buyer, key)

    def ask_refund(self, sale: Sale, buyer: User | None, key: str | None) -> None:
        """Refunds a payment, by the operator if no buyer asks."""
        self.last_user = sale.user
        expected = self.model.refund(sale, buyer, key)
        answer = self.ask(
            expected,
            lambda s: s.refunds.refund(sale.payment_id, buyer.user_id if buyer else None, key),
        )
        if answer is not None:
            assert sale.refund is not None
            given = answer[0].refund
            assert (given.reason, given.balance, given.amount) == (*sale.refund, sale.amount)

    @rule(choice=st.integers(0, 5))
    @only_if(lambda self: self.asked)
    def repeat_call(self, choice: int) -> None:
        """A call without an answer is repeated, in the other process or in the same one."""
        pick(self.asked[-6:], choice)()

    # More often than most other events, as in a server.
    join_and_charge_again, buy_again, hold_again, pay_again = join_and_charge, buy, hold, pay
    repeat_call_again = repeat_call

    # Events: shows, gates, time -----------------------------------------------------------------

    @rule(choice=CHOICES, gate=st.sampled_from([None, "North"]), elsewhere=RARELY, key=KEYS)
    @only_if(lambda self: self.model.tickets)
    def check_in(self, choice: int, gate: str | None, elsewhere: bool, key: str | None) -> None:
        """A ticket is scanned; now and then at the gate of some show."""
        ticket = pick(self.model.tickets, choice)
        show = pick(self.model.shows, choice) if elsewhere else None
        self.do(self.ask_check_in, ticket, gate, show, key)

    def ask_check_in(
        self, ticket: Ticket, gate: str | None, show: Show | None, key: str | None
    ) -> None:
        """Scans a ticket at a gate, which may be for one show only."""
        self.last_user = ticket.sale.user
        scan = Scan(ticket.code, gate, show.show.show_id if show else None)
        answer = self.ask(
            self.model.check_in(ticket, gate, show, key), lambda s: s.check_ins.check_in(scan, key)
        )
        if answer is not None:
            assert (answer[0].ticket_id, answer[0].gate) == (ticket.ticket_id, gate)

    @rule(choice=CHOICES, at=st.integers(0, 138))
    @only_if(lambda self: self.model.tickets)
    def forge(self, choice: int, at: int) -> None:
        """A code with one changed character is scanned."""
        code = pick(self.model.tickets, choice).code
        other = "A" if code[at] != "A" else "B"
        forged = Scan(code[:at] + other + code[at + 1 :])
        self.ask(("not_found", {}), lambda s: s.check_ins.check_in(forged, None))

    @rule(choice=CHOICES, ends=st.sampled_from(["its sale", "it", "it"]), really=RARELY)
    @only_if(lambda self: self.model.sales)
    def end(self, choice: int, ends: str, really: bool) -> None:
        """A show is cancelled, or its sale ends early: its holds may still be paid."""
        show = pick([sale.hold.show for sale in self.model.sales], choice)
        if not really:
            return
        show_id = show.show.show_id
        if ends == "it":
            self.ask(self.model.cancel(show), lambda s: s.cancellations.cancel(show_id))
        else:
            at = datetime.now(UTC) - timedelta(minutes=1)
            self.ask(self.model.end_sale(show), lambda s: s.concerts.end_sale(show_id, at))

    @rule(choice=CHOICES)
    @only_if(lambda self: any(show.cancelled for show in self.model.shows))
    def step(self, choice: int) -> None:
        """A step of the refunds of a cancelled show."""
        show = pick([show for show in self.model.shows if show.cancelled], choice)
        self.ask(self.model.step(show), lambda s: s.cancellations.step(show.show.show_id))

    @rule()
    def pass_time(self) -> None:
        """Time passes."""
        self.advance_clock(TURN_SECONDS)

    @rule()
    def run_upkeep(self) -> None:
        """The upkeep of some process records ended holds, and folds sales into the stock."""
        assert self.run(self.process().reservations.expire()) == self.model.expire()
        self.run(self.process().payments.fold_stock())

    @rule(really=RARELY)
    @only_if(lambda self: self.model.clock < LONG_SECONDS)
    def prune(self, really: bool) -> None:
        """Much later, old data is pruned."""
        if really:
            self.advance_clock(LONG_SECONDS)
            dropped = self.run(prune(self.database.app_url, older_than_days=1))
            assert tuple(dropped) == self.model.prune()

    # Laws ---------------------------------------------------------------------------------------

    @invariant()
    def other_process_agrees(self) -> None:
        """The last acting user reads the same in the other process."""
        if self.last_user is not None:
            self.run(check_user(self.other_process(), self.model, self.last_user))

    def teardown(self) -> None:
        """At the end every view agrees with the model, and no invariant is broken."""
        self.run(self._end())

    async def _end(self) -> None:
        async with self.stack:
            for user in self.model.users:
                await check_user(self.process(), self.model, user)
                await check_books(self.process(), user)
            for concert in self.model.concerts:
                await check_concert(self.process(), self.model, concert)
            for show in self.model.shows:
                await check_show(self.process(), self.owner, self.model, show)
            await self._audit()

    def audit(self) -> None:
        """No invariant of the books is broken."""
        self.run(self._audit())

    async def _audit(self) -> None:
        findings = await audit(self.owner)
        assert [found for found in findings if found.violations] == []
        for found in findings:
            self.seen.checked_rows[found.invariant] += found.checked
