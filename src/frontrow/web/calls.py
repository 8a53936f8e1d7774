"""The table of calls: what each one takes, answers and refuses.

One ``Call`` is one line of the contract. The router (``endpoint.py``) and the OpenAPI document
(``openapi.py``) are both made from the table, so they can't disagree.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec
from blacksheep import Request, Response

from frontrow.errors import CredentialInvalid, DomainError
from frontrow.ids import PlaceRef
from frontrow.services import Services


class Who(enum.Enum):
    """The credential that a call needs."""

    NOBODY = "none"
    USER = "key"
    """A user key."""
    TOKEN = "token"  # noqa: S105 - no password
    """A queue token in any state."""
    ADMITTED = "admitted"
    """A queue token that has been admitted."""
    USER_OR_TOKEN = "key or token"  # noqa: S105 - no password
    """A user key, or a queue token."""
    USER_OR_ADMITTED = "key or admitted"
    """A user key, or an admitted queue token."""
    OPERATOR = "operator"
    """The operator's key."""


class Ask:
    """One request on its way to its handler: read, checked, with its credential resolved."""

    __slots__ = (
        "address",
        "body",
        "by_cookie",
        "idempotency_key",
        "params",
        "place",
        "query",
        "rate_limit",
        "request",
        "services",
        "user",
        "user_key",
    )

    def __init__(self, request: Request, services: Services) -> None:
        self.request = request
        self.services = services
        self.params: dict[str, Any] = {}
        self.query: Any = None
        self.body: Any = None
        self.idempotency_key: str | None = None
        self.user: UUID | None = None
        self.user_key: str | None = None
        self.place: PlaceRef | None = None
        self.by_cookie = False
        """Whether the credential is a page's cookie: then no answer may show a secret."""
        self.address: str | None = None
        """Which address it is counted to; ``None``: to none."""
        self.rate_limit: tuple[bytes, bytes] | None = None
        """What the answer tells of a limit: RateLimit-Policy and RateLimit."""

    @property
    def queue_token(self) -> PlaceRef:
        """The place of a call that a queue token makes."""
        if self.place is None:
            raise CredentialInvalid
        return self.place

    @property
    def known_user_key(self) -> str:
        """The user key of a call that is made with one."""
        if self.user_key is None:
            raise CredentialInvalid
        return self.user_key

    @property
    def user_id(self) -> UUID:
        """Whose call it is, by key or by token."""
        if self.user is not None:
            return self.user
        return self.queue_token.user_id


Handler = Callable[[Ask], Awaitable[Response]]


class Answer(msgspec.Struct, frozen=True):
    """A way in which a call succeeds."""

    status: int
    says: str
    body: Any = None
    """The type of the JSON body; ``None`` for an answer without one."""
    media_type: str = "application/json"
    example: Any = None
    headers: Mapping[str, str] = {}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the contract.

    Args:
        method: the HTTP method.
        path: below the base, with ``{parameters}``.
        name: of the operation; also its label in the metrics.
        group: the heading it stands under.
        summary: one line.
        says: more, where there is more to say.
        who: the credential that it needs.
        enters: whether the admitted token is checked (and claimed) before the handler runs; a call
            whose database function does that itself doesn't.
        params: the path's parameters and their types.
        query: the type of the query parameters.
        body: the type of the JSON body.
        example: of the body.
        idempotent: whether it takes an ``Idempotency-Key``.
        makes_guest: whether it makes an account, and is counted as that too.
        answers: the ways in which it succeeds.
        refusals: what it may be refused with, beside what its credential and body may be.
        stored: whether it needs the database, and so may find it busy or away.
        handler: does it.
    """

    method: str
    path: str
    name: str
    group: str
    summary: str
    says: str = ""
    who: Who = Who.NOBODY
    enters: bool = False
    params: Mapping[str, Any] = {}
    query: Any = None
    body: Any = None
    example: Any = None
    idempotent: bool = False
    makes_guest: bool = False
    answers: tuple[Answer, ...]
    refusals: tuple[type[DomainError], ...] = ()
    stored: bool = True
    handler: Handler
