"""Reads which credentials were revoked, and retires token keys that were replaced."""

import structlog

from frontrow.keys.ring import retire_old
from frontrow.services import Services
from frontrow.waiting_room import token

_log = structlog.get_logger(__name__)


async def read_revocations(services: Services) -> None:
    """Reads which user keys were revoked and which operator sessions ended, in any process."""
    await services.users.read_revocations()
    if services.operator_sessions is not None:
        await services.operator_sessions.refresh()


async def retire_old_keys(services: Services) -> int:
    """Retires token keys whose overlap with their successor has passed. Returns their number."""
    overlap_seconds = services.settings.token_key_overlap_seconds
    if not overlap_seconds:
        return 0
    retired = await retire_old(services.pool, token.PURPOSE, overlap_seconds=overlap_seconds)
    if retired:
        _log.info("old token keys were retired", keys=retired)
    return retired
