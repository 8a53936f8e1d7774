"""Every limit and time of the server, its unit in the name, read from ``FRONTROW_…`` variables.

Nothing is read at import: the command builds one ``Settings``, hands it on, and writes it back into
the environment of its worker processes with ``Settings.to_environment``.
"""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

PositiveSeconds = Annotated[float, Field(gt=0)]
PositiveCount = Annotated[int, Field(ge=1)]
RatePerSecond = Annotated[float, Field(ge=0, le=1_000_000)]
RatePerMinute = Annotated[int, Field(ge=0, le=1_000_000)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]


def networks(text: str) -> list[IPv4Network | IPv6Network]:
    """The addresses and networks (CIDR) of a list with commas between.

    Raises:
        ValueError: one of them is none.
    """
    return [ip_network(one.strip()) for one in text.split(",") if one.strip()]


def _check_networks(text: str) -> str:
    try:
        networks(text)
    except ValueError:
        msg = "it must be addresses and networks with commas between, such as 10.0.0.0/8"
        raise ValueError(msg) from None
    return text


def _check_currency(code: str) -> str:
    if not re.fullmatch("[A-Z]{3}", code):
        raise ValueError("it must be three capital letters (ISO 4217), such as KRW")
    return code


def _check_origin(origin: str) -> str:
    if not re.fullmatch(r"https?://[a-z0-9.:\[\]-]+", origin):
        raise ValueError("it must be an origin, such as https://tickets.example.org")
    return origin


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def is_safe_url(url: str) -> bool:
    """Whether what is read there is what was said there: https, or http on this machine."""
    scheme = urlsplit(url).scheme
    return bool(urlsplit(url).hostname) and (
        scheme == "https" or (scheme == "http" and is_loopback(url))
    )


