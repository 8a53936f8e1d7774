"""Compares what users and operators read with the model."""

import asyncio

from frontrow.errors import NotFound
from frontrow.services import Services
from tests.buyers import Owner
from tests.integration.buyer_model import BuyerModel
from tests.integration.buyer_seats import SEATS
from tests.integration.buyer_world import Concert, Hold, Show, User

MANY = 100


async def check_user(services: Services, model: BuyerModel, user: User) -> None:
    """Compares a user's balance, reservations, payments and tickets."""
    mine = [hold for hold in model.holds if hold.place.user is user]
    balance, payments, tickets, reservations = await asyncio.gather(
        services.ledger.balance(user.user_id),
        services.payments.payments(user.user_id, limit=MANY, after=None),
        services.tickets.of_user(user.user_id, limit=MANY),
        asyncio.gather(*(_reservation(services, hold) for hold in mine)),
    )
    assert balance.balance == user.balance
    assert reservations == [_as_read(hold, model.clock) for hold in mine]
    sales = [sale for sale in reversed(model.sales) if sale.user is user]
    assert [
        (
            paid.payment_id,
            paid.reservation_id,
            paid.state,
            paid.seats,
            (paid.amount, paid.balance),
            [ticket.ticket_id for ticket in paid.tickets],
            paid.refund and (paid.refund.reason, paid.refund.balance),
        )
        for paid in payments.payments
    ] == [
        (
            sale.payment_id,
            sale.hold.reservation_id,
            sale.hold.state,
            sale.hold.seats,
            (sale.amount, sale.balance),
            [ticket.ticket_id for ticket in sale.tickets],
            sale.refund,
        )
        for sale in sales
    ]
    assert {(t.ticket_id, t.show_id, t.number, t.state, t.void_reason) for t in tickets} == {
        (ticket.ticket_id, sale.hold.show.show.show_id, ticket.number, ticket.state, ticket.void)
        for sale in sales
        for ticket in sale.tickets
    }


def _as_read(hold: Hold, clock: float) -> tuple[object, ...] | None:
    """Returns a reservation as its owner reads it; ``None`` if it is pruned."""
    if hold.pruned:
        return None
    paid = hold.sale and hold.sale.payment_id
    return hold.state_at(clock), hold.show.show.show_id, hold.seats, hold.amount, paid


async def _reservation(services: Services, hold: Hold) -> tuple[object, ...] | None:
    try:
        seen = await services.reservations.get(hold.reservation_id, hold.place.user.user_id)
    except NotFound:
        return None
    seats = [seat.number for seat in seen.seats]
    return seen.state, seen.show_id, seats, seen.amount, seen.payment_id


async def check_books(services: Services, user: User) -> None:
    """Compares a user's transfers, one by one."""
    page = await services.ledger.transfers(user.user_id, limit=MANY, after=None)
    listed = [(t.kind, t.amount, t.balance, t.reference) for t in reversed(page.transfers)]
    assert listed == user.transfers


async def check_concert(services: Services, model: BuyerModel, concert: Concert) -> None:
    """Compares the operator's view of a concert: its sales, and the places of its line."""
    sales = await services.payments.sales(concert.concert_id)
    playing = [show for show in concert.shows if not show.cancelled]
    states = "".join(model.states(show) for show in playing)
    assert (sales.seats.total, sales.seats.available, sales.seats.held, sales.seats.sold) == (
        len(playing) * SEATS,
        states.count("a"),
        states.count("h"),
        states.count("s"),
    )
    assert sales.revenue == model.revenue(concert)
    kept = [h for h in model.holds if h.show.concert is concert and not h.pruned]
    assert sales.holds_expired == sum(h.state_at(model.clock) == "expired" for h in kept)
    line = await services.rooms.statistics(concert.concert_id)
    places = concert.kept()
    assert (line.waiting, line.called, line.claimed) == (
        sum(place.state == "waiting" for place in places),
        sum(place.state == "admitted" for place in places),
        sum(place.state == "admitted" and place.claimed for place in places),
    )
    for reason in ("paid", "left", "expired"):
        over = sum(place.reason == reason for place in places)
        assert getattr(line.finished, reason) == over


async def check_show(services: Services, owner: Owner, model: BuyerModel, show: Show) -> None:
    """Compares the seats of a show with their holders, and the progress of its cancellation."""
    rows = await owner.fetch(
        """SELECT number, reservation_id FROM seat
        WHERE show_id = $1 AND held_until > clock_timestamp() ORDER BY number""",
        show.show.show_id,
    )
    holders = [(number, model.holder(show, number)) for number in range(1, SEATS + 1)]
    assert [tuple(row) for row in rows] == [(n, h.reservation_id) for n, h in holders if h]
    if show.cancelled:
        progress = await services.cancellations.progress(show.show.show_id)
        assert progress.state == ("cancelled" if show.settled else "cancelling")
        assert (progress.payments_total, progress.payments_refunded) == (
            show.payments_total,
            len(show.given_back),
        )
        assert progress.amount_refunded == sum(sale.amount for sale in show.given_back)
        assert progress.seats_freed == sum(len(sale.tickets) for sale in show.given_back)
