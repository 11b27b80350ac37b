"""May we send what we have (RFC 9111 sections 4 and 5.2)?

Given the stored responses under a key, a request and an instant, the answer is a verdict,
which the edge carries out. Preconditions are another question, asked of a response that may
be sent: `preconditions.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from gateway.policy import vary
from gateway.policy.age import current_age
from gateway.policy.directives import RequestDirectives, parse_request
from gateway.policy.rules import CacheRules
from gateway.policy.stored import StoredResponse
from gateway.wire.message import RequestHead


class Forwarded(StrEnum):
    """Why a request went to the origin; the words of RFC 9211 section 2.2."""

    BYPASS = "bypass"
    """The cache was told not to handle it."""
    METHOD = "method"
    """The method's semantics require the origin."""
    URI_MISS = "uri-miss"
    """Nothing is stored under its key."""
    VARY_MISS = "vary-miss"
    """What is stored under its key was selected by other request fields."""
    MISS = "miss"
    """Nothing stored could be used, for whatever reason."""
    REQUEST = "request"
    """A fresh response is stored, and the request forbids its use."""
    STALE = "stale"
    """What is stored is stale, or must be validated before any use."""
    PARTIAL = "partial"
    """What is stored lacks a part that was asked for."""


# Verdicts live for one request and aren't frozen: that would triple what building them costs.
@dataclass(slots=True)
class Deliver:
    """Send *stored*, whose current age is *age* seconds.

    The same verdict holds for this same request until *until*, in epoch seconds, as long as
    the same responses are stored.
    """

    stored: StoredResponse
    age: float
    until: float


@dataclass(slots=True)
class Validate:
    """Ask the origin whether *stored* may be sent; without validators, for a new response."""

    stored: StoredResponse
    why: Forwarded


@dataclass(slots=True)
class Fetch:
    """Get a response from the origin."""

    why: Forwarded


@dataclass(slots=True)
class Refuse:
    """Answer 504: the client wants a stored response only (only-if-cached, 5.2.1.7)."""


Verdict: TypeAlias = Deliver | Validate | Fetch | Refuse


def bypasses(request: RequestHead, rules: CacheRules) -> Forwarded | None:
    """Return why *request* doesn't ask the cache at all; None when it does."""
    if not rules.enabled:
        return Forwarded.BYPASS
    method = request.method
    if method not in (b"GET", b"HEAD"):
        return Forwarded.METHOD
    index = request.fields.index()
    # If-Match and If-Unmodified-Since aren't for caches to evaluate (section 4.3.2). Ranges
    # aren't assembled here, so one goes past the cache, not through it: PARTIAL would
    # say that a part is stored. A Range on HEAD means nothing (RFC 9110 section 14.2).
    if b"if-match" in index or b"if-unmodified-since" in index:
        return Forwarded.BYPASS
    if b"range" in index and method == b"GET":
        return Forwarded.BYPASS
    return None


def decide(
    variants: Sequence[StoredResponse], request: RequestHead, rules: CacheRules, now: float
) -> Verdict:
    """Return what to do about *request*, given what is stored under its key.

    *request* is one that `bypasses` let through; *variants* may be in any order.
    """
    index = request.fields.index()
    # Few requests carry either field; to parse nothing costs a third of the whole.
    asked = (
        parse_request(request.fields) if b"cache-control" in index or b"pragma" in index else None
    )
    stored = _selected(variants, request)
    if stored is None:
        if asked is not None and asked.only_if_cached:
            return Refuse()
        return Fetch(Forwarded.VARY_MISS if variants else Forwarded.URI_MISS)
    age = current_age(stored.arrival, now)
    if asked is not None:
        return _as_asked(asked, stored, rules, now, age)
    remaining = stored.lifetime - age
    if remaining > 0 and not stored.directives.no_cache:
        return Deliver(stored, age, now + remaining)
    return Validate(stored, Forwarded.STALE)


def _selected(variants: Sequence[StoredResponse], request: RequestHead) -> StoredResponse | None:
    """Return the most recent response that *request* selects (section 4)."""
    if len(variants) == 1:
        only = variants[0]
        return only if not only.nominated or vary.matches(only, request.fields) else None
    chosen: StoredResponse | None = None
    for candidate in variants:
        if vary.matches(candidate, request.fields) and (
            chosen is None or _recency(candidate) > _recency(chosen)
        ):
            chosen = candidate
    return chosen


def _recency(stored: StoredResponse) -> tuple[float, float]:
    """Return what orders responses in time: their Date, then when they came."""
    return (stored.arrival.date_value, stored.arrival.response_time)


def _as_asked(
    asked: RequestDirectives,
    stored: StoredResponse,
    rules: CacheRules,
    now: float,
    age: float,
) -> Verdict:
    """Decide about a request that has directives of its own (section 5.2.1).

    Its no-store doesn't forbid the use of what is stored already (5.2.1.5).
    """
    directives = stored.directives
    remaining = stored.lifetime - age
    fresh = remaining > 0 and not directives.no_cache
    allowed = remaining
    """The seconds for which the response may be sent; 0 or less: it may not."""
    if directives.no_cache:
        allowed = 0.0
    elif asked.max_stale is not None and not (
        directives.must_revalidate
        or directives.proxy_revalidate
        # s-maxage implies proxy-revalidate (5.2.2.10).
        or directives.s_maxage is not None
    ):
        allowed += asked.max_stale
    if asked.no_cache:
        allowed = 0.0
    if asked.max_age is not None and not (
        # A reload says max-age=0. Who sent a response as immutable said that asking again
        # is pointless while it is fresh; no-cache asks all the same (RFC 8246 section 2).
        fresh and (directives.immutable or rules.immutable)
    ):
        allowed = min(allowed, asked.max_age - age)
    if asked.min_fresh is not None:
        allowed = min(allowed, remaining - asked.min_fresh)
    if allowed > 0:
        return Deliver(stored, age, now + allowed)
    if asked.only_if_cached:
        return Refuse()
    return Validate(stored, Forwarded.REQUEST if fresh else Forwarded.STALE)
