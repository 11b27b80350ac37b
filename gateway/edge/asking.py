"""What a request asks for: its route, who asks, the cache key, and the verdict.

Both lanes begin here, so that a fast answer and a slow one can't differ in what they decide.
"""

from gateway.edge import compress, forwarding, images, shelving, treatment
from gateway.edge.asked import Asking, Bypassing, Cacheable, Limited, Settled
from gateway.edge.site import Site, needs_identity
from gateway.policy import key as keys
from gateway.policy import reuse
from gateway.policy.images import of_source
from gateway.policy.rate import By
from gateway.policy.reuse import Forwarded, Verdict
from gateway.policy.rules import CacheRules, Scope
from gateway.routing.identity import ANONYMOUS, partition
from gateway.routing.route import Route
from gateway.storage.interface import Shelf
from gateway.storage.purges import Kind, Mode, Purge
from gateway.wire.framing import EMPTY, Framing
from gateway.wire.message import RequestHead, Target


def ask(site: Site, head: RequestHead, address: bytes, body: Framing) -> Asking:
    """Return what *head*, followed by *body*, asks for at this moment.

    *address* is the client's. Raises RequestRefused for what its route can't take.
    """
    route = site.batches.route(head.method, head.target, head)
    quota = b""
    limited = _limited(site, route, head) if route.rate_limits else None
    if route.guarded:
        treated = _treated(site, route, limited, head, address, body)
        if isinstance(treated, Settled):
            return treated
        quota = treated
    if route.compression is not None:
        compress.bucket(route, head)
    rules = route.cache
    why = reuse.bypasses(head, rules)
    if why is not None:
        return Bypassing(route, why, quota)
    if body is not EMPTY and body != EMPTY:
        # The body of a GET has no meaning for a cache (RFC 9110 section 9.3.1), but an
        # origin may heed it: its answer must not be shared with those who sent none.
        return Bypassing(route, Forwarded.BYPASS, quota)
    if b"upgrade" in head.fields.index() and forwarding.upgrade(head) is not None:
        return Bypassing(route, Forwarded.BYPASS, quota)
    now = site.clock()
    mine, until = _partition(site, head, rules, now)
    if mine is None:
        return Bypassing(route, Forwarded.BYPASS, quota)
    if route.images is not None:
        refused = images.want(route, route.images, head)
        if refused is not None:
            refused.quota = quota
            return refused
    if rules.key_headers or rules.key_cookies:
        mine = keys.narrowed(mine, head.fields, rules)
    mine = _by_scheme(mine, head)
    if route.divides_key:
        mine = _divided(mine, route)
    key = keys.cache_key(mine, head.host, head.target, rules.query)
    shelf, verdict = find(site, key, rules, head, now)
    by_cookie = (
        needs_identity(rules.scope)
        or bool(rules.key_cookies)
        or b"cookie" in rules.key_headers
        or site.snapshot.routes.looks_at_cookies
        or any(limit.by in _BY_COOKIE for limit in route.rate_limits)
    )
    return Cacheable(route, key, shelf, verdict, until, by_cookie, quota, limited)


_BY_COOKIE = frozenset({By.USER, By.ORG})


def find(
    site: Site,
    key: bytes,
    rules: CacheRules,
    head: RequestHead,
    now: float,
    *,
    waited: bool = False,
) -> tuple[Shelf | None, Verdict]:
    """Return what lies under *key* and what to do about *head*, which asks for it.

    *waited* is whether it has waited for every purge that there was when it came.
    """
    if not waited and site.fence is not None and not site.fence.current():
        # A purge may be missing. Whoever fetches learns of it first (`consulting.py`).
        return None, reuse.decide((), head, rules, now)
    shelf, verdict = _find_in_memory(site, key, rules, head, now)
    tiers = site.tiers
    if tiers is None or isinstance(verdict, reuse.Deliver):
        return shelf, verdict
    newest = 0.0 if shelf is None else shelf.variants[0].arrival.response_time
    found = tiers.at_hand(key, rules, newest)
    if not found:
        return shelf, verdict
    shelving.promote(site, key, found)
    return _find_in_memory(site, key, rules, head, now)


def _find_in_memory(
    site: Site, key: bytes, rules: CacheRules, head: RequestHead, now: float
) -> tuple[Shelf | None, Verdict]:
    shelf = site.memory.peek(key)
    if shelf is None:
        return None, reuse.decide((), head, rules, now)
    if shelf.checked != site.purges.serial or shelf.variants[0].rules is not rules:
        # Something was purged, or the rules were reloaded since.
        shelf = shelving.judge_anew(site, shelf, rules)
    return shelf, reuse.decide(() if shelf is None else shelf.variants, head, rules, now)


def _treated(
    site: Site,
    route: Route,
    limited: Limited | None,
    head: RequestHead,
    address: bytes,
    body: Framing,
) -> bytes | Settled:
    """Return what the gateway answers itself, else what the answer has to tell of limits."""
    settled = treatment.denied(route, address)
    if settled is not None:
        return settled
    quota = b""
    if limited is not None:
        told = site.limiter.spend(limited, address, site.monotonic())
        if isinstance(told, Settled):
            site.counters.limited[route.name] += 1
            return told
        quota = told
    settled = treatment.settled(route, head, address, body)
    if settled is None:
        return quota
    if settled.detail == treatment.PURGED:
        named = keys.normal_target(head.target, route.cache.query)
        site.spread(Purge(Kind.URL, named, head.host, Mode.HARD))
    settled.quota = quota
    return settled


def _limited(site: Site, route: Route, head: RequestHead) -> Limited:
    """Return by whom requests with *head* are counted."""
    identity = ANONYMOUS
    if any(limit.by in _BY_COOKIE for limit in route.rate_limits):
        identity = site.snapshot.identity.identify(head.fields.get(b"cookie"), site.clock())
    return site.limiter.limited(route, head, identity)


def _partition(
    site: Site, head: RequestHead, rules: CacheRules, now: float
) -> tuple[bytes | None, float]:
    if not needs_identity(rules.scope):
        return (b"" if rules.scope is Scope.SHARED else b"public"), float("inf")
    identity = site.snapshot.identity.identify(head.fields.get(b"cookie"), now)
    return partition(rules.scope, identity), identity.expires


def _by_scheme(mine: bytes, head: RequestHead) -> bytes:
    """Return the partition *mine* for the scheme of *head*; injective, as `narrowed`.

    An origin that is told by X-Forwarded-Proto answers plain http with a redirect to https,
    and whoever came by https must not be sent round in circles.
    """
    return b"\t" + mine if head.secure else mine


def _divided(mine: bytes, route: Route) -> bytes:
    """Return the partition *mine* for what *route* alone stores; injective, as `narrowed`."""
    name = route.name.encode("utf-8")
    return b"\r%d:%b%b" % (len(name), name, mine)


def key_of(site: Site, head: RequestHead, target: Target) -> bytes | None:
    """Return the key under which *target* would be looked up for whoever sent *head*.

    None when nothing can be stored for it. This is how an unsafe request finds what it
    made wrong (RFC 9111 section 4.4).
    """
    route = site.batches.route(b"GET", target, head)
    if not route.cache.enabled:
        return None
    mine, _ = _partition(site, head, route.cache, site.clock())
    if mine is None:
        return None
    if route.images is not None:
        target = of_source(target, route.images)
    mine = _by_scheme(keys.narrowed(mine, head.fields, route.cache), head)
    if route.divides_key:
        mine = _divided(mine, route)
    return keys.cache_key(mine, head.host, target, route.cache.query)
