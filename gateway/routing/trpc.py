"""tRPC batches: one request for several procedures (``/api/trpc/a.b,c.d?batch=1``).

A batch is as public as its most private member and lives as short as its shortest. Each
member is matched to its route by the path that it would have alone, so that a batch can't
reach around a route. What the routes say together is pure arithmetic on their rules.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.policy.rules import CacheRules, Heuristic, QueryRules, Scope
from gateway.routing.access import AccessList
from gateway.routing.conditions import Asked
from gateway.routing.route import Route
from gateway.routing.table import RouteTable
from gateway.wire.message import RequestHead, Target

MOST_MEMBERS: Final = 100
"""A longer batch isn't cached: matching it would cost more than a look-up saves."""
BATCH: Final = "trpc-batch"
"""The route of a batch whose members have different ones: one name, so that metrics and
logs have one label for what clients can combine at will."""

PROTOCOL: Final = "trpc"
"""What a route of the rules says that it speaks."""
_ONE: Final = b"batch=1"
_MEMOISED_BYTES: Final = 1024

_COMMA: Final = re.compile(rb",|%2c", re.IGNORECASE)
_OFF: Final = CacheRules(enabled=False)


def members(target: Target) -> tuple[bytes, ...] | None:
    """Return the path that each member of a batch would have alone; None for no batch.

    A batch is what the server takes for one: ``batch=1`` in the query. A batch of one counts.
    """
    if target.query is None or not _is_batch(target.query):
        return None
    folder, slash, procedures = target.path.rpartition(b"/")
    return tuple(folder + slash + name for name in _COMMA.split(procedures))


def _is_batch(query: bytes) -> bool:
    for parameter in query.split(b"&"):
        name, _, value = parameter.partition(b"=")
        if unquote_to_bytes(name) == b"batch" and unquote_to_bytes(value) == b"1":
            return True
    return False


def route_of(target: Target, find: Callable[[bytes], Route]) -> Route | None:
    """Return the route of a batch, made of those that *find* gives its members; None for none.

    Members of different origins can't be answered by either: the first one's gets the batch,
    as the server would, and nothing is cached.
    """
    paths = members(target)
    if paths is None:
        return None
    first = find(paths[0])
    if len(paths) > MOST_MEMBERS:
        return _passed(first)
    routes = [find(path) for path in dict.fromkeys(paths)]
    if all(route is first for route in routes):
        return first
    passed = _passed(first, routes)
    if any(_treatment(route) != _treatment(first) or route.divides_key for route in routes):
        return passed
    groups = tuple(dict.fromkeys(group for route in routes for group in route.groups))
    return replace(passed, cache=combined([route.cache for route in routes]), groups=groups)


class Batches:
    """The routes of batches in one table, remembered: clients send few different ones."""

    def __init__(self, table: RouteTable) -> None:
        self._table = table
        self.spoken = any(route.protocol == PROTOCOL for route in table.routes)
        """Whether any route speaks the protocol; else nothing is a batch."""
        self._guarded = any(
            route.access or route.answer is not None or route.rate_limits for route in table.routes
        )
        """Whether any route keeps requests from its origin: then every member is looked at."""
        self._remembered = lru_cache(maxsize=1024)(self._plain)

    def route(self, method: bytes, target: Target, head: RequestHead | None = None) -> Route:
        """Return the route for *target*, a batch or not.

        *head* is the request whose host, fields and cookies count; None has none of them.
        """
        table = self._table
        if head is not None and table.looks_at_fields:
            asked = Asked.of(head, method, target)
            if self.spoken and target.query is not None and b"batch" in target.query:
                batch = self._route_of(target, lambda path: table.route(replace(asked, path=path)))
                if batch is not None:
                    return batch
            return table.route(asked)
        if self.spoken and target.query is not None and b"batch" in target.query:
            remembered = len(target.path) <= _MEMOISED_BYTES
            plain = self._remembered if remembered else self._plain
            batch = plain(method, Target(target.path, target.query if not remembered else _ONE))
            if batch is not None and _is_batch(target.query):
                return batch
        return table.find(method, target.path)

    def _plain(self, method: bytes, target: Target) -> Route | None:
        return self._route_of(target, lambda path: self._table.find(method, path))

    def _route_of(self, target: Target, find: Callable[[bytes], Route]) -> Route | None:
        paths = members(target)
        if paths is None or len(paths) > MOST_MEMBERS:
            if paths is None:
                return None
            guarded = [find(path) for path in dict.fromkeys(paths)] if self._guarded else []
            return _passed(find(paths[0]), guarded)
        routes = [find(path) for path in dict.fromkeys(paths)]
        if not any(route.protocol == PROTOCOL for route in routes):
            return None
        return route_of(target, find)


