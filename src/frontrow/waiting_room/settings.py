"""The settings of a line: of a new one, and the body of ``PUT …/waiting-room``."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from frontrow.errors import InvalidRequest
from frontrow.waiting_room.policy import DEFAULT_POLICY, AdaptivePolicy, Policy

LineOrder: TypeAlias = Literal["arrival", "draw"]

# Outside of these years a time can't be converted to every time zone.
_YEARS = range(1970, 9001)

# The refusals of ``waiting_room_flaw``: the field, and the detail.
_FLAWS: Final = {
    "opens_in_the_past": ("/opens_at", "it has passed"),
    "closes_in_the_past": ("/closes_at", "it has passed"),
    "draw_after_opening": ("/order", "the line has opened: its places keep their order"),
    "draw_without_opening": ("/opens_at", "a draw needs the time at which it is drawn"),
}


class RoomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line's policy, times and order."""

    policy: Annotated[Policy, Meta(description="How many users are admitted.")] = DEFAULT_POLICY
    session_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="Length of a session, from the claim.")
    ] = 600
    claim_seconds: Annotated[
        int, Meta(ge=1, le=3_600, description="How long an admitted user may take to claim.")
    ] = 120
    opens_at: (
        Annotated[
            datetime,
            Meta(tz=True, description="No user is admitted before; joining is possible."),
        ]
        | None
    ) = None
    closes_at: (
        Annotated[datetime, Meta(tz=True, description="No user may join from then on.")] | None
    ) = None
    order: Annotated[
        LineOrder,
        Meta(
            description="Users who joined before opens_at are served by arrival, or in the order "
            "of a draw at opens_at; users who join later are served by arrival, behind them."
        ),
    ] = "arrival"

    def check(self, at: str = "") -> None:
        """Rejects settings that contradict each other.

        Args:
            at: the JSON pointer of the settings in the request.

        Raises:
            InvalidRequest: with the invalid field.
        """
        for field in ("opens_at", "closes_at"):
            time = getattr(self, field)
            if time is not None and time.year not in _YEARS:
                raise InvalidRequest.at(f"{at}/{field}", "it must be in the years 1970 to 9000")
        if self.opens_at and self.closes_at and self.opens_at >= self.closes_at:
            raise InvalidRequest.at(f"{at}/closes_at", "it must be after opens_at")
        policy = self.policy
        if isinstance(policy, AdaptivePolicy) and policy.min_active > policy.max_active:
            raise InvalidRequest.at(f"{at}/policy/min_active", "it is above max_active")

    def columns(self) -> dict[str, Any]:
        """Returns the settings as the database's parameters."""
        return {
            "policy": msgspec.json.encode(self.policy).decode(),
            "session_seconds": self.session_seconds,
            "claim_seconds": self.claim_seconds,
            "opens_at": self.opens_at,
            "closes_at": self.closes_at,
            "line_order": self.order,
        }

    def refusal(self, flaw: str, at: str = "") -> InvalidRequest:
        """Returns the error for settings that the database refused.

        Args:
            flaw: what ``waiting_room_flaw`` returned.
            at: the JSON pointer of the settings in the request.
        """
        pointer, detail = _FLAWS[flaw]
        return InvalidRequest.at(at + pointer, detail)


class NewSettings(RoomSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line's new policy, times and order. The policy is required: no default may replace it."""

    policy: Annotated[Policy, Meta(description="How many users are admitted.")]


class StoredSettings(NamedTuple):
    """A line's settings and their version, which each change increments."""

    settings: RoomSettings
    version: int

    @property
    def etag(self) -> str:
        """The version as an entity tag (RFC 9110, 8.8.3)."""
        return f'"{self.version}"'
