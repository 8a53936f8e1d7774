"""A naive model of buyers: lists of users, holds and sales, asked one by one.

Each call is answered as the product must answer it, by a code and its fields; ``done`` is a
success. The results of a success are added to the model afterwards, with their ids.
"""

from collections.abc import Sequence
from uuid import UUID

from tests.integration.buyer_seats import DONE, Reply, SeatModel, refuse
from tests.integration.buyer_world import Concert, Hold, Place, Sale, Show, Ticket, User

REFUNDABLE_SECONDS = 2_700
"""How long buyers may refund their payments: it ends within the fifth turn of the clock."""
STEP_TICKETS = 2
"""Tickets that one step of a cancellation refunds."""


class BuyerModel(SeatModel):
    """All users, and their data."""

    def __init__(self) -> None:
        super().__init__()
        self.check_ins = 0

    @property
    def tickets(self) -> list[Ticket]:
        """Returns all tickets."""
        return [ticket for sale in self.sales for ticket in sale.tickets]

    # Money --------------------------------------------------------------------------------------

    def charge(self, place: Place, amount: int, key: str | None) -> Reply:
        """Answers a charge."""
        self.claim(place)
        before = self.asked_before(place.user, "charge", key, amount)
        if objection := before or self.objection(place):
            return objection
        place.user.post("charge", amount, None)
        self.remember(place.user, "charge", key, amount)
        return DONE

    def pay(self, place: Place, hold: Hold, amount: int, key: str | None) -> Reply:
        """Answers a payment."""
        self.claim(place)
        if before := self.asked_before(place.user, "payment", key, (hold, amount)):
            return before
        if hold.sale and hold.sale.user is place.user and amount == hold.amount:
            return refuse("existing")
        if objection := self.objection(place) or self._unpayable(place, hold):
            return objection
        if amount != hold.amount:
            return refuse("amount_mismatch", expected=hold.amount)
        balance = place.user.balance
        if balance < amount:
            return refuse(
                "insufficient_balance", balance=balance, amount=amount, shortfall=amount - balance
            )
        return DONE

    def _unpayable(self, place: Place, hold: Hold) -> Reply | None:
        """Returns the refusal of a payment, if it is refused."""
        if hold.place.user is not place.user or hold.pruned:
            return refuse("not_found")
        if hold.show.concert is not place.concert:
            return refuse("not_allowed")
        if hold.show.cancelled:
            return refuse("show_closed")
        if hold.state in ("paid", "released", "refunded"):
            return refuse("reservation_closed", state=hold.state)
        return refuse("hold_expired") if hold.state_at(self.clock) == "expired" else None

    def add_sale(
        self, payment_id: UUID, hold: Hold, tickets: Sequence[tuple[UUID, int, str]]
    ) -> Sale:
        """Adds a sale: it finishes the place and releases the place's other holds."""
        place = hold.place
        place.user.post("payment", hold.amount, payment_id)
        hold.sale = sale = Sale(payment_id, hold, place.user, place.user.balance)
        hold.state, hold.closed_at = "paid", self.clock
        sale.tickets = [Ticket(*ticket, sale) for ticket in tickets]
        self.sales.append(sale)
        place.finish("paid")
        active = [h for h in self.holds if h.place is place and h.state_at(self.clock) == "held"]
        self.release_holds_of(place)
        for other in active:
            other.ended_by_user = False
        return sale

    def refund(self, sale: Sale, buyer: User | None, key: str | None) -> Reply:
        """Answers a refund, for a buyer or (``None``) for the operator."""
        show = sale.hold.show
        if buyer is not None and buyer is not sale.user:
            return refuse("not_found")
        if before := self.asked_before(buyer, "refund", key, sale):
            return before
        if sale.refund is not None:
            return refuse("existing")
        if not show.cancelled:
            if buyer is not None and show.concert.refundable_until <= self.clock:
                return refuse("refund_closed")
            if gate := sale.first_gate():
                return refuse("already_checked_in", gate=gate[0])
        self.give_back(sale, "buyer" if buyer else "operator")
        self.remember(buyer, "refund", key, sale)
        return DONE

    def give_back(self, sale: Sale, reason: str) -> None:
        """Refunds a sale: returns the money, frees the seats, voids the tickets."""
        show = sale.hold.show
        if show.cancelled:
            reason = "show_cancelled"
            show.given_back.append(sale)
        sale.user.post("refund", sale.amount, sale.payment_id)
        sale.refund = (reason, sale.user.balance)
        sale.hold.state = "refunded"
        for ticket in sale.tickets:
            ticket.void = "show_cancelled" if show.cancelled else "refunded"

    def end_sale(self, show: Show) -> Reply:
        """Ends the sale of a show; its holds may still be paid."""
        if show.cancelled:
            return refuse("show_closed")
        show.closed = True
        return DONE

    def cancel(self, show: Show) -> Reply:
        """Cancels a show: releases its holds and marks its payments for refund."""
        if not show.cancelled:
            show.cancelled = True
            for hold in self.holds:
                if hold.show is show:
                    hold.end_early(self.clock)
            show.payments_total = sum(
                sale.hold.show is show and sale.refund is None for sale in self.sales
            )
            show.settled = show.payments_total == 0
        return DONE

    def step(self, show: Show) -> Reply:
        """Refunds the payments of the next tickets of a cancelled show."""
        if show.settled:
            return refuse("finished")
        due = sorted(
            (ticket for ticket in self.tickets if ticket.sale.hold.show is show),
            key=lambda ticket: ticket.number,
        )
        due = [t for t in due if not t.void and t.number > show.done_to][:STEP_TICKETS]
        for sale in dict.fromkeys(ticket.sale for ticket in due):
            self.give_back(sale, "show_cancelled")
        show.done_to = max([show.done_to, *(ticket.number for ticket in due)])
        show.settled = len(due) < STEP_TICKETS
        return refuse("finished" if show.settled else "running")

    def revenue(self, concert: Concert) -> int:
        """Returns the revenue of a concert, without refunds."""
        return sum(
            sale.amount
            for sale in self.sales
            if sale.hold.show.concert is concert and sale.refund is None
        )

    # The gate -----------------------------------------------------------------------------------

    def check_in(
        self, ticket: Ticket, gate: str | None, gate_show: Show | None, key: str | None
    ) -> Reply:
        """Answers a scan at a gate, which may be that of one show only."""
        show = ticket.sale.hold.show
        if before := self.asked_before(None, "check_in", key, (ticket, gate)):
            return before
        if gate_show not in (None, show):
            return refuse(
                "wrong_show", show_id=show.show.show_id, concert_id=show.concert.concert_id
            )
        if ticket.void:
            return refuse("ticket_void", reason=ticket.void)
        if ticket.check_in_number:
            return refuse("already_checked_in", gate=ticket.gate)
        self.check_ins += 1
        ticket.check_in_number, ticket.gate = self.check_ins, gate
        self.remember(None, "check_in", key, (ticket, gate))
        return DONE


