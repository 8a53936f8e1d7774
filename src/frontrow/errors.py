"""What can be refused, and why: stable codes and fields, no HTTP.

    FrontrowError
    ├── SetupError            the server can't start; one line says why
    │   └── WrongUse          and it is what it was told
    ├── SignInFailed          a page's sign-in came to nothing; ``reason``
    └── DomainError           a call is refused; ``code`` and ``fields`` are the contract's
        ├── Malformed, InvalidRequest, TooLarge, UnsupportedMediaType
        ├── CredentialMissing, CredentialInvalid, TokenFinished
        ├── InsufficientBalance
        ├── NotAdmitted, NotAllowed, ChallengeRequired, ChallengeFailed
        ├── NotFound
        ├── SeatTaken, SeatsUnavailable, SeatLimit, ShowAmbiguous, ReservationClosed, RoomClosed,
        │   ShowClosed, RefundClosed, BalanceRemains
        ├── WrongShow, TicketVoid, AlreadyCheckedIn
        ├── HoldExpired
        ├── KeyLimit, KeyInUse
        ├── AmountMismatch, IdempotencyKeyReused
        ├── RateLimited
        └── Overloaded, Unavailable

``web/problems.py`` gives each code its status and wording for HTTP.
"""

import enum
from collections.abc import Mapping
from typing import ClassVar, Literal, TypeAlias

FinishReason: TypeAlias = Literal["paid", "left", "expired"]
"""Why a place is finished."""


class Fault(enum.Enum):
    """What a failed database call means to those who wait for it."""

    LOST = enum.auto()
    """The database or the connection went away: nobody knows whether it ran. Send it again."""
    CONFLICT = enum.auto()
    """The database undid it because of others (a deadlock, say). Send it again."""
    ITEM = enum.auto()
    """It failed because of something in it: find the item by halving the batch."""


class FrontrowError(Exception):
    """Any error that Frontrow raises on purpose."""


