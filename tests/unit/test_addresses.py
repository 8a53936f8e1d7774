"""The client address of a request: trusted proxies, forwarding headers, malformed values."""

import tracemalloc
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses

PROXY = "10.0.0.7"
FAR = "203.0.113.9"
"""A peer that is not a configured proxy."""
CLIENT = "198.51.100.4"


def read(
    peer: str | None, *header_value: str, trusted: str | None = "10.0.0.0/8", header: str = ""
) -> str:
    """Returns the address that a request counts for, or ``-``."""
    name = header or "x-forwarded-for"
    addresses = ClientAddresses(Settings(trusted_proxies=trusted, forwarded_header=name))
    headers = [(name.encode(), one.encode()) for one in header_value]
    client = None if peer is None else (peer, 4711)
    return addresses.of({"client": client, "headers": [(b"host", b"x"), *headers]}) or "-"


@pytest.mark.parametrize(
    ("header_value", "origin"),
    [
        (CLIENT, CLIENT),
        (f" {CLIENT} ", CLIENT),
        (f"{CLIENT}:60123", CLIENT),
        (f"1.2.3.4, {CLIENT}", CLIENT),  # 1.2.3.4 was written by the client
        (f"{CLIENT}, 10.0.0.8, 10.1.2.3", CLIENT),  # proxies behind one another
        (f"garbage, {CLIENT}, 10.0.0.8", CLIENT),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),  # all are trusted proxies
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.4", CLIENT),
    ],
)
def test_header_of_a_trusted_proxy_is_used(header_value: str, origin: str) -> None:
    """The last hop that is not a trusted proxy, or the first hop if all of them are."""
    assert read(PROXY, header_value) == origin


def test_several_headers_are_one_list() -> None:
    """Several headers form one list (RFC 9110, section 5.3)."""
    assert read(PROXY, f"1.2.3.4, {CLIENT}", "10.0.0.8") == CLIENT


@pytest.mark.parametrize(
    "header_value",
    [
        "",
        ",",
        "unknown",
        "garbage",
        f"{CLIENT}, garbage",
        f"{CLIENT},",
        "198.51.100.256",
        "198.51.100.4:port",
        "[2001:db8::1",
        "[2001:db8::1]443",
        "2001:db8::1::2",
        "é",
        CLIENT + " " * 100,
        "1" * 10_000,
    ],
)
def test_malformed_last_hop_counts_for_the_proxy(header_value: str) -> None:
    """A malformed last hop: the request counts for the proxy."""
    assert read(PROXY, header_value) == PROXY


def test_malformed_address_is_not_cached() -> None:
    """A text too long for an address is not stored."""
    addresses = ClientAddresses(Settings(trusted_proxies="10.0.0.0/8"))
    tracemalloc.start()
    for number in range(200):
        headers = [(b"x-forwarded-for", b"%d" % number + b"x" * 50_000)]
        assert addresses.of({"client": (PROXY, 4711), "headers": headers}) == PROXY
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


def test_long_chain_is_read_from_its_end_only() -> None:
    """Only a limited number of hops is read; the rest could be invented by the client."""
    assert read(PROXY, ", ".join([CLIENT] + ["10.0.0.8"] * 15)) == CLIENT
    assert read(PROXY, ", ".join([CLIENT] + ["10.0.0.8"] * 10_000)) == "10.0.0.8"


@pytest.mark.parametrize("trusted", [None, "", "10.0.0.8", "192.168.0.0/16, fd00::/8"])
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_header_of_an_untrusted_peer_is_ignored(trusted: str | None, header: str) -> None:
    """Headers of a peer that is not trusted are ignored: the peer itself counts."""
    header_value = CLIENT if header == "x-forwarded-for" else f"for={CLIENT}"
    assert read(FAR, header_value, trusted=trusted, header=header) == FAR
    assert read(PROXY, header_value, trusted=trusted, header=header) == PROXY


def test_unnamed_local_proxy_is_not_limited() -> None:
    """An unnamed proxy on this machine must not make one address of all its clients."""
    for peer in ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", None):
        assert read(peer) == "-"
        assert read(peer, CLIENT) == "-"


def test_trusted_proxy_without_the_header_is_not_limited() -> None:
    """Health checks, and clients of a proxy without the header, are not counted as one client."""
    assert read(PROXY) == "-"
    assert read("127.0.0.1", trusted="127.0.0.1") == "-"