def _passed(first: Route, routes: Sequence[Route] = ()) -> Route:
    """Return the route of a batch that isn't cached, and goes where *first* says.

    What any member's route keeps out stays out: a batch is no way around an access list, a
    limit, or what the gateway answers itself.
    """
    answered = next((route for route in routes if route.answer is not None), None)
    if answered is not None:
        return replace(answered, name=BATCH)
    return replace(
        first,
        name=BATCH,
        cache=_OFF,
        access=_admitting(routes or (first,)),
        rate_limits=tuple(
            dict.fromkeys(each for route in routes or (first,) for each in route.rate_limits)
        ),
        protocol=None,
        paths=(),
        methods=frozenset(),
        line=0,
        when=None,
        groups=(),
        because="",
    )


def _admitting(routes: Iterable[Route]) -> tuple[AccessList, ...]:
    """Return what must admit a client for it to see answers of all *routes*."""
    return tuple(dict.fromkeys(each for route in routes for each in route.access))


def _treatment(route: Route) -> tuple[object, ...]:
    """Return what happens to a request besides caching: it can't be two things at once."""
    return (
        route.origin,
        route.answer,
        route.rewrite,
        route.request_fields,
        route.response_fields,
        route.body_limit,
        route.timeouts,
    )


def combined(rules: Sequence[CacheRules]) -> CacheRules:
    """Return what holds for one answer that is made of answers under each of *rules*.

    Cached only if each may be. Every duration is the shortest; where one member leaves it to
    the origin and another doesn't, nobody knows the shorter of both: a lifetime like that
    isn't cached at all, and other durations are none.
    """
    first = rules[0]
    if all(one == first for one in rules):
        return first
    lifetimes = {one.lifetime is None for one in rules}
    # One answer has one type: what any member asks of it holds, and two can't both.
    types = {one.content_types for one in rules if one.content_types}
    if not all(one.enabled for one in rules) or len(lifetimes) > 1 or len(types) > 1:
        return _OFF
    return CacheRules(
        scope=_narrowest(one.scope for one in rules),
        lifetime=_shortest(one.lifetime for one in rules),
        browser_lifetime=_shortest(one.browser_lifetime for one in rules),
        immutable=all(one.immutable for one in rules),
        status_lifetimes=_shared_statuses([one.status_lifetimes for one in rules]),
        # What one route leaves out of the key may be what another's answer depends on.
        query=first.query if all(one.query == first.query for one in rules) else QueryRules(),
        key_headers=_union(one.key_headers for one in rules),
        key_cookies=_union(one.key_cookies for one in rules),
        stale_while_revalidate=_shortest(one.stale_while_revalidate for one in rules),
        stale_if_error_for=_shortest(one.stale_if_error_for for one in rules),
        stale_if_error_after=_most_patient(one.stale_if_error_after for one in rules),
        stale_if_gone=_shortest(one.stale_if_gone for one in rules),
        jitter=max(one.jitter for one in rules),
        heuristic=_most_careful([one.heuristic for one in rules]),
        early_refresh=min(one.early_refresh for one in rules),
        whole_for_range=all(one.whole_for_range for one in rules),
        content_types=next(iter(types), ()),
        vary_exact=frozenset().union(*(one.vary_exact for one in rules)),
        vary_bypass=frozenset().union(*(one.vary_bypass for one in rules)),
        overrides=frozenset.intersection(*(one.overrides for one in rules)),
    )


def _narrowest(scopes: Iterable[Scope]) -> Scope:
    """Return the scope that lets no member out further than it may go.

    One organisation's answer beside one user's is for that user, and only while that user
    is in that organisation: one who changes between two gets neither's in the other. SHARED
    goes by no identity, but its answer may depend on all of them.
    """
    found = set(scopes)
    if len(found) == 1:
        return found.pop()
    found.discard(Scope.PUBLIC)
    return found.pop() if len(found) == 1 and Scope.SHARED not in found else Scope.MEMBER


def _union(names: Iterable[tuple[bytes, ...]]) -> tuple[bytes, ...]:
    """Return all names that anybody keys by, in one order whoever comes first."""
    return tuple(sorted({name for some in names for name in some}))


def _shortest(durations: Iterable[float | None]) -> float | None:
    """Return the shortest; None when all leave it to the origin, 0 when only some do."""
    found = list(durations)
    named = [one for one in found if one is not None]
    if len(named) == len(found):
        return min(named)
    return 0.0 if named else None


def _most_patient(durations: Iterable[float | None]) -> float | None:
    found = list(durations)
    named = [one for one in found if one is not None]
    return max(named) if len(named) == len(found) else None


def _shared_statuses(lifetimes: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the errors that every member lets live, and how long the shortest does."""
    shared = set(lifetimes[0]).intersection(*lifetimes[1:])
    return {status: min(one[status] for one in lifetimes) for status in sorted(shared)}


def _most_careful(heuristics: Sequence[Heuristic | None]) -> Heuristic | None:
    named = [one for one in heuristics if one is not None]
    if len(named) < len(heuristics):
        return None
    return Heuristic(min(one.fraction for one in named), min(one.most for one in named))
