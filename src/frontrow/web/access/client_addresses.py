"""Client address of a request, also behind trusted proxies.

Any client can send a forwarding header. It is read only from a peer that the settings name as a
proxy; the client is the last address in it that isn't such a proxy.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple

from frontrow.settings import Settings, networks

# Enough for an IPv6 address with a zone, quotes, brackets and a port.
_LONGEST_HOP = 80
_MOST_HOPS = 16
_REMEMBERED = 16_384
_SITE_BITS = 64
_SIGN_BIT = 1 << 63
# The addresses that translators give IPv4 clients (RFC 6052, section 2.1; RFC 2765, section 2.1).
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::ffff:0:0:0/96"))


class _Hop(NamedTuple):
    """One address, as rate limits count it."""

    site: str
    """An IPv4 address, or the /64 network of an IPv6 address: the range of one customer."""
    is_trusted: bool
    is_loopback: bool


class ClientAddresses:
    """Finds the client address of a request.

    Args:
        settings: with ``trusted_proxies`` and ``forwarded_header``.
    """

    def __init__(self, settings: Settings) -> None:
        self._trusted = networks(settings.trusted_proxies or "")
        self._header = settings.forwarded_header.encode()
        self._hop_of = _for if settings.forwarded_header == "forwarded" else str
        self._remembered = lru_cache(_REMEMBERED)(self._read)

    def of(self, scope: Mapping[str, Any]) -> str | None:
        """Returns the address whose rate limit a request counts against; of IPv6, the /64.

        ``None``: the client is unknown. The request comes from this machine, or from a trusted
        proxy that names no client. A local proxy may be missing in the settings, and its clients
        must not share one limit.

        Args:
            scope: the ASGI scope of the request.
        """
        client = scope["client"]
        peer = self._hop(client[0]) if client is not None else None
        if peer is None:  # a Unix socket
            return None
        if not peer.is_trusted:
            return None if peer.is_loopback else peer.site
        values = [value for name, value in scope["headers"] if name == self._header]
        if not values:
            return None
        return self._origin(b",".join(values).decode("latin-1")) or peer.site

    def _origin(self, forwarded: str) -> str | None:
        """Returns the last hop that isn't trusted, else the first; ``None`` if one is invalid."""
        hops = forwarded.rsplit(",", _MOST_HOPS)
        hop = None
        for text in reversed(hops if len(hops) <= _MOST_HOPS else hops[1:]):
            hop = self._hop(self._hop_of(text))
            if hop is None:
                return None
            if not hop.is_trusted:
                return hop.site
        return hop.site if hop is not None else None

    def _hop(self, text: str) -> _Hop | None:
        # A longer text is no address, and must not fill the cache.
        return self._remembered(text) if len(text) <= _LONGEST_HOP else None

    def _read(self, text: str) -> _Hop | None:
        address = _address(text)
        if address is None:
            return None
        trusted = any(address in network for network in self._trusted)
        # Only now: an address that embeds the one of a proxy, or of this machine, is another's.
        counted = address if isinstance(address, IPv4Address) else _embedded(address) or address
        if isinstance(counted, IPv4Address):
            return _Hop(str(counted), trusted, address.is_loopback)
        site = int(counted) >> (128 - _SITE_BITS) << (128 - _SITE_BITS)
        return _Hop(f"{IPv6Address(site)}/{_SITE_BITS}", trusted, address.is_loopback)


def _for(element: str) -> str:
    """Returns ``for`` of an element of ``Forwarded`` (RFC 7239, section 4); empty without one."""
    found = ""
    for pair in element.split(";"):
        name, _, value = pair.strip().partition("=")
        if name.lower() == "for":
            if found:
                return ""
            found = value
    return found


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Parses an address, with or without a port; IPv6 with a port is in brackets."""
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
    # How a socket for both versions shows a client of IPv4.
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Returns the IPv4 address of the client that has an IPv6 address: translated, 6to4, Teredo."""
    if any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.sixtofour


@lru_cache(_REMEMBERED)
def network_number(site: str) -> int:
    """Returns the number by which holds count a client address, as a signed 64-bit integer.

    Args:
        site: as ``ClientAddresses.of`` returns it.

    Returns:
        The number of an IPv4 address, or the first 64 bits of an IPv6 address.
    """
    network = ip_network(site)
    number = int(network.network_address)
    if network.version == 4:  # noqa: PLR2004 - of the protocol
        return number
    number >>= _SITE_BITS
    return number - 2 * _SIGN_BIT if number & _SIGN_BIT else number


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit()
