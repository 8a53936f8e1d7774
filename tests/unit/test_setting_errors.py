"""The message for an invalid setting: its variable, what is allowed, what was given."""

from typing import Any

import pytest
from pydantic import ValidationError

from frontrow.cli.setting_errors import allowed, describe
from frontrow.settings import Settings

ALGORITHMS = "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or ES512"


def messages(**given: Any) -> list[str]:
    """Returns the messages for settings that are refused."""
    with pytest.raises(ValidationError) as refused:
        Settings(**given)
    return describe(refused.value)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        ("oidc_algorithm", "rs256", f"it must be {ALGORITHMS}, not rs256"),
        ("port", 70_000, "it must be a whole number from 0 to 65,535, not 70000"),
        ("workers", "many", "it must be a whole number of at least 1, not many"),
        ("drain_seconds", 0, "it must be a number over 0, not 0"),
        ("stream_heartbeat_seconds", 15, "it must be a number over 0 and up to 14.5, not 15"),
        ("guests", "perhaps", "it must be true or false, not perhaps"),
        ("log_level", "loud", "it must be debug, info, warning or error, not loud"),
        ("currency", "won", "it must be three capital letters (ISO 4217), such as KRW, not won"),
        (
            "trusted_proxies",
            "10.0.0",
            (
                "it must be a comma-separated list of addresses and networks, such as 10.0.0.0/8, "
                "not 10.0.0"
            ),
        ),
        (
            "oidc_jwks_url",
            "http://me:hidden@login.example/keys",
            (
                "it must be an https URL, or an http URL on this machine, "
                "not http://…@login.example/keys"
            ),
        ),
        ("host", "a\nb", "it must be one line without control characters, not 'a\\nb'"),
        ("oidc_audience", "frontrow", "issuer and audience must be given together"),
    ],
)
def test_message_names_what_is_allowed(field: str, given: object, message: str) -> None:
    """Bounds, choices, and the messages of a setting's own check."""
    assert messages(**{field: given}) == [f"FRONTROW_{field.upper()}: {message}"]


def test_secrets_are_not_repeated() -> None:
    """A key that is too short may be a real key."""
    assert messages(operator_key="hidden", oidc_client_secret="") == [
        "FRONTROW_OPERATOR_KEY: it must be at least 16 characters",
        "FRONTROW_OIDC_CLIENT_SECRET: it must be not empty",
    ]


def test_every_number_has_a_lower_bound() -> None:
    """The bound is found anywhere in the type of a setting."""
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            assert (
                " of at least " in allowed(name)
                or " from " in allowed(name)
                or " over " in (allowed(name))
            ), name
