"""Whose a request is: who may say so, in which words, and what becomes of garbage."""

import tracemalloc
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontrow.settings import Settings
from frontrow.web.access.client_addresses import ClientAddresses

PROXY = "10.0.0.7"
FAR = "203.0.113.9"
"""A peer that nobody named."""
CLIENT = "198.51.100.4"


def read(peer: str | None, *told: str, trusted: str | None = "10.0.0.0/8", header: str = "") -> str:
    """The address that a request is counted to, or ``-``."""
    name = header or "x-forwarded-for"
    addresses = ClientAddresses(Settings(trusted_proxies=trusted, forwarded_header=name))
    headers = [(name.encode(), one.encode()) for one in told]
    client = None if peer is None else (peer, 4711)
    return addresses.of({"client": client, "headers": [(b"host", b"x"), *headers]}) or "-"


@pytest.mark.parametrize(
    ("told", "origin"),
    [
        (CLIENT, CLIENT),
        (f" {CLIENT} ", CLIENT),
        (f"{CLIENT}:60123", CLIENT),
        (f"1.2.3.4, {CLIENT}", CLIENT),  # what the client wrote itself
        (f"{CLIENT}, 10.0.0.8, 10.1.2.3", CLIENT),  # proxies behind one another
        (f"garbage, {CLIENT}, 10.0.0.8", CLIENT),
        ("10.0.0.9, 10.0.0.8", "10.0.0.9"),  # all of them ours
        ("127.0.0.1", "127.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1%eth0", "2001:db8:1:2::/64"),
        ("::ffff:198.51.100.4", CLIENT),
    ],
)
def test_a_trusted_proxy_is_believed(told: str, origin: str) -> None:
    """The last hop that isn't one of ours; the first of all if they are all ours."""
    assert read(PROXY, told) == origin


def test_a_list_over_several_lines() -> None:
    """Several headers are one list (RFC 9110, section 5.3)."""
    assert read(PROXY, f"1.2.3.4, {CLIENT}", "10.0.0.8") == CLIENT


@pytest.mark.parametrize(
    "told",
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
def test_what_cannot_be_read(told: str) -> None:
    """Garbage in the place that counts: the request is the proxy's own."""
    assert read(PROXY, told) == PROXY


def test_garbage_is_not_remembered() -> None:
    """What is too long for an address costs no memory, however much of it comes."""
    addresses = ClientAddresses(Settings(trusted_proxies="10.0.0.0/8"))
    tracemalloc.start()
    for number in range(200):
        headers = [(b"x-forwarded-for", b"%d" % number + b"x" * 50_000)]
        assert addresses.of({"client": (PROXY, 4711), "headers": headers}) == PROXY
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


def test_a_long_chain() -> None:
    """Of endless proxies only so many are looked at; the rest is the client's own invention."""
    assert read(PROXY, ", ".join([CLIENT] + ["10.0.0.8"] * 15)) == CLIENT
    assert read(PROXY, ", ".join([CLIENT] + ["10.0.0.8"] * 10_000)) == "10.0.0.8"


@pytest.mark.parametrize("trusted", [None, "", "10.0.0.8", "192.168.0.0/16, fd00::/8"])
@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_nobody_else_is_believed(trusted: str | None, header: str) -> None:
    """A peer that isn't named may write what it likes: it is counted itself."""
    told = CLIENT if header == "x-forwarded-for" else f"for={CLIENT}"
    assert read(FAR, told, trusted=trusted, header=header) == FAR
    assert read(PROXY, told, trusted=trusted, header=header) == PROXY


def test_this_machine_is_not_counted() -> None:
    """A proxy here that nobody named must not make one address of all its clients."""
    for peer in ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1", None):
        assert read(peer) == "-"
        assert read(peer, CLIENT) == "-"


def test_a_trusted_proxy_that_says_nothing() -> None:
    """Its health checks, or its fans if it was never told to name them, aren't one client."""
    assert read(PROXY) == "-"
    assert read("127.0.0.1", trusted="127.0.0.1") == "-"


def test_this_machine_may_be_trusted() -> None:
    """A proxy here that is named is believed; garbage isn't a way around the count."""
    assert read("127.0.0.1", CLIENT, trusted="127.0.0.1") == CLIENT
    assert read("::1", CLIENT, trusted="127.0.0.1, ::1") == CLIENT
    assert read("127.0.0.1", "garbage", trusted="127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    ("told", "origin"),
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
def test_forwarded(told: str, origin: str) -> None:
    """RFC 7239, where that is what the proxies write."""
    assert read(PROXY, told, header="forwarded") == origin


def test_only_the_header_that_is_set() -> None:
    """What the proxies don't write is the client's: the other header counts for nothing."""
    addresses = ClientAddresses(Settings(trusted_proxies=PROXY))
    headers = [(b"forwarded", b"for=1.2.3.4"), (b"x-forwarded-for", CLIENT.encode())]
    assert addresses.of({"client": (PROXY, 1), "headers": headers}) == CLIENT


def test_neighbours() -> None:
    """One customer has a /64 of IPv6; IPv4 addresses are each one's own."""
    assert read("2001:db8::1") == read("2001:db8::ffff:ffff:ffff:ffff") == "2001:db8::/64"
    assert read("2001:db8:0:1::1") != read("2001:db8::1")
    assert read("198.51.100.4") != read("198.51.100.5")


@given(st.text(max_size=120), st.ip_addresses())
def test_no_text_gets_past_the_last_hop(text: str, client: IPv4Address | IPv6Address) -> None:
    """Whatever a client writes: it is counted by the address that the proxy added."""
    addresses = ClientAddresses(Settings(trusted_proxies="127.0.0.1"))
    added = str(client).encode()
    scope = {
        "client": ("127.0.0.1", 1),
        "headers": [(b"x-forwarded-for", text.encode() + b", " + added)],
    }
    alone = {"client": ("127.0.0.1", 1), "headers": [(b"x-forwarded-for", added)]}
    if added != b"127.0.0.1" and str(client) != "::ffff:127.0.0.1":
        assert addresses.of(scope) == addresses.of(alone)
