"""What the rules say about one origin. Durations are seconds."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of an origin."""

    host: str
    """A name or an address, without brackets."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


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
    max_waiting: int = 1024
    """Requests that may queue for a connection in each worker; more get 503."""
