"""The contract's calls, all of them, in the order in which the router tries them."""

from itertools import chain

from frontrow.web import (
    admin,
    balance,
    check_ins,
    concerts,
    events,
    order,
    own_data,
    payments,
    queue,
    refunds,
    reservations,
    sales,
    seats,
    sessions,
    shows,
    signing_keys,
    tickets,
    user_keys,
    users,
)
from frontrow.web.calls import Call

BASE = "/api/v1"

CALLS: tuple[Call, ...] = tuple(
    chain(
        queue.CALLS,
        reservations.CALLS,
        payments.CALLS,
        tickets.CALLS,
        check_ins.CALLS,
        seats.CALLS,
        concerts.CALLS,
        balance.CALLS,
        users.CALLS,
        user_keys.CALLS,
        signing_keys.CALLS,
        sessions.CALLS,
        events.CALLS,
        refunds.CALLS,
        admin.CALLS,
        order.CALLS,
        shows.CALLS,
        sales.CALLS,
        own_data.CALLS,
    )
)
"""The contract's calls, below ``BASE``; hot ones first."""
