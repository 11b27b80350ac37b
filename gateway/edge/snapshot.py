"""Everything that rules.yaml says, in effect, at one moment: built, checked, then swapped whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.origin.settings import OriginSettings
from gateway.routing.access import Network
from gateway.routing.identity import IdentityVerifier
from gateway.routing.table import RouteTable
from gateway.routing.writes import OnWrite
from gateway.storage.settings import TierSettings

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may ask of us. Sizes are bytes, durations seconds."""

    head_bytes: int = 32 * 1024
    target_bytes: int = 8 * 1024
    field_count: int = 100
    head_timeout: float = 10.0
    """From the first byte of a head to its end."""
    idle_timeout: float = 60.0
    """Between two requests of a connection."""
    send_timeout: float = 60.0
    """The longest time in which a client takes nothing of what waits for it, or sends
    nothing of the body that it announced."""
    buffer_bytes: int = 512 * MEBIBYTE
    """What may wait for clients to take it, all together."""
    min_rate: int = 256
    """The slowest rate, in bytes a second, at which a client may send a body or take an
    answer; 0 is none."""
    body_bytes: int = 100 * MEBIBYTE
    """The longest body, where a route doesn't say how long it may be."""
    connections: int = 100_000
    """Open at a time, of each worker."""
    connections_per_client: int | None = None
    """...of one address (for IPv6: of one /64); None is no limit."""
    requests: int = 20_000
    """Being answered at a time by each worker, apart from what comes from memory."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate with what vouches for it, and its key: paths of PEM files."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class TlsRules:
    """Where and how https is spoken to clients."""

    host: str
    port: int
    """0 lets the kernel choose one for each worker."""
    certificates: tuple[CertificateFiles, ...]
    """The first is for clients that ask for no name that is known; never empty."""
    min_version: str = "1.2"
    http2: bool = True


@dataclass(frozen=True, slots=True)
class Listening:
    """How connections come in."""

    trusted: tuple[Network, ...] = ()
    """Networks of proxies whose word about their clients counts."""
    proxy_protocol: bool = False
    """Whether connections from these begin with a PROXY header."""
    tls: TlsRules | None = None
    """None speaks plain HTTP alone."""
    hsts: bytes = b""
    """The value of Strict-Transport-Security (RFC 6797) in answers by https; empty for none."""


@dataclass(frozen=True, slots=True)
class CdnSettings:
    """The CDN in front: Cloudflare."""

    zone: str
    token: str = field(repr=False)
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Warming:
    """How what is in demand is fetched again after purges and at the start."""

    most: int = 200
    """The busiest public URLs that are asked for."""
    rate: int = 50
    """Requests a second, at most."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The rules in force; `config/build.py` makes it, the edge obeys it."""

    routes: RouteTable
    origins: Mapping[str, OriginSettings]
    identity: IdentityVerifier
    memory_bytes: int = 256 * MEBIBYTE
    """The memory tier of each worker."""
    object_bytes: int = 16 * MEBIBYTE
    """A larger response is passed, not stored."""
    limits: Limits = Limits()
    listening: Listening = Listening()
    on_write: tuple[OnWrite, ...] = ()
    """What successful writes make wrong."""
    tiers: TierSettings = TierSettings()
    """What is below memory."""
    database: str | None = field(default=None, repr=False)
    """The URL of a PostgreSQL whose changes are purges, too; None for none."""
    warm: Warming | None = None
    """None fetches nothing ahead of clients."""
    cdn: CdnSettings | None = None
    """Where purges go on to; None is nowhere."""
