"""What the model of buyers is made of: people, their places, holds, purchases and tickets.

Times are in the model's seconds, money in the currency's minor unit. Objects are told apart by who
they are, not by what is in them.
"""

from dataclasses import dataclass, field
from math import inf
from uuid import UUID

from frontrow.concerts.model import Show as SoldShow
from frontrow.ids import PlaceRef


@dataclass(eq=False)
class User:
    """A guest. ``transfers``: kind, amount, balance after it, and the payment it was about."""

    user_id: UUID
    erased: bool = False
    has_key: bool = True
    """Whether the key is kept, which works no more once the guest is erased."""
    transfers: list[tuple[str, int, int, UUID | None]] = field(default_factory=list)

    @property
    def balance(self) -> int:
        """What is in the wallet."""
        return self.transfers[-1][2] if self.transfers else 0

    def post(self, kind: str, amount: int, reference: UUID | None) -> None:
        """Money comes in, or goes out for a payment."""
        after = self.balance + (-amount if kind == "payment" else amount)
        self.transfers.append((kind, amount, after, reference))


@dataclass(eq=False)
class Concert:
    """A concert with its line. ``drawn``: the numbers in the order that was drawn."""

    concert_id: UUID
    cap: float
    exact: bool
    """Whether all who may come in are called at once; a rate calls some of them."""
    refundable_until: float
    shows: list["Show"] = field(default_factory=list)
    places: list["Place"] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    pruned_to: int = 0

    def waiting(self) -> list["Place"]:
        """Those who wait, in serving order."""
        later = range(len(self.drawn) + 1, len(self.places) + 1)
        order = [self.places[number - 1] for number in [*self.drawn, *later]]
        return [place for place in order if place.state == "waiting"]

    def kept(self) -> list["Place"]:
        """The places that haven't been dropped."""
        return self.places[self.pruned_to :]


@dataclass(eq=False)
class Show:
    """A show, and how far its cancellation is."""

    show: SoldShow
    concert: Concert
    closed: bool = False
    """Whether its sale has ended."""
    cancelled: bool = False
    settled: bool = False
    """Whether everybody has been refunded."""
    done_to: int = 0
    """The seat up to which refunds are made."""
    payments_total: int = 0
    given_back: list["Sale"] = field(default_factory=list)


@dataclass(eq=False)
class Place:
    """A place in a line. ``ends``: when a called one is over; ``session_ends``: without holds."""

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
        """It is over."""
        self.state, self.reason = "finished", reason

    def is_pruned(self) -> bool:
        """Whether it has been dropped."""
        return self.ref.number <= self.concert.pruned_to


@dataclass(eq=False)
class Hold:
    """A reservation, as it is written down: a hold past its time may still say ``held``."""

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

    def state_at(self, clock: float) -> str:
        """What its owner sees."""
        return "expired" if self.state == "held" and self.ends <= clock else self.state

    def has_seats_at(self, clock: float) -> bool:
        """Whether its seats are nobody else's to have."""
        return self.state == "paid" or self.state_at(clock) == "held"

    def let_go(self, clock: float) -> None:
        """Its owner, or somebody else, gives it up; if it isn't over."""
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
        """What was paid."""
        return self.hold.amount

    def first_gate(self) -> tuple[str | None] | None:
        """Where the first of its tickets was let in; ``None``: none was."""
        used = [ticket for ticket in self.tickets if ticket.let_in]
        return (min(used, key=lambda ticket: ticket.let_in).gate,) if used else None


@dataclass(eq=False)
class Ticket:
    """A ticket. ``let_in``: how many were, up to this one; 0: it was not."""

    ticket_id: UUID
    number: int
    code: str
    sale: Sale
    let_in: int = 0
    gate: str | None = None
    void: str | None = None

    @property
    def state(self) -> str:
        """What its owner sees."""
        return "void" if self.void else "used" if self.let_in else "valid"
