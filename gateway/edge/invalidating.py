"""What an unsafe request makes wrong (RFC 9111 section 4.4; RFC 9875; the rules)."""

from collections.abc import Callable

from gateway.edge import asking, shelving
from gateway.edge.site import Site
from gateway.policy import groups, invalidation
from gateway.policy import key as keys
from gateway.storage.purges import Kind, Mode, Purge
from gateway.wire.message import RequestHead, ResponseHead


def invalidate(
    site: Site,
    request: RequestHead,
    response: ResponseHead,
    route: str,
    outdate: Callable[[bytes], None],
) -> None:
    """Forget what *request*, which *route* took, made wrong by the *response* that it got.

    *outdate* is told the keys whose fetches under way bring what is no longer true.
    """
    host = request.host
    for target in invalidation.targets(request, response):
        key = asking.key_of(site, request, target)
        if key is not None:
            site.memory.remove(key)
            outdate(key)
            rules = site.batches.route(b"GET", target, request).cache
            named = keys.normal_target(target, rules.query)
            site.spread(Purge(Kind.URL, named, host, Mode.VALIDATE))
    for group in groups.invalidated(request, response):
        site.spread(Purge(Kind.GROUP, group, host, Mode.VALIDATE))
    if 200 <= response.status < 400:
        _as_the_rules_say(site, request, route)


def _as_the_rules_say(site: Site, request: RequestHead, route: str) -> None:
    """Purge what the rules say that a write like this one makes wrong."""
    for on_write in site.snapshot.on_write:
        if on_write.covers(request.method, request.target.path):
            mode = Mode.HARD if on_write.hard else Mode.VALIDATE
            for group in shelving.labels(site, request, on_write.groups, route):
                site.spread(Purge(Kind.GROUP, group, mode=mode))