def test_named_local_proxy_is_trusted() -> None:
    """A trusted proxy on this machine is believed; a malformed header does not avoid the limit."""
    assert read("127.0.0.1", CLIENT, trusted="127.0.0.1") == CLIENT
    assert read("::1", CLIENT, trusted="127.0.0.1, ::1") == CLIENT
    assert read("127.0.0.1", "garbage", trusted="127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("header_value", "origin"),
    [
        (f"for={CLIENT}", CLIENT),
        (f"For={CLIENT};proto=https;by=10.0.0.8", CLIENT),
        (f'proto=https; for="{CLIENT}:4711"', CLIENT),
        ('for="[2001:db8:1:2::1]:4711"', "2001:db8:1:2::/64"),
        (f"for=1.2.3.4, for={CLIENT}, for=10.0.0.8", CLIENT),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
        ("proto=https", PROXY),
        (f"for={CLIENT};for=1.2.3.4", PROXY),
        (CLIENT, PROXY),
        ('for="', PROXY),
    ],
)
def test_forwarded_header_is_read(header_value: str, origin: str) -> None:
    """The Forwarded header of RFC 7239, if the proxies write it."""
    assert read(PROXY, header_value, header="forwarded") == origin


def test_only_the_configured_header_is_read() -> None:
    """The other header comes from the client and is ignored."""
    addresses = ClientAddresses(Settings(trusted_proxies=PROXY))
    headers = [(b"forwarded", b"for=1.2.3.4"), (b"x-forwarded-for", CLIENT.encode())]
    assert addresses.of({"client": (PROXY, 1), "headers": headers}) == CLIENT


def test_ipv6_addresses_count_by_network() -> None:
    """IPv6 addresses count by /64, which one customer has; IPv4 addresses count individually."""
    assert read("2001:db8::1") == read("2001:db8::ffff:ffff:ffff:ffff") == "2001:db8::/64"
    assert read("2001:db8:0:1::1") != read("2001:db8::1")
    assert read("198.51.100.4") != read("198.51.100.5")


def forms(address: IPv4Address, rest: int) -> list[IPv6Address]:
    """Returns the IPv6 addresses that a client of IPv4 may have; ``rest`` is of its choice."""
    number = int(address)
    return [
        IPv6Address(0xFFFF << 32 | number),  # mapped, ::ffff:0:0/96
        IPv6Address(0xFFFF << 48 | number),  # ::ffff:0:0:0/96
        IPv6Address(0x64FF9B << 96 | number),
        IPv6Address(0x2002 << 112 | number << 80 | rest),
        IPv6Address(0x20010000 << 96 | rest >> 32 << 48 | (number ^ 0xFFFF_FFFF)),  # Teredo
    ]


@given(st.ip_addresses(v=4), st.integers(0, 2**80 - 1))
def test_ipv4_inside_ipv6_counts_as_ipv4(client: IPv4Address, rest: int) -> None:
    """Each form of an IPv4 address counts for it, whatever else the client can choose."""
    addresses = ClientAddresses(Settings(trusted_proxies=PROXY))
    for form in forms(client, rest):
        headers = [(b"x-forwarded-for", str(form).encode())]
        assert addresses.of({"client": (PROXY, 1), "headers": headers}) == str(client)


def test_embedded_address_is_not_trusted() -> None:
    """Only a mapped address is the same peer: others of a proxy or this machine are strangers."""
    for trusted in ("127.0.0.1", PROXY):
        mapped, *others = forms(IPv4Address(trusted), 1)
        assert read(str(mapped), CLIENT, trusted=PROXY) == ("-" if trusted != PROXY else CLIENT)
        for form in others:
            assert read(str(form), CLIENT, trusted=PROXY) == trusted


@given(st.text(max_size=120), st.ip_addresses())
def test_client_text_does_not_change_the_last_hop(
    text: str, client: IPv4Address | IPv6Address
) -> None:
    """Any text of the client: the address that the proxy added counts."""
    addresses = ClientAddresses(Settings(trusted_proxies="127.0.0.1"))
    added = str(client).encode()
    scope = {
        "client": ("127.0.0.1", 1),
        "headers": [(b"x-forwarded-for", text.encode() + b", " + added)],
    }
    alone = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", added)]}
    if added != b"127.0.0.1" and str(client) != "::ffff:127.0.0.1":
        assert addresses.of(scope) == addresses.of(alone)
