"""May we send what isn't fresh (RFC 9111 section 4.2.4; RFC 5861)?

Two occasions: while a new response is fetched, which spares a client the wait, and in place
of an error, which spares it the error. Both end after a time that the origin, the route or
the client named, and neither goes against a word that demands validation. Durations are
seconds; staleness is how long ago a response ceased to be fresh.
"""

from typing import Final

from gateway.policy.directives import RequestDirectives
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.stored import StoredResponse

ERRORS: Final = frozenset({500, 502, 503, 504})
"""The statuses that RFC 5861 section 4 calls an error. 401, 403 and 429 say no to a client:
what it may not have now, it doesn't get from the store either."""


GONE: Final = frozenset({404, 410})
"""What an origin says of a file that its last release still had."""


def must_validate(stored: StoredResponse, rules: CacheRules) -> bool:
    """Return whether any use of *stored* is forbidden once it is stale.

    By the origin's word, or because a write made it wrong (RFC 9111 section 4.4).

    s-maxage implies proxy-revalidate (RFC 9111 section 5.2.2.10); where the route gives the
    lifetime instead of the origin, nobody heard the s-maxage, nor what it implies.
    """
    directives = stored.directives
    return (
        stored.invalid
        or directives.no_cache
        or directives.must_revalidate
        or directives.proxy_revalidate
        or (
            directives.s_maxage is not None
            and (rules.scope is Scope.SHARED or rules.lifetime is None)
        )
    )


def revalidation_window(stored: StoredResponse, rules: CacheRules) -> float:
    """Return how stale *stored* may be and still be sent while it is refreshed; 0 for never.

    The route's word on a success; on an error, which never inherits what a route says about
    successes, the origin's.
    """
    if must_validate(stored, rules):
        return 0.0
    window = rules.stale_while_revalidate
    if window is None or stored.status >= 400:
        window = stored.directives.stale_while_revalidate
    return window or 0.0


def gone_window(stored: StoredResponse, rules: CacheRules) -> float:
    """Return how stale *stored* may be and still be sent once its origin has it no more.

    0 for never: without a route's word, gone is gone.
    """
    if must_validate(stored, rules) or stored.status >= 400:
        return 0.0
    return rules.stale_if_gone or 0.0


def error_window(
    stored: StoredResponse, asked: RequestDirectives | None, rules: CacheRules
) -> float:
    """Return how stale *stored* may be and still be sent in place of an error; 0 for never.

    The client's word about its own request counts first. Then a route's; without routes the
    origin's is before what rules allow in general.
    """
    if must_validate(stored, rules) or stored.status >= 500:
        return 0.0
    if asked is not None:
        if asked.no_cache:
            return 0.0
        if asked.stale_if_error is not None:
            return float(asked.stale_if_error)
    origins = stored.directives.stale_if_error
    routes = rules.stale_if_error_for
    if rules.scope is Scope.SHARED or routes is None:
        routes = routes if origins is None else float(origins)
    return routes or 0.0
