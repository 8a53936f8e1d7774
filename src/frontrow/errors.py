"""The errors that Frontrow raises: stable codes and fields, no HTTP.

    FrontrowError
    ├── SetupError            the server can't start; the message is one line
    │   └── WrongUse          an option, argument or variable is wrong
    ├── SignInFailed          a sign-in on the pages failed; ``reason``
    └── DomainError           a call is refused; ``code`` and ``fields`` are the contract's
        ├── Malformed, InvalidRequest, TooLarge, UnsupportedMediaType
        ├── CredentialMissing, CredentialInvalid, TokenFinished
        ├── InsufficientBalance
        ├── NotAdmitted, NotAllowed, SignInRequired, ChallengeRequired, ChallengeFailed
        ├── NotFound
        ├── SeatTaken, RecentlyReleased, SeatsUnavailable, SeatLimit, ShowAmbiguous,
        │   ReservationClosed, RoomClosed, ShowClosed, RefundClosed, BalanceRemains
        ├── WrongShow, TicketVoid, AlreadyCheckedIn
        ├── HoldExpired
        ├── VersionConflict
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
    """The meaning of a failed database call for the calls in its batch."""

    LOST = enum.auto()
    """The connection was lost: the batch may or may not have run. Run it again."""
    UNAVAILABLE = enum.auto()
    """The database can't run it now, such as on a full disk. Run it again for a short time only."""
    CONFLICT = enum.auto()
    """The database rolled it back because of a conflict (such as a deadlock). Run it again."""
    ITEM = enum.auto()
    """An item made it fail: find it by halving the batch."""


class FrontrowError(Exception):
    """The base of all errors that Frontrow raises."""


