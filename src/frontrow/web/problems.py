"""Errors as HTTP responses: problem details (RFC 9457), a status and a title for each code."""

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated, Literal, NamedTuple, TypeAlias
from uuid import UUID

import msgspec
from blacksheep import Content, Response
from msgspec import Meta

from frontrow.db.faults import Cause
from frontrow.errors import (
    AlreadyCheckedIn,
    AmountMismatch,
    BalanceRemains,
    ChallengeFailed,
    ChallengeRequired,
    CredentialInvalid,
    CredentialMissing,
    DomainError,
    HoldExpired,
    IdempotencyKeyReused,
    InsufficientBalance,
    InvalidRequest,
    KeyInUse,
    KeyLimit,
    Malformed,
    NotAdmitted,
    NotAllowed,
    NotFound,
    Overloaded,
    RateLimited,
    RecentlyReleased,
    RefundClosed,
    ReservationClosed,
    RoomClosed,
    SeatLimit,
    SeatsUnavailable,
    SeatTaken,
    ShowAmbiguous,
    ShowClosed,
    SignInRequired,
    TicketVoid,
    TokenFinished,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
    VersionConflict,
    WrongShow,
)
from frontrow.payments.model import Row, SeatInRow

CONTENT_TYPE = b"application/problem+json"
_Date: TypeAlias = date  # a struct's field has its name
_RETRY_SECONDS = 1


class MethodNotAllowed(DomainError):
    """The path exists, but does not support this method."""

    code = "method_not_allowed"
    message = "This path does not support this method."


class HeadTooLarge(DomainError):
    """The request has a larger head, or more lines in it, than the server accepts."""

    code = "head_too_large"
    message = "The request line and the headers are too large."


class RequestTimeout(DomainError):
    """The request did not arrive in time."""

    code = "request_timeout"
    message = "The request arrived too slowly."


