"""What the mock remembers: how far each buyer's purchase has got, by credential.

It only selects among the documented answers. A client that skips a step still gets a success.
"""

import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

from frontrow.web.openapi.examples import HELD_AT, SIGNED_PLACE
from frontrow.web.openapi.field_examples import EXAMPLES

REMEMBERED_CREDENTIALS = 2_000
"""The longest unused ones are forgotten."""

_POLLS_IN_LINE = 1
"""A place waits for one poll, so that a client meets each state once."""
_TIME = re.compile(rb'"(2026-11-2[0-9]T[0-9:.]+Z)"')
_EXAMPLES_NOW = datetime.fromisoformat(HELD_AT)


class Outcome(NamedTuple):
    """The status and the name of the example that answers a call; ``None`` for the first one."""

    status: int | None = None
    name: str | None = None


@dataclass
class Buyer:
    """The states of a purchase, as the examples name them."""

    place: str | None = None
    reservation: str = "held"
    payment: str = "paid"
    token: str = SIGNED_PLACE
    polls: int = 0

    def note(self, call: str) -> Outcome:
        """Notes a call, and returns what answers it."""
        match call:
            case "join_queue":
                return self._join()
            case "queue_status":
                return Outcome(name=self._poll())
            case "queue_events" if self.place in {"paid", "left"}:
                return Outcome(HTTPStatus.UNAUTHORIZED, "token_finished")
            case "queue_events":  # its example goes from waiting to admitted
                self.polls = _POLLS_IN_LINE
                self._poll()
            case "pay":
                return self._pay()
            case "reservation":
                return Outcome(name=self.reservation)
            case "payment":
                return Outcome(name=self.payment)
            case _:
                self._change(call)
        return Outcome()

    def _change(self, call: str) -> None:
        """Notes a call that always has the same answer."""
        if call == "leave_queue":
            self.place, self.reservation = "left", "released"
        elif call == "hold":
            self.reservation = "held"
        elif call == "release":
            self.reservation = "released"
        elif call == "refund_own":
            self.payment = self.reservation = "refunded"

    def _join(self) -> Outcome:
        """Notes a new place; a live one stays."""
        if self.place in {"waiting", "admitted"}:
            return Outcome(HTTPStatus.OK, self.place)
        self.place, self.polls = "waiting", 0
        self.token = f"{SIGNED_PLACE.rpartition('.')[0]}.{secrets.token_urlsafe(32)}"
        return Outcome(HTTPStatus.CREATED, self.place)

    def _poll(self) -> str:
        """Notes a poll and returns the state of the place; of one that wasn't joined here too."""
        if self.place not in {None, "waiting"}:
            return str(self.place)
        self.polls += 1
        if self.polls <= _POLLS_IN_LINE:
            return "waiting"
        if self.place is not None:
            self.place = "admitted"
        return "admitted"

    def _pay(self) -> Outcome:
        """Notes the payment; a second one gets the same answer."""
        is_new = self.place != "paid"
        self.place = self.reservation = self.payment = "paid"
        return Outcome(HTTPStatus.CREATED if is_new else HTTPStatus.OK)


class Memory:
    """The buyers by user key and queue token."""

    def __init__(self) -> None:
        self._buyers: OrderedDict[str, Buyer] = OrderedDict()

    def of(self, credential: str) -> Buyer:
        """Returns the buyer of a credential; of an unknown one a new buyer."""
        buyer = self._buyers.pop(credential, None) or Buyer()
        self._remember(credential, buyer)
        return buyer

    def note(self, call: str, credential: str) -> Outcome:
        """Notes a call, and returns what answers it."""
        buyer = self.of(credential)
        outcome = buyer.note(call)
        if call == "join_queue":
            self._remember(buyer.token, buyer)
        return outcome

    def issue(self, call: str, credential: str, body: bytes) -> bytes:
        """Returns an answer with credentials of its own, so that each has a memory of its own."""
        if call == "join_queue":
            return body.replace(SIGNED_PLACE.encode(), self.of(credential).token.encode())
        if call == "add_user":
            key = f"frk_{secrets.token_urlsafe(32)}"
            return body.replace(EXAMPLES["user_key"].encode(), key.encode())
        return body

    def _remember(self, credential: str, buyer: Buyer) -> None:
        self._buyers[credential] = buyer
        while len(self._buyers) > REMEMBERED_CREDENTIALS:
            self._buyers.popitem(last=False)


def as_of_now(body: bytes) -> bytes:
    """Returns a body with the times of the purchase moved to the present: its hold just began."""
    ago = datetime.now(UTC) - _EXAMPLES_NOW

    def move(found: re.Match[bytes]) -> bytes:
        at = datetime.fromisoformat(found[1].decode()) + ago
        return f'"{at:%Y-%m-%dT%H:%M:%S.%f}Z"'.encode()

    return _TIME.sub(move, body)