class SetupError(FrontrowError):
    """The server can't start. The message is one line for the operator."""

    def __init__(self, message: str, *, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class WrongUse(SetupError):
    """An option, an argument or a variable is wrong in a way that only its use has shown."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


class SignInFailed(FrontrowError):
    """A sign-in at the issuer failed; the user can start again.

    ``reason``: refused (by the issuer or by the user), expired (too late, already used, or started
    in another browser), failed (the issuer's answer is invalid).
    """

    def __init__(self, reason: Literal["refused", "expired", "failed"]) -> None:
        super().__init__(reason)
        self.reason = reason


class DomainError(FrontrowError):
    """A call is refused and changed nothing. ``fields`` are the contract's further members."""

    code: ClassVar[str]
    message: ClassVar[str]

    def __init__(self, detail: str | None = None, /, **fields: object) -> None:
        super().__init__(detail or self.message)
        self.detail = detail or self.message
        self.fields: Mapping[str, object] = fields


class Malformed(DomainError):
    """The request can't be parsed."""

    code = "malformed"
    message = "The request can't be parsed."


LONGEST_TEXT = 500
"""Maximum characters of a pointer or a detail."""


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


class InvalidRequest(DomainError):
    """The request is readable but breaks the contract. ``errors``: [{pointer, detail}]."""

    code = "invalid_request"
    message = "The request breaks the contract."

    @classmethod
    def at(cls, pointer: str, detail: str) -> "InvalidRequest":
        """Returns the error for one field; ``pointer`` is its JSON pointer or parameter name.

        Both are cut to ``LONGEST_TEXT``, because they may contain text from the caller.
        """
        pointer, detail = _shortened(pointer), _shortened(detail)
        return cls(detail, errors=[{"pointer": pointer, "detail": detail}])


class TooLarge(DomainError):
    """The body is larger than the server accepts."""

    code = "too_large"
    message = "The request body is too large."


class UnsupportedMediaType(DomainError):
    """The body isn't JSON, or it is compressed."""

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
    """The token has not been admitted yet. ``ahead``, ``poll_after_ms``."""

    code = "not_admitted"
    message = "This token has not been admitted yet."


class NotAllowed(DomainError):
    """The credential is valid but not for this call, such as a token for another concert."""

    code = "not_allowed"
    message = "This token is for another concert."


class SignInRequired(DomainError):
    """The concert is for users of the issuer; guests may not join or hold."""

    code = "sign_in_required"
    message = "This concert is for signed-in users only. Sign in, then join."


class ChallengeRequired(DomainError):
    """A guest account requires proof of work."""

    code = "challenge_required"
    message = "Get a challenge (GET /users/challenge), solve it and send the solution."


class ChallengeFailed(DomainError):
    """The solved challenge is not accepted. ``reason``: invalid, expired or used."""

    code = "challenge_failed"
    message = "The challenge is not solved, has expired, or was used. Get another one."


class NotFound(DomainError):
    """The object does not exist, or belongs to another user."""

    code = "not_found"
    message = "Not found."


class SeatTaken(DomainError):
    """A requested seat is held or owned. ``seats``: which."""

    code = "seat_taken"
    message = "These seats are held or sold."


class RecentlyReleased(DomainError):
    """The user released these seats, or let them expire, less than one hold's length ago.

    ``seats``: which; ``retry_after_seconds``: when the user may hold them again.
    """

    code = "recently_released"
    message = "You released these seats, or let them expire, a moment ago. Choose others, or wait."


class SeatsUnavailable(DomainError):
    """Fewer seats are available than requested, or not side by side.

    ``available``: the number available; ``together``: the largest number side by side.
    """

    code = "seats_unavailable"
    message = "Not enough seats are available."


class SeatLimit(DomainError):
    """The user would have more seats of this concert than allowed. ``limit``."""

    code = "seat_limit"
    message = "This exceeds the number of seats that a user may have."


class ShowAmbiguous(DomainError):
    """The date has several shows. ``shows``: their ids."""

    code = "show_ambiguous"
    message = "This date has several shows. Choose one with show_id."


class ReservationClosed(DomainError):
    """The reservation is no longer held. ``state``."""

    code = "reservation_closed"
    message = "This reservation is closed."


class BalanceRemains(DomainError):
    """The user still has a balance. ``balance`` in minor units."""

    code = "balance_remains"
    message = "The balance is not zero. Have it paid out first."


class RoomClosed(DomainError):
    """The waiting room is closed for joining."""

    code = "room_closed"
    message = "This waiting room is closed."


class ShowClosed(DomainError):
    """The sale of this show has ended."""

    code = "show_closed"
    message = "The sale of this show has ended."


class KeyLimit(DomainError):
    """The user has reached the limit of user keys. ``limit``."""

    code = "key_limit"
    message = "The limit of user keys is reached. Revoke others first."


class RefundClosed(DomainError):
    """The buyer may not refund this purchase, or no longer."""

    code = "refund_closed"
    message = "You can't refund this purchase, or no longer. The organiser may still refund it."


class WrongShow(DomainError):
    """The ticket is for another show than the gate. ``show_id``, ``concert_id``: which."""

    code = "wrong_show"
    message = "This ticket is for another show."


class TicketVoid(DomainError):
    """The ticket is void. ``reason``: refunded or show_cancelled."""

    code = "ticket_void"
    message = "This ticket is void."


class AlreadyCheckedIn(DomainError):
    """The ticket was checked in before. ``checked_in_at``, ``gate`` (``None`` if not given).

    Also the ticket with its show and seat, as in a check-in; ``concert_title``.
    """

    code = "already_checked_in"
    message = "This ticket has already been checked in."


class KeyInUse(DomainError):
    """The signing key can't be retired while it signs."""

    code = "key_in_use"
    message = "This key is signing. It can be retired after another key has taken over."


class HoldExpired(DomainError):
    """The hold ended before it was paid."""

    code = "hold_expired"
    message = "The hold has expired and its seats are available again."


class VersionConflict(DomainError):
    """The caller's version was replaced meanwhile. ``etag``: the present one."""

    code = "version_conflict"
    message = "Somebody has changed this meanwhile. Read it again, then send your change again."


class AmountMismatch(DomainError):
    """The amount differs from the reservation's. ``expected`` in minor units."""

    code = "amount_mismatch"
    message = "The amount differs from the reservation's amount."


class IdempotencyKeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used for another request."


class RateLimited(DomainError):
    """The caller exceeded a rate limit. Nothing was done.

    ``retry_after_seconds``: when to try again, in whole seconds.
    """

    code = "rate_limited"
    message = "Too many requests. Try again after Retry-After."

    def __init__(
        self, detail: str | None = None, /, *, retry_after_seconds: int = 1, **fields: object
    ) -> None:
        super().__init__(detail, **fields)
        self.retry_after_seconds = retry_after_seconds


class Overloaded(DomainError):
    """The call would have waited too long; it was not run."""

    code = "overloaded"
    message = "The server is busy and did not run this. Try again."


class Unavailable(DomainError):
    """The database can't be reached or can't write. ``cause``, if a readiness check finds it.

    The call may have run; its ``Idempotency-Key`` makes a retry safe.
    """

    code = "unavailable"
    message = "The database can't do this now. Try again with the same Idempotency-Key."