class InternalError(DomainError):
    """A server error; it is logged under the request's id."""

    code = "internal_error"
    message = "The server failed. The error is logged under this request's id."


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request is refused (RFC 9457)."""

    type: Annotated[str, Meta(description="The explanation of the code: `/docs#<code>`.")]
    title: Annotated[str, Meta(description="The code as text.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="The problem, for people; the text may change.")]
    code: Annotated[str, Meta(description="The problem, for programs; never changes.")]


class TokenFinishedProblem(Problem, frozen=True, kw_only=True):
    """The token has ended."""

    reason: Annotated[Literal["paid", "left", "expired"], Meta(description="Why the token ended.")]


class InsufficientBalanceProblem(Problem, frozen=True, kw_only=True):
    """The balance is too small; the hold stays."""

    balance: Annotated[int, Meta(description="The user's balance in the minor unit.")]
    amount: Annotated[int, Meta(description="The amount to pay in the minor unit.")]
    shortfall: Annotated[int, Meta(description="The missing amount in the minor unit.")]


class NotAdmittedProblem(Problem, frozen=True, kw_only=True):
    """The token has not been admitted yet."""

    ahead: Annotated[int, Meta(description="The number of users ahead in the line.")]
    poll_after_ms: Annotated[int, Meta(description="Milliseconds until the next poll.")]


class ChallengeFailedProblem(Problem, frozen=True, kw_only=True):
    """The solved challenge is not accepted."""

    reason: Annotated[
        Literal["invalid", "expired", "used"],
        Meta(description="Not solved or unknown, expired, or already used for an account."),
    ]


class SeatTakenProblem(Problem, frozen=True, kw_only=True):
    """Some of the requested seats are held or sold."""

    seats: Annotated[list[int], Meta(description="The numbers of these seats.")]


class RecentlyReleasedProblem(Problem, frozen=True, kw_only=True):
    """The user released these seats, or let their hold expire, a moment ago."""

    seats: Annotated[list[int], Meta(description="The numbers of these seats.")]
    retry_after_seconds: Annotated[
        int, Meta(description="Seconds until the user may hold them again.")
    ]


class SeatsUnavailableProblem(Problem, frozen=True, kw_only=True):
    """Fewer seats are available than requested, or not side by side."""

    available: Annotated[int, Meta(description="Seats available in the requested section.")]
    together: Annotated[int, Meta(description="The largest number side by side in one row.")]


class SeatLimitProblem(Problem, frozen=True, kw_only=True):
    """The user would have more seats than allowed."""

    limit: Annotated[int, Meta(description="Maximum seats that a user may hold and own.")]


class KeyLimitProblem(Problem, frozen=True, kw_only=True):
    """The limit of user keys is reached."""

    limit: Annotated[int, Meta(description="Maximum user keys of a user.")]


class ShowAmbiguousProblem(Problem, frozen=True, kw_only=True):
    """The date has several shows."""

    shows: Annotated[list[UUID], Meta(description="Their ids: choose one with `show_id`.")]


class ReservationClosedProblem(Problem, frozen=True, kw_only=True):
    """The reservation is no longer held."""

    state: Annotated[
        Literal["paid", "released", "expired", "refunded"],
        Meta(description="The state of the reservation."),
    ]


class WrongShowProblem(Problem, frozen=True, kw_only=True):
    """The ticket is for another show than the gate."""

    show_id: Annotated[UUID, Meta(description="The ticket's show.")]
    concert_id: Annotated[UUID, Meta(description="The ticket's concert.")]


class TicketVoidProblem(Problem, frozen=True, kw_only=True):
    """The ticket is void."""

    reason: Annotated[
        Literal["refunded", "show_cancelled"], Meta(description="Why it became void.")
    ]


class AlreadyCheckedInProblem(Problem, frozen=True, kw_only=True):
    """The ticket was checked in before; with its show and seat."""

    checked_in_at: Annotated[datetime, Meta(description="When it was checked in.")]
    gate: Annotated[str | None, Meta(description="The gate that checked it in, if it gave a name.")]
    ticket_id: Annotated[UUID, Meta(description="The ticket.")]
    concert_id: Annotated[UUID, Meta(description="The ticket's concert.")]
    concert_title: Annotated[str, Meta(description="The concert's title.")]
    show_id: Annotated[UUID, Meta(description="The ticket's show.")]
    date: Annotated[_Date, Meta(description="The show's date at the venue.")]
    starts_at: Annotated[datetime, Meta(description="When the show starts.")]
    number: Annotated[int, Meta(description="The number of the ticket's seat in the show.")]
    section: Annotated[str | None, Meta(description="The section of the seat.")]
    row: Row
    seat: SeatInRow


class AmountMismatchProblem(Problem, frozen=True, kw_only=True):
    """The amount differs from the reservation's."""

    expected: Annotated[int, Meta(description="The reservation's amount in the minor unit.")]


class VersionConflictProblem(Problem, frozen=True, kw_only=True):
    """`If-Match` names another version than the present one."""

    etag: Annotated[str, Meta(description="The entity tag of the present version.")]


class BalanceRemainsProblem(Problem, frozen=True, kw_only=True):
    """The user still has a balance."""

    balance: Annotated[int, Meta(description="The user's balance in the minor unit.")]


class FieldError(msgspec.Struct, frozen=True):
    """An error in a request."""

    pointer: Annotated[
        str, Meta(description="A JSON pointer (RFC 6901) or the name of a parameter.")
    ]
    detail: Annotated[str, Meta(description="What is wrong.")]


class InvalidRequestProblem(Problem, frozen=True, kw_only=True):
    """The request breaks the contract."""

    errors: Annotated[list[FieldError], Meta(description="The errors and where they are.")]


class UnavailableProblem(Problem, frozen=True, kw_only=True):
    """The database can't be reached, or can't write."""

    cause: Annotated[
        Cause | msgspec.UnsetType,
        Meta(description="Why the server isn't ready; only in the answer of `GET /readyz`."),
    ] = msgspec.UNSET


class _Kind(NamedTuple):
    status: int
    title: str
    shape: type[Problem] = Problem
    """The type of the response body."""


