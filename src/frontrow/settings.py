"""Every limit and time of the server, its unit in the name, read from ``FRONTROW_…`` variables.

Nothing is read at import: the command builds one ``Settings``, hands it on, and writes it back into
the environment of its worker processes with ``Settings.to_environment``.
"""

import re
import unicodedata
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_UNFIT = ("Cc", "Cs", "Zl", "Zp")
"""Control characters, line ends, and bytes that are not UTF-8."""

PUBLIC_CHALLENGE_TRIES = 20_000
"""A quarter of a second of one core in native code, on average; a few seconds on a phone."""

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

PositiveSeconds = Annotated[float, Field(gt=0)]
PositiveCount = Annotated[int, Field(ge=1)]
RatePerSecond = Annotated[float, Field(ge=0, le=1_000_000)]
CountLimit = Annotated[int, Field(ge=0, le=1_000_000)]
RatePerMinute = Annotated[int, Field(ge=0, le=1_000_000)]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
Burst = Annotated[int, Field(ge=1, le=1_000_000)]


def networks(text: str) -> list[IPv4Network | IPv6Network]:
    """Returns the addresses and networks (CIDR) of a comma-separated list.

    Raises:
        ValueError: an entry is invalid.
    """
    return [ip_network(one.strip()) for one in text.split(",") if one.strip()]


