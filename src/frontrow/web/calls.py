"""The type of the table of calls: what each call takes, answers and refuses.

A ``Call`` is an entry of the contract. The router (``routes``, ``endpoint``) and the OpenAPI
document
(``openapi/``) are both built from the table, so they can't disagree.
"""

import enum
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any
from uuid import UUID

import msgspec
from blacksheep import Request, Response

from frontrow.errors import CredentialInvalid, DomainError
from frontrow.ids import PlaceRef
from frontrow.services import Services
from frontrow.users.remembered import KeyLookUp


class Who(enum.Enum):
    """The credential that a call needs."""

    NOBODY = "none"
    USER = "key"
    """A user key."""
    TOKEN = "token"  # noqa: S105 - not a password
    """A queue token in any state."""
    ADMITTED = "admitted"
    """A queue token that has been admitted."""
    USER_OR_TOKEN = "key or token"  # noqa: S105 - not a password
    """A user key, or a queue token."""
    USER_OR_ADMITTED = "key or admitted"
    """A user key, or an admitted queue token."""
    OPERATOR = "operator"
    """The operator key."""


class Ask:
    """A request on its way to its handler: parsed, checked, with its credential resolved."""

    # Of the class: a call sets few of them.
    params: Mapping[str, Any] = MappingProxyType({})
    query: Any = None
    body: Any = None
    idempotency_key: str | None = None
    user: UUID | None = None
    user_key: str | None = None
    key_look_up: KeyLookUp | None = None
    """The look-up of the user key that is left to the handler: ``user`` is not known yet."""
    place: PlaceRef | None = None
    by_cookie = False
    """Whether the credential is a cookie; then no response may contain a secret."""
    address: str | None = None
    """The address whose rate limit it counts against, if any."""
    rate_limit: tuple[bytes, bytes] | None = None
    """The values of the headers RateLimit-Policy and RateLimit."""

    def __init__(self, request: Request, services: Services) -> None:
        self.request = request
        self.services = services

    @property
    def queue_token(self) -> PlaceRef:
        """The place of a call made with a queue token.

        Raises:
            CredentialInvalid: the call was made with another credential.
        """
        if self.place is None:
            raise CredentialInvalid
        return self.place

    @property
    def known_user_key(self) -> str:
        """The user key of a call made with one.

        Raises:
            CredentialInvalid: the call was made with another credential.
        """
        if self.user_key is None:
            raise CredentialInvalid
        return self.user_key

    @property
    def user_id(self) -> UUID:
        """The user who makes the call, by key or by token."""
        if self.user is not None:
            return self.user
        return self.queue_token.user_id


Handler = Callable[[Ask], Awaitable[Response]]


class Answer(msgspec.Struct, frozen=True):
    """A successful response of a call."""

    status: int
    says: str
    body: Any = None
    """The type of the JSON body; ``None`` for an answer without one."""
    media_type: str = "application/json"
    example: Any = None
    examples: Mapping[str, Any] = {}
    """The examples of a body that has several states, by state; the first one is the default."""
    headers: Mapping[str, str] = {}


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the contract.

    Args:
        method: the HTTP method.
        path: the path below the base, with ``{parameters}``.
        name: the operation's name; also its label in the metrics.
        group: the heading in the documentation.
        summary: a line of documentation.
        says: further documentation.
        who: the credential that it needs.
        enters: whether the admitted token is checked (and claimed) before the handler runs; false
            for calls whose database function does that.
        params: the types of the path parameters.
        query: the type of the query parameters.
        body: the type of the JSON body.
        example: an example of the body.
        idempotent: whether it takes an ``Idempotency-Key``.
        looks_up_key: whether its handler looks up a user key that isn't cached, in the statement
            that does the work, and sets ``Ask.user``.
        makes_guest: whether it adds a guest account, and counts against that limit too.
        answers: its successful responses.
        refusals: its errors, in addition to those of its credential and body.
        stored: whether it uses the database, and so may answer 503.
        handler: the function that runs it.
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
    looks_up_key: bool = False
    makes_guest: bool = False
    answers: tuple[Answer, ...]
    refusals: tuple[type[DomainError], ...] = ()
    stored: bool = True
    handler: Handler
