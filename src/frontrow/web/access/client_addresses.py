"""Which address a request came from, as far as it is known who may say so.

A header can be written by anybody. It is believed only from a peer that the settings name, and of
what it lists only what stands behind the first address that isn't one of those.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, NamedTuple

from frontrow.settings import Settings, networks

# An IPv6 address with its zone, in quotes and brackets and with a port, is no longer than that.
_LONGEST_HOP = 80
_MOST_HOPS = 16
_REMEMBERED = 16_384
_SITE_BITS = 64


class _Hop(NamedTuple):
    """One address, as it is counted."""

    site: str
    """An IPv4 address, or the /64 of an IPv6 one: what a provider gives to one customer."""
    is_trusted: bool
    is_here: bool
    """On this machine."""


class ClientAddresses:
    """Reads from a request whose it is.

    Args:
        settings: their ``trusted_proxies`` and ``forwarded_header``.
    """

    def __init__(self, settings: Settings) -> None:
        self._trusted = networks(settings.trusted_proxies or "")
        self._header = settings.forwarded_header.encode()
        self._hop_of = _for if settings.forwarded_header == "forwarded" else str
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """The address that a request is counted to; an IPv6 one stands for its /64.

        ``None``: it is nobody's in particular. It comes from this machine, or from a proxy that is
        trusted, and nothing tells for whom: from a proxy whose name was forgotten in the settings,
        say, whose clients must not share one limit.

        Args:
            scope: the request's ASGI scope.
        """
        client = scope["client"]
        peer = self._hop(client[0]) if client is not None else None
        if peer is None:  # a socket of this machine
            return None
        if not peer.is_trusted:
            return None if peer.is_here else peer.site
        told = [value for name, value in scope["headers"] if name == self._header]
        if not told:
            return None
        return self._origin(b",".join(told).decode("latin-1")) or peer.site

    def _origin(self, told: str) -> str | None:
        """The last hop that isn't trusted, or the first of all; ``None`` where it can't be read."""
        hops = told.rsplit(",", _MOST_HOPS)
        hop = None
        for text in reversed(hops if len(hops) <= _MOST_HOPS else hops[1:]):
            hop = self._hop(self._hop_of(text))
            if hop is None:
                return None
            if not hop.is_trusted:
                return hop.site
        return hop.site if hop is not None else None

    def _hop(self, text: str) -> _Hop | None:
        # Whatever is longer is no address, and not worth the memory.
        return self._remembered(text) if len(text) <= _LONGEST_HOP else None

    def _read(self, text: str) -> _Hop | None:
        address = _address(text)
        if address is None:
            return None
        trusted = any(address in network for network in self._trusted)
        if isinstance(address, IPv4Address):
            return _Hop(str(address), trusted, address.is_loopback)
        site = int(address) >> (128 - _SITE_BITS) << (128 - _SITE_BITS)
        return _Hop(f"{IPv6Address(site)}/{_SITE_BITS}", trusted, address.is_loopback)


def _for(element: str) -> str:
    """The ``for`` of one element of ``Forwarded`` (RFC 7239, section 4); empty if it has none."""
    found = ""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            if found:
                return ""
            found = value
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, with or without a port; IPv6 then, and in ``Forwarded``, in brackets."""
    text = text.strip()
    if text[:1] == text[-1:] == '"':
        text = text[1:-1]
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit()