def _check_networks(text: str) -> str:
    try:
        networks(text)
    except ValueError:
        msg = "it must be a comma-separated list of addresses and networks, such as 10.0.0.0/8"
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
    """Returns whether a URL points to this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def _is_loopback_host(host: str) -> bool:
    """Returns whether only this machine can connect to a server that listens on ``host``."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_safe_url(url: str) -> bool:
    """Returns whether a response can be trusted: https, or http on this machine."""
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
        description="The origin of the pages, such as https://tickets.example.org, for a proxy "
        "that doesn't pass the Host header on.",
    )
    workers: PositiveCount = Field(1, description="Worker processes that share the port.")
    data_dir: Path | None = Field(
        None, description="Directory of the embedded database and the operator key."
    )
    database_url: SecretStr | None = Field(
        None, description="A PostgreSQL (15 or newer) to use instead of the embedded one."
    )
    migration_database_url: SecretStr | None = Field(
        None, description="URL of the same database with a role that may change the schema."
    )
    operator_key: SecretStr | None = Field(
        None,
        min_length=16,
        description="The operator key; created and stored in the data directory if unset.",
    )
    currency: Annotated[str, AfterValidator(_check_currency)] = Field(
        "KRW",
        description="The one currency of this installation (ISO 4217), fixed at its first start.",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Format of log lines: console or json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The lowest level that is logged."
    )
    metrics_dir: Path | None = Field(
        None,
        description="Directory in which worker processes share their metrics; set by the command.",
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Bearer token of GET /metrics. Without one, a server on another address than "
        "loopback refuses its metrics.",
    )
    metrics_concerts: PositiveCount = Field(
        20,
        description="Maximum concerts with series of their own in the metrics: those in use within "
        "the last hour that have most users.",
    )

    trusted_proxies: Annotated[str, AfterValidator(_check_networks)] | None = Field(
        None,
        description="Addresses and networks of the proxies whose client address header is trusted, "
        "comma-separated.",
    )
    forwarded_header: Literal["x-forwarded-for", "forwarded"] = Field(
        "x-forwarded-for",
        description="The header in which proxies name the client: x-forwarded-for or forwarded.",
    )
    address_requests_per_second: RatePerSecond = Field(
        1000, description="Sustained requests per second of one address; more get 429. 0: no limit."
    )
    address_burst: Burst = Field(5000, description="Burst of requests of one address.")
    user_requests_per_second: RatePerSecond = Field(
        50, description="Sustained requests per second of one user, in each process. 0: no limit."
    )
    user_burst: Burst = Field(500, description="Burst of requests of one user.")
    guests_per_minute: RatePerMinute = Field(
        600, description="Guest accounts per minute and address. 0: no limit."
    )
    wrong_operator_keys_per_minute: RatePerMinute = Field(
        20,
        description="Wrong operator keys per minute and address before 429, unless the address "
        "holds a valid session. 0: no limit.",
    )
    rate_limit_keys: Annotated[int, Field(ge=2)] = Field(
        100_000, description="Addresses, and users, that one process keeps rate limits for."
    )

    pool_connections: PositiveCount = Field(
        10, description="Database connections of one worker process."
    )
    connect_timeout_seconds: PositiveSeconds = Field(
        10, description="Time limit for connecting to the database."
    )
    batch_items: PositiveCount = Field(
        500, description="Maximum calls in one batch (group commit)."
    )
    queue_items: PositiveCount = Field(
        20_000, description="Maximum calls waiting in one lane; more get 503."
    )
    deadline_seconds: PositiveSeconds = Field(
        10, description="Maximum wait of a call for its batch; then 503."
    )
    unpaid_holds: PositiveCount = Field(
        20, description="Unpaid holds that a user may release in a concert; then 429."
    )
    unpaid_holds_seconds: Annotated[int, Field(ge=1, le=86_400)] = Field(
        600, description="The period in which released unpaid holds are counted."
    )
    unpaid_seats_ipv4: CountLimit = Field(
        80,
        description="Seats of a concert that may be held unpaid from one IPv4 address; more get "
        "429. 0: no limit.",
    )
    unpaid_seats_ipv6_64: CountLimit = Field(
        20, description="The same from one /64 network of IPv6 addresses."
    )
    unpaid_seats_ipv6_56: CountLimit = Field(80, description="The same from one /56 network.")
    unpaid_seats_ipv6_48: CountLimit = Field(200, description="The same from one /48 network.")
    address_connections: CountLimit = Field(
        2000, description="Open connections of one address; more get 429. 0: no limit."
    )
    head_bytes: Annotated[int, Field(ge=4096, le=65_536)] = Field(
        32_768, description="Largest head of a request: its line and headers."
    )
    head_seconds: PositiveSeconds = Field(10, description="Longest time for a head to arrive.")
    body_seconds: PositiveSeconds = Field(
        30, description="Longest time for a body to arrive, after that of its head."
    )
    body_bytes: PositiveCount = Field(65_536, description="Largest request body.")
    cached_credentials: PositiveCount = Field(
        50_000, description="Verified tokens, and user keys, that one process caches."
    )
    credential_seconds: PositiveSeconds = Field(
        0.5, description="Interval at which a process reads the user keys revoked by others."
    )
    token_key_overlap_seconds: Annotated[float, Field(ge=0)] = Field(
        2_592_000,
        description=(
            "How long queue tokens signed by a replaced key are accepted; "
            "0: until the key is retired by a command."
        ),
    )
    oidc_issuer: str | None = Field(
        None, description="An OpenID issuer whose ID tokens are accepted in place of user keys."
    )
    oidc_audience: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        None, description="The required `aud` of its ID tokens: the client id of this server."
    )
    oidc_jwks_url: str | None = Field(
        None, description="URL of its keys; by default from its discovery document."
    )
    oidc_algorithm: Algorithm = Field(
        "RS256", description="The algorithm of its ID tokens' signatures."
    )
    oidc_refresh_seconds: PositiveSeconds = Field(
        300, description="Interval at which a process reads the issuer's keys."
    )
    oidc_stale_seconds: PositiveSeconds = Field(
        86_400, description="How long cached keys are used while they can't be read."
    )
    oidc_client_secret: SecretStr | None = Field(
        None,
        min_length=1,
        description="The client secret for signing in on the pages; without one, PKCE alone.",
    )
    oidc_authorization_url: str | None = Field(
        None, description="URL of the sign-in page; by default from its discovery document."
    )
    oidc_token_url: str | None = Field(
        None,
        description="URL of the token endpoint; by default from its discovery document.",
    )
    oidc_session_seconds: Annotated[int, Field(ge=600, le=34_560_000)] = Field(
        604_800, description="Length of a session of a user who signed in on the pages."
    )
    guests: bool | None = Field(
        None, description="Whether guest accounts exist; by default only without an issuer."
    )
    guest_challenge: Annotated[int, Field(ge=0, le=10_000_000)] | None = Field(
        None,
        description=(
            "Proof of work for a guest account: the maximum tries that it takes, half of them on "
            "average; 0: none. By default 20000 where other machines can connect."
        ),
    )
    guest_challenge_seconds: Annotated[float, Field(ge=1, le=3600)] = Field(
        300, description="How long a challenge can be solved."
    )
    streams: PositiveCount = Field(20_000, description="Open streams of one process; more get 503.")
    stream_heartbeat_seconds: Annotated[float, Field(gt=0, le=14.5)] = Field(
        14, description="Interval at which a stream repeats its status; clients rely on 15 s."
    )
    snapshot_seconds: PositiveSeconds = Field(
        0.2, description="Interval at which a process refreshes its snapshot of the lines."
    )
    seat_map_seats: PositiveCount = Field(
        1_000_000, description="Seats whose states one process caches for seat maps."
    )
    seat_change_seconds: Annotated[float, Field(ge=120)] = Field(
        600, description="How long seat changes are kept for clients that follow a seat map."
    )
    stock_seconds: PositiveSeconds = Field(
        1.0, description="Interval at which a process counts the seats left."
    )
    admission_tick_seconds: PositiveSeconds = Field(
        0.1, description="Maximum time between two admission rounds."
    )
    adaptive_step_seconds: PositiveSeconds = Field(
        2.0, description="Time between two steps of an adaptive policy's cap."
    )
    expiry_tick_seconds: PositiveSeconds = Field(
        0.5, description="Interval at which expired holds are marked as expired."
    )
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = Field(
        90,
        description="Age in days at which `frontrow prune` deletes ended data; 0: never.",
    )
    linger_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        0,
        description="How long a stopping server still answers on open connections; 5 behind nginx.",
    )
    drain_seconds: PositiveSeconds = Field(
        15, description="Maximum wait for running calls when the server stops."
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_one_line(cls, value: object, info: ValidationInfo) -> object:
        """Strips a text; what comes from a file often ends in a line end."""
        if not isinstance(value, str) or info.field_name in ("data_dir", "metrics_dir"):
            return value
        if any(unicodedata.category(character) in _UNFIT for character in value.strip()):
            raise ValueError("it must be one line without control characters")
        return value.strip()

    @field_validator("operator_key", "metrics_token")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().isascii():
            raise ValueError("it must be ASCII: no header can carry anything else")
        return key

    @field_validator("oidc_issuer", "oidc_jwks_url", "oidc_authorization_url", "oidc_token_url")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is not None and not is_safe_url(url):
            raise ValueError("it must be an https URL, or an http URL on this machine")
        return url

    @field_validator("oidc_audience")
    @classmethod
    def _belongs_to_an_issuer(cls, audience: str | None, given: ValidationInfo) -> str | None:
        if (audience is None) != (given.data.get("oidc_issuer") is None):
            raise ValueError("issuer and audience must be given together")
        return audience

    @property
    def guests_allowed(self) -> bool:
        """Whether this server has guest accounts."""
        return self.oidc_issuer is None if self.guests is None else self.guests

    @property
    def is_public(self) -> bool:
        """Whether other machines can connect: directly, or through a trusted proxy."""
        return self.trusted_proxies is not None or not _is_loopback_host(self.host)

    @property
    def metrics_need_token(self) -> bool:
        """Whether the metrics are refused without ``metrics_token``."""
        return self.metrics_token is not None or not _is_loopback_host(self.host)

    @property
    def guest_challenge_tries(self) -> int:
        """The maximum tries of the proof of work for a guest account; 0: none."""
        if self.guest_challenge is not None:
            return self.guest_challenge
        return PUBLIC_CHALLENGE_TRIES if self.is_public else 0

    def to_environment(self) -> dict[str, str]:
        """Returns these settings as environment variables for a child process, with secrets."""
        values = {
            f"FRONTROW_{name.upper()}": getattr(self, name) for name in type(self).model_fields
        }
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }
