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
class Filed:
    """Where a response was filed, in words that a purge can name."""

    host: bytes = b""
    target: bytes = b""
    """Path and query, the query in the form that the cache key has."""
    route: str = ""
    labels: tuple[bytes, ...] = ()
    """Groups that the rules put it in, beside those of its own fields."""


NOWHERE = Filed()
"""For what was never filed, as in tests and forecasts."""


@dataclass(frozen=True, slots=True)
class Form:
    """The body of a stored response in a content coding, or a picture in another format."""

    coding: str
    """The coding's registered name; of a picture, the rendition's (`policy/images.py`)."""
    body: bytes
    """Empty when that doesn't make it smaller: then it is sent as it is."""
    plain_bytes: int
    """The length before."""
    mark: bytes
    """Eight hexadecimal digits that tell these bytes from what another level makes."""
    best: bool = False
    """Whether it is as small as the coding can make it."""


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
    filed: Filed = NOWHERE
    invalid: bool = False
    """A write or a purge made it wrong: it is validated before its next use, whatever may be
    said about staleness (RFC 9111 section 4.4)."""
    forms: tuple[Form, ...] = ()
    """Its body in the codings that clients asked for, one of each."""
    coding: str = ""
    """The form that we gave the body; empty for what came from the origin."""
    passing: bool = False
    """Whether it is sent for want of something smaller, which is being made."""

    @property
    def weight(self) -> int:
        """Bytes of memory that keeping this costs."""
        head = sum(len(name) * 2 + len(value) + 250 for name, _, value in self.fields.lines)
        filed = len(self.filed.target) + sum(len(label) + 40 for label in self.filed.labels)
        forms = sum(len(form.body) + 2_000 for form in self.forms)
        return OVERHEAD_BYTES + head + filed + len(self.body) + forms
