"""A stored response: what was kept of an answer, and what it needs to be judged again.

It may outlive the process that stored it, so instants are seconds since the epoch.
"""

from dataclasses import dataclass

from gateway.policy.age import Arrival
from gateway.policy.directives import ResponseDirectives
from gateway.policy.rules import CacheRules
from gateway.wire.fields import Fields

OVERHEAD_BYTES = 1_000
"""What the objects around a stored response take besides heads and bodies, as measured."""

NominatedField = tuple[bytes, bytes | None]
"""A request field that Vary nominates: lower-case name, and its normalised value or None."""


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """One response kept under a cache key; several under one key differ by `nominated`."""

    status: int
    reason: bytes
    fields: Fields
    """As the origin sent them, less those that RFC 9111 section 3.1 excludes."""
    body: bytes
    arrival: Arrival
    lifetime: float
    """The freshness lifetime in seconds, decided when it was stored or last validated."""
    directives: ResponseDirectives
    nominated: tuple[NominatedField, ...] = ()
    """The request fields that Vary named, as the request for this response had them."""
    groups: tuple[bytes, ...] = ()
    """The groups that it is in, with which it is invalidated (RFC 9875)."""
    rules: CacheRules | None = None
    """What its lifetime was decided by; under other rules it is to be judged anew. None when
    nobody knows."""

    @property
    def weight(self) -> int:
        """Bytes of memory that keeping this costs."""
        head = sum(len(name) * 2 + len(value) + 250 for name, _, value in self.fields.lines)
        return OVERHEAD_BYTES + head + len(self.body)
