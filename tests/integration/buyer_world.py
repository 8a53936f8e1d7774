"""The objects of the model of buyers: users, places, holds, purchases and tickets.

Times are in the model's seconds, money in the currency's minor unit. Objects are compared by
identity.
"""

from dataclasses import dataclass, field
from math import inf
from uuid import UUID

from frontrow.concerts.model import Show as SoldShow
from frontrow.ids import PlaceRef


@dataclass(eq=False)
class User:
    """A guest. ``transfers``: kind, amount, balance after it, and its payment."""

    user_id: UUID
    erased: bool = False
    has_key: bool = True
    """Whether the key is stored, which is refused once the guest is erased."""
    transfers: list[tuple[str, int, int, UUID | None]] = field(default_factory=list)

    @property
    def balance(self) -> int:
        """Returns the balance of the wallet."""
        return self.transfers[-1][2] if self.transfers else 0

    def post(self, kind: str, amount: int, reference: UUID | None) -> None:
        """Adds a transfer: a charge, or a payment."""
        after = self.balance + (-amount if kind == "payment" else amount)
        self.transfers.append((kind, amount, after, reference))


@dataclass(eq=False)
class Concert:
    """A concert with its line. ``drawn``: the numbers in the drawn order."""

    concert_id: UUID
    cap: float
    exact: bool
    """Whether all admissible places are admitted at once; a rate admits some of them."""
    refundable_until: float
    shows: list["Show"] = field(default_factory=list)
    places: list["Place"] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    pruned_to: int = 0

    def waiting(self) -> list["Place"]:
        """Returns the waiting places, in serving order."""
        later = range(len(self.drawn) + 1, len(self.places) + 1)
        order = [self.places[number - 1] for number in [*self.drawn, *later]]
        return [place for place in order if place.state == "waiting"]

    def kept(self) -> list["Place"]:
        """Returns the places that are not pruned."""
        return self.places[self.pruned_to :]


@dataclass(eq=False)
class Show:
    """A show, and the progress of its cancellation."""

    show: SoldShow
    concert: Concert
    closed: bool = False
    """Whether its sale has ended."""
    cancelled: bool = False
    settled: bool = False
    """Whether every buyer is refunded."""
    done_to: int = 0
    """The seat up to which refunds are made."""
    payments_total: int = 0
    given_back: list["Sale"] = field(default_factory=list)


@dataclass(eq=False)
class Place:
    """A place in a line. ``ends``: the end of an admitted one; ``session_ends``: without holds."""

    ref: PlaceRef
    user: User
    concert: Concert
    state: str = "waiting"
    reason: str | None = None
    called: bool = False
    claimed: bool = False
    session_ends: float = inf
    ends: float = inf

    def finish(self, reason: str) -> None:
        """Finishes the place."""
        self.state, self.reason = "finished", reason

    def is_pruned(self) -> bool:
        """Returns whether it is pruned."""
        return self.ref.number <= self.concert.pruned_to


@dataclass(eq=False)
class Hold:
    """A reservation as recorded: a hold past its time may still be ``held``."""

    reservation_id: UUID
    place: Place
    show: Show
    seats: list[int]
    amount: int
    ends: float
    state: str = "held"
    closed_at: float = inf
    sale: "Sale | None" = None
    pruned: bool = False
    ended_by_user: bool = True
    """Whether an unpaid end is the user's choice: not the payment of another hold."""

    def state_at(self, clock: float) -> str:
        """Returns the state that its owner reads."""
        return "expired" if self.state == "held" and self.ends <= clock else self.state

    def has_seats_at(self, clock: float) -> bool:
        """Returns whether it takes its seats."""
        return self.state == "paid" or self.state_at(clock) == "held"

    def end_early(self, clock: float) -> None:
        """Ends it before its payment; if it is active it is released, otherwise expired."""
        if self.state == "held":
            self.state = "released" if self.ends > clock else "expired"
            self.closed_at = clock


@dataclass(eq=False)
class Sale:
    """A payment. ``refund``: by whom, and the balance after it."""

    payment_id: UUID
    hold: Hold
    user: User
    balance: int
    refund: tuple[str, int] | None = None
    tickets: list["Ticket"] = field(default_factory=list)

    @property
    def amount(self) -> int:
        """Returns the paid amount."""
        return self.hold.amount

    def first_gate(self) -> tuple[str | None] | None:
        """Returns the gate of its first check-in; ``None`` without one."""
        used = [ticket for ticket in self.tickets if ticket.check_in_number]
        return (min(used, key=lambda ticket: ticket.check_in_number).gate,) if used else None


@dataclass(eq=False)
class Ticket:
    """A ticket. ``check_in_number``: the number of its check-in; 0 without one."""

    ticket_id: UUID
    number: int
    code: str
    sale: Sale
    check_in_number: int = 0
    gate: str | None = None
    void: str | None = None

    @property
    def state(self) -> str:
        """Returns the state that its owner reads."""
        return "void" if self.void else "used" if self.check_in_number else "valid"
