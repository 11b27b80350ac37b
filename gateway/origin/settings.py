"""What the rules say about one origin. Durations are seconds."""

from dataclasses import dataclass, field
from enum import StrEnum

from gateway.resilience.health import Judgement


class Balance(StrEnum):
    """How requests are spread over the endpoints of an origin."""

    ROUND_ROBIN = "round_robin"
    LEAST_REQUESTS = "least_requests"
    P2C = "p2c"
    HASH = "hash"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of an origin."""

    host: str
    """A name or an address, without brackets; empty for a socket of this machine."""
    port: int
    tls: bool = False
    path: str = ""
    """Of a Unix socket; empty for TCP."""
    weight: int = 1

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def authority(self) -> bytes:
        """What to call it in Host, when nobody gave it a name."""
        return b"localhost" if self.path else str(self).encode()


@dataclass(frozen=True, slots=True)
class Tls:
    """How endpoints reached by https prove who they are."""

    verify: bool = True
    name: str | None = None
    """The name that their certificate must have, sent as SNI; None takes the endpoint's host."""
    ca: str | None = None
    """The path of a PEM file with the authorities that are trusted; None trusts the system's."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is tried again, at another endpoint if there is one."""

    attempts: int = 1
    """All together; 1 never tries again."""
    budget: float = 0.2
    """The share of requests that may be tried again."""
    methods: frozenset[bytes] = frozenset({b"GET", b"HEAD"})
    """Those that may have reached an endpoint already. One that didn't is tried again whatever
    its method."""
    statuses: frozenset[int] = frozenset()
    """Answers that count as failures."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How endpoints are asked whether they are well."""

    path: str
    interval: float = 5.0
    timeout: float = 2.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of an exchange may take."""

    connect: float = 2.0
    first_byte: float = 10.0
    """From the end of the request to the end of the response head."""
    between_bytes: float = 60.0
    """The longest silence inside a body, either way."""
    total: float = 30.0
    """All attempts together, until the response head is there; a body that keeps flowing
    is bounded by `between_bytes` alone, so that events and large files may stream."""


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """One origin: its endpoints and how to speak to them."""

    name: str
    endpoints: tuple[Endpoint, ...]
    timeouts: Timeouts = field(default_factory=Timeouts)
    host: str | None = None
    """The Host sent; None preserves the client's."""
    max_connections: int = 256
    """For each worker."""
    balance: Balance = Balance.LEAST_REQUESTS
    retry: Retry = field(default_factory=Retry)
    health: HealthCheck | None = None
    """None asks nobody: requests alone tell."""
    judgement: Judgement = field(default_factory=Judgement)
    refuses_at_once: bool = False
    """What to do when no endpoint should get requests: refuse them (a circuit breaker), or
    spread them over all endpoints after all."""
    tls: Tls = field(default_factory=Tls)
    max_waiting: int = 1024
    """Requests that may queue for a connection in each worker; more get 503."""