class SetupError(FrontrowError):
    """The server can't start. The message is one line for the operator."""

    def __init__(self, message: str, *, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WrongUse(SetupError):
    """An option, an argument or a variable is wrong, as only the work itself has shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


class SignInFailed(FrontrowError):
    """A page's sign-in at the issuer has come to nothing; it can be begun again.

    ``reason``: refused (the issuer, or the user there, said no), expired (too late, used already,
    or begun in another browser), failed (what came back from the issuer isn't right).
    """

    def __init__(self, reason: Literal["refused", "expired", "failed"]) -> None:
        super().__init__(reason)
        self.reason = reason


class DomainError(FrontrowError):
    """A call is refused and has changed nothing. ``fields`` are the contract's further members."""

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, detail: str | None = None, /, **fields: object) -> None:
        super().__init__(detail or self.message)
        self.detail = detail or self.message
        self.fields: Mapping[str, object] = fields


class Malformed(DomainError):
    """The request can't be read at all."""

    code = "malformed"
    message = "The request can't be read."


LONGEST_TEXT = 500
"""Characters of what an error says of one field."""


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


class InvalidRequest(DomainError):
    """The request is readable but breaks the contract. ``errors``: [{pointer, detail}]."""

    code = "invalid_request"
    message = "The request breaks the contract."

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidRequest":
        """One field is wrong; ``pointer`` is its JSON pointer or its parameter's name.

        What the caller sent, and is in them, may be long: it isn't said back in full.
        """
        pointer, detail = _shortened(pointer), _shortened(detail)
        return cls(detail, errors=[{"pointer": pointer, "detail": detail}])


class TooLarge(DomainError):
    """The body is larger than the server takes."""

    code = "too_large"
    message = "The request body is too large."


class UnsupportedMediaType(DomainError):
    """The body isn't JSON."""

    code = "unsupported_media_type"
    message = "The body must be application/json."


class CredentialMissing(DomainError):
    """The call needs a credential."""

    code = "credential_missing"
    message = "This call needs a credential: Authorization: Bearer …"


class CredentialInvalid(DomainError):
    """The credential is forged, altered, unknown or of the wrong kind."""

    code = "credential_invalid"
    message = "This credential isn't valid here."


class TokenFinished(DomainError):
    """The token has ended. ``reason``: a ``FinishReason``."""

    code = "token_finished"
    message = "This token has ended. Join the line again for a new one."


class InsufficientBalance(DomainError):
    """The wallet holds too little. ``balance``, ``amount``, ``shortfall`` in minor units."""

    code = "insufficient_balance"
    message = "The balance is too small. Charge it and pay again: the hold stays."


class NotAdmitted(DomainError):
    """The line hasn't called this token yet. ``ahead``, ``poll_after_ms``."""

    code = "not_admitted"
    message = "The line hasn't called this token yet."


class NotAllowed(DomainError):
    """The credential is valid but not for this: another concert's, or there are no guests here."""

    code = "not_allowed"
    message = "This token is for another concert."


class ChallengeRequired(DomainError):
    """A guest account is given for proof of work only."""

    code = "challenge_required"
    message = "Get a challenge (GET /users/challenge), solve it and send it along."


class ChallengeFailed(DomainError):
    """The challenge gives no account. ``reason``: invalid, expired or used."""

    code = "challenge_failed"
    message = "This challenge isn't solved, has ended, or was used. Get another one."


class NotFound(DomainError):
    """There is no such thing, or it is somebody else's."""

    code = "not_found"
    message = "There is nothing here."


class SeatTaken(DomainError):
    """A wanted seat is held or owned. ``seats``: which."""

    code = "seat_taken"
    message = "Somebody has these seats."


class SeatsUnavailable(DomainError):
    """Fewer seats are free than wanted, or not side by side.

    ``available``: how many are; ``together``: the most of them side by side.
    """

    code = "seats_unavailable"
    message = "There are not as many seats as wanted."


class SeatLimit(DomainError):
    """More seats than one user may have in this concert. ``limit``."""

    code = "seat_limit"
    message = "That is more seats than one user may have."


class ShowAmbiguous(DomainError):
    """The date has several shows. ``shows``: their ids."""

    code = "show_ambiguous"
    message = "This date has several shows. Say which with show_id."


class ReservationClosed(DomainError):
    """The reservation is no longer held. ``state``."""

    code = "reservation_closed"
    message = "This reservation is closed."


class BalanceRemains(DomainError):
    """The user still has money. ``balance`` in minor units."""

    code = "balance_remains"
    message = "There is money left in the balance. Have it paid out first."


class RoomClosed(DomainError):
    """The waiting room takes nobody any more."""

    code = "room_closed"
    message = "This waiting room is closed."


class ShowClosed(DomainError):
    """The sale of this show has ended."""

    code = "show_closed"
    message = "The sale of this show has ended."


class KeyLimit(DomainError):
    """The user has as many user keys as there may be. ``limit``."""

    code = "key_limit"
    message = "You have as many user keys as there may be. Revoke the others first."


class RefundClosed(DomainError):
    """Buyers of this concert may no longer have a purchase refunded, or never might."""

    code = "refund_closed"
    message = "This purchase can't be given back, or no longer. The organiser may still refund it."


class WrongShow(DomainError):
    """The ticket is for another show than the gate. ``show_id``, ``concert_id``: which."""

    code = "wrong_show"
    message = "This ticket is for another show."


class TicketVoid(DomainError):
    """The ticket is no longer one. ``reason``: refunded or show_cancelled."""

    code = "ticket_void"
    message = "This ticket is void."


class AlreadyCheckedIn(DomainError):
    """The ticket was let in before. ``checked_in_at``, ``gate`` (``None``: it didn't say)."""

    code = "already_checked_in"
    message = "This ticket was let in already."


class KeyInUse(DomainError):
    """The signing key can't be retired: it is the one that signs."""

    code = "key_in_use"
    message = "This key signs now. It can be retired once another one does."


class HoldExpired(DomainError):
    """The hold ended before it was paid."""

    code = "hold_expired"
    message = "The hold has ended and its seats are free again."


class AmountMismatch(DomainError):
    """The amount isn't the reservation's. ``expected`` in minor units."""

    code = "amount_mismatch"
    message = "The amount isn't the reservation's."


class IdempotencyKeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request."


class RateLimited(DomainError):
    """More than one may ask for in this time. Nothing was done.

    ``retry_after_seconds``: when it makes sense to ask again, in whole seconds.
    """

    code = "rate_limited"
    message = "Too many requests. Ask again after Retry-After."

    def __init__(
        self, detail: str | None = None, /, *, retry_after_seconds: int = 1, **fields: object
    ) -> None:
        super().__init__(detail, **fields)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(DomainError):
    """The call would wait too long; it was not run."""

    code = "overloaded"
    message = "The server is busy and did not run this. Try again."


class Unavailable(DomainError):
    """The database can't be reached; the call may have run. Its key makes a retry safe."""

    code = "unavailable"
    message = "The database can't be reached. Try again with the same Idempotency-Key."


_PLAIN: Mapping[str, type[DomainError]] = {
    kind.code: kind
    for kind in (
        CredentialInvalid,
        HoldExpired,
        IdempotencyKeyReused,
        NotAdmitted,
        NotAllowed,
        NotFound,
        RefundClosed,
        RoomClosed,
        ShowClosed,
    )
}


def outcome_error(outcome: str, reason: str | None) -> DomainError:
    """The error that an outcome of a database function stands for, where it has no fields.

    ``reason`` is why the place is finished, for the outcome that says so.

    Raises:
        ValueError: it is none of these: a mistake of ours.
    """
    if outcome == TokenFinished.code:
        return TokenFinished(reason=reason)
    kind = _PLAIN.get(outcome)
    if kind is None:
        raise ValueError(f"unknown outcome: {outcome}")
    return kind()