KINDS: Mapping[type[DomainError], _Kind] = {
    Malformed: _Kind(400, "Malformed request"),
    CredentialMissing: _Kind(401, "Credential missing"),
    CredentialInvalid: _Kind(401, "Credential invalid"),
    TokenFinished: _Kind(401, "Token finished", TokenFinishedProblem),
    InsufficientBalance: _Kind(402, "Insufficient balance", InsufficientBalanceProblem),
    NotAdmitted: _Kind(403, "Not admitted", NotAdmittedProblem),
    NotAllowed: _Kind(403, "Not allowed"),
    SignInRequired: _Kind(403, "Sign-in required"),
    ChallengeRequired: _Kind(403, "Challenge required"),
    ChallengeFailed: _Kind(403, "Challenge failed", ChallengeFailedProblem),
    NotFound: _Kind(404, "Not found"),
    MethodNotAllowed: _Kind(405, "Method not allowed"),
    RequestTimeout: _Kind(408, "Request timeout"),
    SeatTaken: _Kind(409, "Seat taken", SeatTakenProblem),
    RecentlyReleased: _Kind(409, "Seats released recently", RecentlyReleasedProblem),
    SeatsUnavailable: _Kind(409, "Seats unavailable", SeatsUnavailableProblem),
    SeatLimit: _Kind(409, "Seat limit", SeatLimitProblem),
    ShowAmbiguous: _Kind(409, "Show ambiguous", ShowAmbiguousProblem),
    ReservationClosed: _Kind(409, "Reservation closed", ReservationClosedProblem),
    RoomClosed: _Kind(409, "Room closed"),
    ShowClosed: _Kind(409, "Show closed"),
    KeyLimit: _Kind(409, "Key limit", KeyLimitProblem),
    RefundClosed: _Kind(409, "Refund closed"),
    WrongShow: _Kind(409, "Wrong show", WrongShowProblem),
    TicketVoid: _Kind(409, "Ticket void", TicketVoidProblem),
    AlreadyCheckedIn: _Kind(409, "Already checked in", AlreadyCheckedInProblem),
    KeyInUse: _Kind(409, "Key in use"),
    BalanceRemains: _Kind(409, "Balance remains", BalanceRemainsProblem),
    HoldExpired: _Kind(410, "Hold expired"),
    VersionConflict: _Kind(412, "Version conflict", VersionConflictProblem),
    TooLarge: _Kind(413, "Too large"),
    UnsupportedMediaType: _Kind(415, "Unsupported media type"),
    InvalidRequest: _Kind(422, "Invalid request", InvalidRequestProblem),
    AmountMismatch: _Kind(422, "Amount mismatch", AmountMismatchProblem),
    IdempotencyKeyReused: _Kind(422, "Idempotency-Key reused"),
    RateLimited: _Kind(429, "Rate limited"),
    HeadTooLarge: _Kind(431, "Head too large"),
    InternalError: _Kind(500, "Internal error"),
    Overloaded: _Kind(503, "Overloaded"),
    Unavailable: _Kind(503, "Unavailable", UnavailableProblem),
}

_encode = msgspec.json.Encoder().encode


def problem(error: DomainError) -> Response:
    """Returns the problem response for an error."""
    status, title, _ = KINDS[type(error)]
    body = {
        "type": f"/docs#{error.code}",
        "title": title,
        "status": status,
        "detail": error.detail,
        "code": error.code,
        **error.fields,
    }
    response = Response(status, None, Content(CONTENT_TYPE, _encode(body)))
    if status == 401:  # noqa: PLR2004 - RFC 9110, section 15.5.2
        response.add_header(b"www-authenticate", b"Bearer")
    retry_after = _retry_after(error)
    if retry_after is not None:
        response.add_header(b"retry-after", b"%d" % retry_after)
    return response


def _retry_after(error: DomainError) -> int | None:
    """Returns the seconds for Retry-After; ``None`` for errors without it."""
    if isinstance(error, NotAdmitted):
        poll_after_ms = error.fields.get("poll_after_ms", 1000)
        return math.ceil(poll_after_ms / 1000) if isinstance(poll_after_ms, int) else None
    if isinstance(error, RateLimited):
        return error.retry_after_seconds
    return _RETRY_SECONDS if isinstance(error, Overloaded | Unavailable) else None