class Settings(BaseSettings):
    """The settings of one server; each field is the variable ``FRONTROW_<FIELD>``."""

    model_config = SettingsConfigDict(
        env_prefix="FRONTROW_", frozen=True, extra="forbid", validate_default=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="Port to listen on.")
    public_origin: Annotated[str, AfterValidator(_check_origin)] | None = Field(
        None,
        description="The origin of the pages, such as https://tickets.example.org, where a proxy "
        "doesn't pass the Host on.",
    )
    workers: PositiveCount = Field(1, description="Worker processes that share the port.")
    data_dir: Path | None = Field(
        None, description="Where the embedded database and the operator key are kept."
    )
    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL (15 or newer) to use instead of the embedded one."
    )
    migration_database_url: SecretStr | None = Field(
        None, description="The same database as a role that may change the schema."
    )
    operator_key: SecretStr | None = Field(
        None, min_length=16, description="The operator's key; made and stored where unset."
    )
    currency: Annotated[str, AfterValidator(_check_currency)] = Field(
        "KRW",
        description="The one currency of this installation (ISO 4217), fixed at its first start.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="How log lines are written: console or json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least level that is logged."
    )
    metrics_dir: Path | None = Field(
        None, description="Where worker processes share their metrics; set by the command."
    )

    trusted_proxies: Annotated[str, AfterValidator(_check_networks)] | None = Field(
        None,
        description="Addresses and networks of the proxies that may say whose a request is, with "
        "commas between.",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for",
        description="Where these proxies say it: x-forwarded-for or forwarded.",
    )
    address_requests_per_second: RatePerSecond = Field(
        1000, description="Most requests of one address on end; more are answered 429. 0: no limit."
    )
    address_burst: Burst = Field(5000, description="Most requests of one address at once.")
    user_requests_per_second: RatePerSecond = Field(
        50, description="Most requests of one user on end, to each process. 0: no limit."
    )
    user_burst: Burst = Field(500, description="Most requests of one user at once.")
    guests_per_minute: RatePerMinute = Field(
        600, description="Most guest accounts made from one address. 0: no limit."
    )
    wrong_operator_keys_per_minute: RatePerMinute = Field(
        20,
        description="Most wrong operator's keys from one address; then none is tried. 0: no limit.",
    )
    rate_limit_keys: Annotated[int, Field(ge=2)] = Field(
        100_000, description="Most addresses, and users, whose requests one process counts."
    )

    pool_connections: PositiveCount = Field(
        10, description="Database connections of one worker process."
    )
    connect_timeout_seconds: PositiveSeconds = Field(
        10, description="Longest wait for the database at start."
    )
    batch_items: PositiveCount = Field(500, description="Most calls in one batch (group commit).")
    queue_items: PositiveCount = Field(
        20_000, description="Most calls waiting for one kind of batch; more are answered 503."
    )
    deadline_seconds: PositiveSeconds = Field(
        10, description="Longest time a call may wait for its batch; then 503."
    )
    unpaid_holds: PositiveCount = Field(
        20, description="Most holds of a concert that a user may let go unpaid; then 429."
    )
    unpaid_holds_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        600, description="The time in which they are counted."
    )
    body_bytes: PositiveCount = Field(65_536, description="Largest request body.")
    cached_credentials: PositiveCount = Field(
        50_000, description="Most verified tokens, and user keys, remembered by one process."
    )
    credential_seconds: PositiveSeconds = Field(
        0.5, description="How often a process looks for user keys that were revoked elsewhere."
    )
    token_key_overlap_seconds: Annotated[float, Field(ge=0)] = Field(
        2_592_000,
        description=(
            "How long queue tokens of the key before are accepted after another one took over; "
            "0: until it is retired by hand."
        ),
    )
    oidc_issuer: str | None = Field(
        None, description="An OpenID issuer whose ID tokens are taken in place of user keys."
    )
    oidc_audience: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The `aud` of its ID tokens: the client id that it knows this server by."
    )
    oidc_jwks_url: str | None = Field(
        None, description="Where its keys are; by default where its discovery document says."
    )
    oidc_algorithm: Algorithm = Field(
        "RS256", description="The one algorithm that its ID tokens are signed with."
    )
    oidc_refresh_seconds: PositiveSeconds = Field(
        300, description="How often a process reads the issuer's keys."
    )
    oidc_stale_seconds: PositiveSeconds = Field(
        86_400, description="How long it goes on with the keys it has when they can't be read."
    )
    oidc_client_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="The secret that it knows this server by when people sign in on the pages; "
        "without one, by PKCE alone.",
    )
    oidc_authorization_url: str | None = Field(
        None, description="Where people sign in; by default where its discovery document says."
    )
    oidc_token_url: str | None = Field(
        None,
        description="Where a code is exchanged; by default where its discovery document says.",
    )
    oidc_session_seconds: Annotated[int, Field(ge=600, le=34_560_000)] = Field(
        604_800, description="How long somebody who signed in on the pages stays signed in."
    )
    guests: bool | None = Field(
        None, description="Whether guest accounts are given; by default where no issuer is named."
    )
    guest_challenge: Annotated[int, Field(ge=0, le=10_000_000)] = Field(
        0,
        description=(
            "Proof of work before a guest account: the most tries that it takes, half of them on "
            "average; 0: none."
        ),
    )
    guest_challenge_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        300, description="How long such a challenge may be solved."
    )
    streams: PositiveCount = Field(
        20_000, description="Most open streams of one process; more are answered 503."
    )
    stream_heartbeat_seconds: Annotated[float, Field(gt=0, le=14.5)] = Field(
        14, description="How often a stream tells its status anyway; clients count on 15 s."
    )
    snapshot_seconds: PositiveSeconds = Field(
        0.2, description="How often a process refreshes its view of the lines."
    )
    seat_map_seats: PositiveCount = Field(
        1_000_000, description="Most seats whose states one process keeps for those who look."
    )
    seat_change_seconds: Annotated[float, Field(ge=120)] = Field(
        600, description="How long changes of seats are logged for those who follow a seat map."
    )
    stock_seconds: PositiveSeconds = Field(
        1.0, description="How often a process counts the seats that are left."
    )
    admission_tick_seconds: PositiveSeconds = Field(
        0.1, description="Longest wait between two looks at who may come in."
    )
    adaptive_step_seconds: PositiveSeconds = Field(
        2.0, description="Time between two steps of an adaptive policy's cap."
    )
    expiry_tick_seconds: PositiveSeconds = Field(
        0.5, description="How often ended holds are tidied away."
    )
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = Field(
        90,
        description="What `frontrow prune` drops was over for so many days; 0 keeps everything.",
    )
    linger_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        0,
        description="How long a stopping server still answers on open connections; 5 behind nginx.",
    )
    drain_seconds: PositiveSeconds = Field(
        15, description="Longest wait for running calls when the server stops."
    )

    @field_validator("oidc_issuer", "oidc_jwks_url", "oidc_authorization_url", "oidc_token_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is not None and not is_safe_url(url):
            raise ValueError("it must be an https address, or an http one on this machine")
        return url

    @field_validator("oidc_audience")
    @classmethod
    def _belongs_to_an_issuer(cls, audience: str | None, given: ValidationInfo) -> str | None:
        if (audience is None) != (given.data.get("oidc_issuer") is None):
            raise ValueError("issuer and audience must be given together")
        return audience

    @property
    def guests_allowed(self) -> bool:
        """Whether guest accounts are given."""
        return self.oidc_issuer is None if self.guests is None else self.guests

    def to_environment(self) -> dict[str, str]:
        """The variables that give a child process these settings, secrets included."""
        values = {
            f"FRONTROW_{name.upper()}": getattr(self, name) for name in type(self).model_fields
        }
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }
