"""What the hub is told from outside: the command line and the environment, checked once.

``DATABASE_URL``, or any of ``DATABASE_HOST``, ``_PORT``, ``_NAME``, ``_USER`` and
``_PASSWORD``, points to a real server; with none of them the hub brings its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args
from urllib.parse import unquote, urlsplit

from upstream.errors import StartFailed

SslMode: TypeAlias = Literal["disable", "prefer", "allow", "require", "verify-ca", "verify-full"]
SeedChoice: TypeAlias = Literal["auto", "yes", "no"]


@dataclass(frozen=True, slots=True)
class DatabaseAddress:
    """Where a PostgreSQL listens; *host* may be the directory of its unix socket."""

    host: str
    port: int
    name: str
    user: str
    password: str | None = field(default=None, repr=False)
    ssl: SslMode | None = None
    """One of libpq's sslmode words; None leaves the choice to the driver."""

    def __str__(self) -> str:
        """Name the place without the password, as error messages need it."""
        return f"{self.user}@{self.host}:{self.port}/{self.name}"


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections the pool keeps, and how long anything may take."""

    min_size: int = 5
    max_size: int = 20
    idle: float = 30.0
    """A connection unused for so long is closed."""
    connect: float = 2.0
    acquire: float = 1.5
    """How long a request waits for a connection; below 2 s, so that its 503 is too."""
    statement: float = 10.0
    """The server cancels a statement after so long."""
    command: float = 10.0
    """The hub gives up waiting for an answer after so long."""
    keepalive: int = 10
    """Whole seconds of silence before TCP asks whether the other side still lives."""
    tells: bool = False
    """Log the pool's figures every ten seconds (``DEBUG_POOL_METRICS``)."""


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """When a query is slow, and who is told. Durations are seconds."""

    warning: float = 0.5
    slow: float = 1.0
    summary: float = 300.0
    """Between two summaries in the log; 0 for none."""
    every_query: bool = False
    """Log each query (``DEBUG_DB_METRICS``)."""
    datadog: tuple[str, int] | None = None
    """Host and port of an agent that takes dogstatsd; None tells nobody."""
    internal_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Who may see the figures, besides this machine."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the hub was told."""

    host: str
    port: int
    state_dir: Path
    database: DatabaseAddress | None
    """A real server; None for the embedded one."""
    pool: PoolSettings
    seed: bool
    """Whether an empty database is filled with the demo data."""
    monitoring: MonitoringSettings = field(default_factory=MonitoringSettings)
    stripe_secret: str | None = field(default=None, repr=False)
    """What signs Stripe's webhooks; None lets the hub make one in its state directory."""


def read_settings(
    environ: Mapping[str, str], *, listen: str, state_dir: Path, seed: SeedChoice = "auto"
) -> Settings:
    """Return the settings, or raise StartFailed naming the value at fault.

    The demo data brings users whose password is public, so a real server gets it
    only when asked for with ``--seed yes``.
    """
    host, port = parse_listen(listen)
    database = _database(environ)
    return Settings(
        host=host,
        port=port,
        state_dir=state_dir.absolute(),
        database=database,
        pool=_pool(environ),
        monitoring=_monitoring(environ),
        seed=seed == "yes" or (seed == "auto" and database is None),
        stripe_secret=environ.get("STRIPE_WEBHOOK_SECRET") or None,
    )


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``; port 0 lets the system choose."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not _is_port(port, lowest=0):
        raise StartFailed(f"--listen: expected HOST:PORT such as 127.0.0.1:3000, got {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _database(environ: Mapping[str, str]) -> DatabaseAddress | None:
    if url := environ.get("DATABASE_URL"):
        return _database_from_url(url)
    parts = {
        key: environ.get(f"DATABASE_{key}") or None
        for key in ("HOST", "PORT", "NAME", "USER", "PASSWORD")
    }
    if not any(parts.values()):
        return None
    port = parts["PORT"] or "5432"
    if not _is_port(port):
        raise StartFailed(f"DATABASE_PORT: expected a port from 1 to 65535, got {port!r}")
    return DatabaseAddress(
        host=parts["HOST"] or "localhost",
        port=int(port),
        name=parts["NAME"] or "hub",
        user=parts["USER"] or "postgres",
        password=parts["PASSWORD"],
    )


def _database_from_url(url: str) -> DatabaseAddress:
    # The URL may hold a password: no message below repeats it.
    expected = "expected postgresql://USER:PASSWORD@HOST:PORT/NAME"
    try:
        split = urlsplit(url)
        port = split.port or 5432
    except ValueError as error:
        raise StartFailed(f"DATABASE_URL: {expected}, but {error}") from None
    if split.scheme not in {"postgresql", "postgres"}:
        raise StartFailed(f"DATABASE_URL: {expected}, got the scheme {split.scheme!r}")
    options = dict(pair.partition("=")[::2] for pair in split.query.split("&") if pair)
    host = split.hostname or unquote(options.pop("host", ""))
    ssl = options.pop("sslmode", None)
    if ssl is not None and ssl not in get_args(SslMode):
        raise StartFailed(
            f"DATABASE_URL: sslmode is one of {', '.join(get_args(SslMode))}, got {ssl!r}"
        )
    if options:
        raise StartFailed(
            f"DATABASE_URL: only host and sslmode are understood after '?', got {min(options)!r}"
        )
    if not host:
        raise StartFailed(f"DATABASE_URL: {expected}, but no host was found")
    return DatabaseAddress(
        host=host,
        port=port,
        name=unquote(split.path.lstrip("/")) or "hub",
        user=unquote(split.username or "postgres"),
        password=unquote(split.password) if split.password else None,
        ssl=cast("SslMode | None", ssl),
    )


def _pool(environ: Mapping[str, str]) -> PoolSettings:
    smallest = _count(environ, "DB_POOL_MIN", 5, lowest=0)
    largest = _count(environ, "DB_POOL_MAX", 20, lowest=1)
    if smallest > largest:
        if "DB_POOL_MIN" in environ:
            raise StartFailed(
                f"DB_POOL_MIN is {smallest}, more than DB_POOL_MAX which is {largest}"
            )
        smallest = largest
    usual = PoolSettings()
    return PoolSettings(
        min_size=smallest,
        max_size=largest,
        idle=_seconds(environ, "DB_POOL_IDLE", usual.idle),
        connect=_seconds(environ, "DB_CONNECT_TIMEOUT", usual.connect),
        acquire=_seconds(environ, "DB_ACQUIRE_TIMEOUT", usual.acquire),
        statement=_seconds(environ, "DB_STATEMENT_TIMEOUT", usual.statement),
        command=_seconds(environ, "DB_QUERY_TIMEOUT", usual.command),
        keepalive=_count(environ, "DB_KEEPALIVE", usual.keepalive, lowest=1),
        tells=_flag(environ, "DEBUG_POOL_METRICS"),
    )


def _monitoring(environ: Mapping[str, str]) -> MonitoringSettings:
    usual = MonitoringSettings()
    warning = _seconds(environ, "DB_WARNING_QUERY", usual.warning)
    slow = _seconds(environ, "DB_SLOW_QUERY", usual.slow)
    if warning > slow:
        raise StartFailed(
            f"DB_WARNING_QUERY is {warning:g} s, more than DB_SLOW_QUERY which is {slow:g} s"
        )
    return MonitoringSettings(
        warning=warning,
        slow=slow,
        summary=_seconds(environ, "DB_SUMMARY_INTERVAL", usual.summary, lowest=0.0),
        every_query=_flag(environ, "DEBUG_DB_METRICS"),
        datadog=_datadog(environ),
        internal_networks=_networks(environ, "HUB_INTERNAL_NETWORKS"),
    )


def _datadog(environ: Mapping[str, str]) -> tuple[str, int] | None:
    host = environ.get("DD_AGENT_HOST")
    if not host:
        # The brief's variable says that Datadog is used; the agent is then on this machine.
        host = "127.0.0.1" if environ.get("DATADOG_API_KEY") else None
    if host is None:
        return None
    port = environ.get("DD_DOGSTATSD_PORT") or "8125"
    if not _is_port(port):
        raise StartFailed(f"DD_DOGSTATSD_PORT: expected a port from 1 to 65535, got {port!r}")
    return host, int(port)


def _networks(environ: Mapping[str, str], name: str) -> tuple[IPv4Network | IPv6Network, ...]:
    found = []
    for text in (environ.get(name) or "").split(","):
        if text.strip():
            try:
                found.append(ip_network(text.strip()))
            except ValueError as error:
                raise StartFailed(
                    f"{name}: expected networks such as 10.0.0.0/8, with commas between: {error}"
                ) from None
    return tuple(found)


def _seconds(
    environ: Mapping[str, str], name: str, default: float, *, lowest: float = 0.001
) -> float:
    text = environ.get(name)
    if not text:
        return default
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)?", text)
    value = -1.0
    if match is not None:
        value = float(match[1]) * {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}[match[2]]
    if value < lowest:
        raise StartFailed(f"{name}: expected a duration such as 10s or 500ms, got {text!r}")
    return value


def _flag(environ: Mapping[str, str], name: str) -> bool:
    text = (environ.get(name) or "false").lower()
    if text not in {"true", "false", "1", "0", "yes", "no"}:
        raise StartFailed(f"{name}: expected true or false, got {text!r}")
    return text in {"true", "1", "yes"}


def _count(environ: Mapping[str, str], name: str, default: int, *, lowest: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 5 and int(text) >= lowest):
        raise StartFailed(f"{name}: expected a whole number from {lowest} to 9999, got {text!r}")
    return int(text)


def _is_port(text: str, lowest: int = 1) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and lowest <= int(text) <= 65535
