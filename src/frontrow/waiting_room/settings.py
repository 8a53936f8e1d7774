"""How a line is set up: the body of ``PUT …/waiting-room``."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from frontrow.waiting_room.policy import DEFAULT_POLICY, Policy


class RoomSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A line's policy and times."""

    policy: Annotated[Policy, Meta(description="How many may come in.")] = DEFAULT_POLICY
    session_seconds: Annotated[
        int, Meta(ge=1, le=86_400, description="Length of a session, from the claim on.")
    ] = 600
    claim_seconds: Annotated[
        int, Meta(ge=1, le=3_600, description="How long a called user may take to come.")
    ] = 120
    opens_at: (
        Annotated[
            datetime, Meta(tz=True, description="Nobody is called before; joining is possible.")
        ]
        | None
    ) = None
    closes_at: (
        Annotated[datetime, Meta(tz=True, description="Nobody may join from then on.")] | None
    ) = None

    def __post_init__(self) -> None:
        # Beyond these a time can't be told in every time zone.
        if not all(1970 <= at.year <= 9000 for at in (self.opens_at, self.closes_at) if at):  # noqa: PLR2004
            message = "a line's times are between the years 1970 and 9000"
            raise ValueError(message)
        if self.opens_at and self.closes_at and self.opens_at >= self.closes_at:
            message = "closes_at must be after opens_at"
            raise ValueError(message)
