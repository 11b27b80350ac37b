"""What the rules say about the tiers below memory."""

from dataclasses import dataclass, field

from gateway.storage.redis_url import Address

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """The tier on disk that the workers of a node share."""

    quota: int
    """Bytes of its file; it never grows larger."""
    max_object: int = 8 * MEBIBYTE
    """A larger response isn't kept there."""
    path: str | None = None
    """The folder of its file; None is ``local`` in the state directory."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """The tier that replicas share: a Valkey or Redis."""

    address: Address = field(repr=False)
    timeout: float = 0.05
    """Seconds that a request waits for it at most, connecting included."""
    prefix: str = "hub:"
    """What all its keys begin with."""
    max_object: int = MEBIBYTE
    """A larger response isn't kept there."""


@dataclass(frozen=True, slots=True)
class TierSettings:
    """The tiers below memory; None is off."""

    local: LocalSettings | None = None
    redis: RedisSettings | None = None
