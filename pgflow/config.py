"""Settings: one class, read from the environment (`PGFLOW_*`) or a `.env` file, given whole to whoever needs it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from dotenv import dotenv_values
from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from pgflow.errors import ConfigError

SCHEMA_PATTERN = re.compile(r"[a-z_][a-z0-9_]{0,35}")


class Settings(BaseSettings):
    """Everything that can be set from outside. Durations are seconds."""

    model_config = SettingsConfigDict(
        env_prefix="PGFLOW_", env_file=".env", extra="ignore", frozen=True, populate_by_name=True
    )

    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("PGFLOW_DATABASE_URL", "DATABASE_URL"), repr=False
    )
    """Where the engine's schema lives; may point at a pooler."""
    direct_url: str | None = Field(default=None, repr=False)
    """A direct connection for LISTEN and the leader, where `database_url` points at a transaction pooler."""
    redis_url: Annotated[list[str], NoDecode] = Field(default_factory=list, repr=False)
    """One or more Redis nodes, comma-separated; none: Postgres does their work too."""
    schema_name: str = Field(default="pgflow", validation_alias=AliasChoices("PGFLOW_SCHEMA", "schema_name"))
    """One schema is one engine."""
    pooled: bool = False
    """`database_url` is a transaction pooler: no prepared statements and no session settings there."""

    lease: float = Field(default=30.0, ge=1, le=3600)
    """How long a silent worker keeps its tasks."""
    heartbeat: float = Field(default=10.0, gt=0, le=1200)
    """How often an idle worker renews; a busy one renews each second."""
    safety_poll: float = Field(default=5.0, gt=0, le=3600)
    """How long a lost wake-up may delay a task."""
    max_crashes: int = Field(default=3, ge=1, le=100)
    """Worker deaths after which a task is dead-lettered as poison."""
    payload_limit: int = Field(default=1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    """The largest argument list or result, in bytes of JSON."""
    retention: float = Field(default=14 * 86400.0, ge=60)
    """How long history is kept once nothing in its partition is live."""
    event_retention: float = Field(default=7 * 86400.0, ge=60)
    """How long application events are kept, for workflows that will ask for what happened before they waited."""
    drain: float = Field(default=25.0, ge=0)
    """How long SIGTERM waits for running handlers before they are released."""
    secret_keys: Annotated[list[str], NoDecode] = Field(default_factory=list, repr=False)
    """The keys that seal and open stored secrets, comma-separated, the newest first."""
    secret_keys_file: Path | None = None
    """A file with those keys, one a line, in the place of `secret_keys`."""

    outbound_allow: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Networks and hosts that may be called besides public addresses, comma-separated; `*`: everything."""
    outbound_ports: Annotated[list[int], NoDecode] = Field(default_factory=list)
    """The only ports that may be called, comma-separated; none: any."""
    outbound_proxy: str | None = Field(default=None, repr=False)
    """An HTTP proxy for all calls to others. The usual variables for proxies are not looked at."""
    sql_writable: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """The connections (`PGFLOW_SQL_<NAME>`) that `sql` nodes may write to, comma-separated; none: they only read."""
    smtp_url: str | None = Field(default=None, repr=False)
    """The mail server: smtp://, smtp+starttls:// or smtps://, user:password@, host:port."""
    mail_from: str | None = None
    """Who mail is from."""
    public_url: str | None = None
    """Where people reach this engine's pages; what links in alerts begin with."""

    api_url: str | None = None
    """Where the REST API is, for `RemoteClient`."""
    token: str | None = Field(default=None, repr=False)
    """The API token that `RemoteClient` sends."""

    api_connections: int = Field(default=8, ge=1, le=200)
    """Connections to the database of one API process."""
    api_body_limit: int = Field(default=1024 * 1024, ge=1024, le=256 * 1024 * 1024)
    """The largest body of a request, in bytes."""
    api_rate: str = "300/second"
    """How many requests one token or user may make, in all API processes together."""
    api_address_rate: str = "600/second"
    """How many requests may come from one address."""
    api_login_rate: str = "10/minute"
    """How many failed attempts to get in may come from one address."""
    api_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Networks of proxies before the API, comma-separated: what they say of whom they ask for is believed."""
    api_session: float = Field(default=12 * 3600.0, ge=60, le=90 * 86400)
    """How long somebody stays signed in to the dashboard."""
    oidc_issuer: str | None = None
    """The OpenID Connect provider through which people may sign in to the dashboard."""
    oidc_client_id: str | None = None
    """What we are called there."""
    oidc_client_secret: str | None = Field(default=None, repr=False)
    """Our password there."""
    oidc_claim: str = "email"
    """By which of the provider's claims a user is found the first time."""
    api_streams: int = Field(default=1000, ge=1, le=100_000)
    """How many streams of events one API process keeps open."""
    api_streams_each: int = Field(default=50, ge=1, le=100_000)
    """How many of those one token or user may have."""
    api_stream_lifetime: float = Field(default=900.0, ge=1, le=86400)
    """After how long a stream ends, and its client comes back."""
    api_metrics_open: bool = False
    """`/metrics` is given to whoever reaches the API, without a token."""

    @field_validator(
        "redis_url", "secret_keys", "outbound_allow", "outbound_ports", "sql_writable", "api_proxies", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("schema_name")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not SCHEMA_PATTERN.fullmatch(value):
            raise ValueError("a schema's name is lower-case letters, digits and underscores, at most 36")
        return value

    @model_validator(mode="after")
    def _beats_in_time(self) -> Settings:
        if self.heartbeat > self.lease / 2:
            raise ValueError(f"heartbeat={self.heartbeat:g} must be at most half of lease={self.lease:g}")
        return self

    @model_validator(mode="after")
    def _keys_from_one_place(self) -> Settings:
        if self.secret_keys and self.secret_keys_file is not None:
            raise ValueError("secret_keys and secret_keys_file exclude each other")
        return self

    def require_url(self) -> str:
        """The database's URL, or a ConfigError that says how to give one."""
        if not self.database_url:
            raise ConfigError(
                "no database is configured",
                hint="set PGFLOW_DATABASE_URL=postgresql://user:password@host/database, or use `pgflow dev`",
            )
        return self.database_url


URL_FILE = Path(".pgflow", "url")
"""Where `pgflow dev` leaves the URL of its embedded database, readable for its user alone, while it runs."""
KEYS_FILE = Path(".pgflow", "secret-keys")
"""Where `pgflow dev` keeps the key of the secrets in that database, readable for its user alone."""


def load(**given: object) -> Settings:
    """Settings from the environment, overridden by what is given (None counts as not given).

    Without a database URL, that of a `pgflow dev` running in this folder is used, and its key for secrets.

    Raises:
        ConfigError: a setting makes no sense; the text names it.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        if settings.database_url is None and URL_FILE.is_file():
            settings = with_dev_key(settings.model_copy(update={"database_url": URL_FILE.read_text().strip()}))
        return settings
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigError(f"bad settings: {problems}", hint="see .env.example for every setting") from None


def with_dev_key(settings: Settings) -> Settings:
    """The same with the key that `pgflow dev` keeps in this folder, unless others are set or it has made none."""
    if settings.secret_keys or settings.secret_keys_file is not None or not KEYS_FILE.is_file():
        return settings
    return settings.model_copy(update={"secret_keys_file": KEYS_FILE.absolute()})


def env_file() -> Mapping[str, str | None]:
    """What the `.env` here says, whoever it is for; read again when it has changed."""
    file = Path(".env")
    try:
        return _read_env_file(file.absolute(), file.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(1)
def _read_env_file(file: Path, _: int) -> Mapping[str, str | None]:
    return dotenv_values(file, interpolate=False)
