"""The servers that a database URL names."""

import pytest

from frontrow.db.hosts import server_urls


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://u:p@one/db", {"one": "postgresql://u:p@one/db"}),
        (
            "postgresql://u@:6000/db?host=/run/a",
            {"/run/a": "postgresql://u@:6000/db?host=/run/a"},
        ),
        (
            "postgresql://u:p%40@one:5433,two/db?target_session_attrs=primary",
            {
                "one:5433": "postgresql://u:p%40@one:5433/db?target_session_attrs=primary",
                "two": "postgresql://u:p%40@two/db?target_session_attrs=primary",
            },
        ),
        (
            "postgresql://[::1]:1,[::2]:2/db",
            {"[::1]:1": "postgresql://[::1]:1/db?", "[::2]:2": "postgresql://[::2]:2/db?"},
        ),
        (
            "postgresql://u@/db?host=/run/a,b&port=1,2&sslmode=require",
            {
                "/run/a:1": "postgresql://u@/db?sslmode=require&host=%2Frun%2Fa&port=1",
                "b:2": "postgresql://u@/db?sslmode=require&host=b&port=2",
            },
        ),
        (
            "postgresql:///db?host=a,b&port=7",
            {"a:7": "postgresql:///db?host=a&port=7", "b:7": "postgresql:///db?host=b&port=7"},
        ),
    ],
)
def test_each_server_has_a_url(url: str, servers: dict[str, str]) -> None:
    """Both forms of libpq; user, database and options are the same for all."""
    assert server_urls(url) == servers
