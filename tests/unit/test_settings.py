"""The settings: read from the environment, bounded, and passed to workers in the environment."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from frontrow.settings import PUBLIC_CHALLENGE_TRIES, Settings


def test_defaults_are_the_documented_ones() -> None:
    """The defaults of the command that the contract names."""
    settings = Settings()
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.database_url is None


def test_each_field_is_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that reads the environment has exactly the settings of its parent."""
    settings = Settings(
        port=1,
        data_dir=Path("/d"),
        database_url="postgresql://u:secret@h/db",
        operator_key="k" * 16,
        drain_seconds=0.5,
        log_format="json",
    )
    for name, value in settings.to_environment().items():
        assert name.startswith("FRONTROW_")
        monkeypatch.setenv(name, value)
    assert Settings() == settings


@pytest.mark.parametrize(
    ("given", "tries"),
    [
        ({}, 0),
        ({"host": "localhost"}, 0),
        ({"host": "::1"}, 0),
        ({"host": "0.0.0.0"}, PUBLIC_CHALLENGE_TRIES),  # noqa: S104
        ({"host": "::"}, PUBLIC_CHALLENGE_TRIES),
        ({"host": "tickets.example.org"}, PUBLIC_CHALLENGE_TRIES),
        ({"trusted_proxies": "127.0.0.1"}, PUBLIC_CHALLENGE_TRIES),
        ({"host": "0.0.0.0", "guest_challenge": 0}, 0),  # noqa: S104
        ({"guest_challenge": 7}, 7),
    ],
)
def test_public_server_requires_proof_of_work(given: dict[str, Any], tries: int) -> None:
    """By default wherever other machines can connect; the setting decides otherwise."""
    assert Settings(**given).guest_challenge_tries == tries


def test_secrets_are_not_shown() -> None:
    """Neither in a log line nor in a traceback."""
    settings = Settings(
        database_url="postgresql://u:hidden@h/db",
        operator_key="k" * 16,
        oidc_client_secret="hidden too",
    )
    assert "hidden" not in repr(settings)
    assert "kkkk" not in str(settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", -1),
        ("port", 65536),
        ("workers", 0),
        ("batch_items", 0),
        ("deadline_seconds", 0),
        ("drain_seconds", -1),
        ("log_format", "xml"),
        ("log_level", "loud"),
        ("operator_key", "short"),
        ("no_such_setting", 1),
        ("oidc_issuer", "https://login.example"),
        ("oidc_audience", "frontrow"),
        ("oidc_algorithm", "HS256"),
        ("oidc_algorithm", "none"),
        ("oidc_jwks_url", "http://login.example/keys"),
        ("oidc_jwks_url", "http://["),
        ("oidc_authorization_url", "http://login.example/authorize"),
        ("oidc_token_url", "//login.example/token"),
        ("oidc_client_secret", ""),
        ("oidc_session_seconds", 599),
        ("token_key_overlap_seconds", -1),
        ("operator_key", "sixteen\ncharacters"),
        ("operator_key", "운영자의 열쇠는 열여섯 글자입니다"),
        ("database_url", "postgresql://u:p\x00@h/d"),
        ("host", "127.0.0.1\u2028x"),
        ("oidc_client_secret", "bytes\udcff"),
    ],
)
def test_value_out_of_bounds_is_refused(field: str, value: Any) -> None:
    """A value that makes no sense is refused."""
    with pytest.raises(ValidationError):
        Settings(**{field: value})


def test_text_is_stripped() -> None:
    """Of options too; a path is left as it is."""
    settings = Settings(operator_key=" k" * 16 + "\r\n", host=" ::1\n", data_dir="/odd ")
    assert settings.operator_key is not None
    assert settings.operator_key.get_secret_value() == (" k" * 16).strip()
    assert (settings.host, settings.data_dir) == ("::1", Path("/odd "))


def test_settings_are_immutable() -> None:
    """Settings are read once and passed on."""
    settings = Settings()
    with pytest.raises(ValidationError):
        setattr(settings, "port", 1)  # noqa: B010 - the types forbid it as well


@pytest.mark.parametrize("issuer", ["http://login.example", "ftp://localhost", "login.example", ""])
def test_issuer_over_plain_http_is_refused(issuer: str) -> None:
    """Keys over plain http could be anyone's, except on this machine."""
    with pytest.raises(ValidationError, match="https"):
        Settings(oidc_issuer=issuer, oidc_audience="frontrow")
    for safe in ("https://login.example/realm", "http://127.0.0.1:8080"):
        assert Settings(oidc_issuer=safe, oidc_audience="frontrow").oidc_issuer == safe


def test_guests_are_allowed_without_an_issuer() -> None:
    """Unless the setting is given."""
    issuer: dict[str, Any] = {"oidc_issuer": "https://login.example", "oidc_audience": "frontrow"}
    assert Settings().guests_allowed
    assert not Settings(**issuer).guests_allowed
    assert Settings(**issuer, guests=True).guests_allowed
    assert not Settings(guests=False).guests_allowed
