"""Lists that several calls return in pages."""

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta


class PaymentsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a list of payments."""

    limit: Annotated[int, Meta(ge=1, le=100, description="Maximum size of the page.")] = 20
    after: Annotated[UUID | None, Meta(description="`next` of the previous page.")] = None