class KeepsEndedHolds(BuyerModel):
    """A wrong model: a hold keeps its seats until its end is recorded."""

    def holder(self, show: Show, number: int) -> Hold | None:
        """Returns the holder of a seat by the recorded states."""
        for hold in self.holds:
            if hold.show is show and number in hold.seats and hold.state in ("held", "paid"):
                return hold
        return None


class IgnoresKeys(BuyerModel):
    """A wrong model: a repeated key counts as a new call."""

    def remember(self, *_: object, **__: object) -> None:
        """Does nothing."""


class KeepsOtherHolds(BuyerModel):
    """A wrong model: a payment does not release the place's other holds."""

    def release_holds_of(self, place: Place) -> None:
        """Releases only the holds of a place that leaves."""
        if place.reason == "left":
            super().release_holds_of(place)


class AcceptsVoidTickets(BuyerModel):
    """A wrong model: a refund does not void the tickets."""

    def give_back(self, sale: Sale, reason: str) -> None:
        """Returns only the money and the seats."""
        super().give_back(sale, reason)
        for ticket in sale.tickets:
            ticket.void = None


class RefundsWithoutLimit(BuyerModel):
    """A wrong model: refunds have no time limit."""

    def refund(self, sale: Sale, buyer: User | None, key: str | None) -> Reply:
        """Answers as for the operator, if it is the buyer's payment."""
        if buyer not in (None, sale.user):
            return super().refund(sale, buyer, key)
        return super().refund(sale, None, key)


class RefundsInOneStep(BuyerModel):
    """A wrong model: one step of a cancellation refunds every buyer."""

    def step(self, show: Show) -> Reply:
        """Takes all steps at once."""
        while super().step(show)[0] == "running":
            pass
        return refuse("finished")
