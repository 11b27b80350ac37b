"""Which route a request takes.

The first route that matches wins, except that a route with ``cache: off`` wins wherever it
stands: a broad rule for caching can never expose a private path. The routes are merged
into one tree of path segments, so that a look-up costs the same for ten routes and for
ten thousand.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from gateway.policy.rules import CacheRules
from gateway.routing import glob
from gateway.routing.route import Route

_Ranked: TypeAlias = tuple[int, Route]
"""A route and its rank; the lowest rank that matches wins."""
_NO_METHODS: Mapping[bytes, Route] = MappingProxyType({})
_ANY = b""
"""Stands for every method that no route names."""


@dataclass(slots=True)
class _Node:
    """Where a path may be after some of its segments, and what matches from there."""

    children: "dict[bytes, _Node]" = field(default_factory=dict)
    wild: "dict[bytes, tuple[re.Pattern[bytes], _Node]]" = field(default_factory=dict)
    """Segments with a star in them."""
    here: dict[bytes, _Ranked] | None = None
    """The best route for a path that ends here, by method."""
    below: dict[bytes, _Ranked] | None = None
    """...and for one that ends here or goes on."""


class RouteTable:
    """Finds the route for a method and a normalised path; never changes."""

    def __init__(self, routes: Sequence[Route], fallback: Route) -> None:
        """*fallback* takes what none of *routes* takes; ``routes`` lists it last."""
        self.routes: tuple[Route, ...] = (*routes, fallback)
        self._methods = sorted({m.encode("ascii") for r in routes for m in methods_of(r)})
        self._last: _Ranked = (len(routes), fallback)
        self._root = _Node()
        ranked = [
            *(r for r in routes if not r.cache.enabled),
            *(r for r in routes if r.cache.enabled),
        ]
        whole: set[bytes] = set()
        for rank, route in enumerate(ranked):
            for path in route.paths or ("/*",):
                segments, goes_on = glob.split(glob.normalise(path))
                self._add(segments, goes_on=goes_on, ranked=(rank, route))
                if not goes_on and not any(b"*" in segment for segment in segments):
                    whole.add(b"/".join(segments))
        # A path that a rule spells out needs no walk: its answer is known now.
        self._known: dict[bytes, tuple[Mapping[bytes, Route], Route]] = {
            path: (self._by_method(path), self._walk(_ANY, path)) for path in whole
        }

    def find(self, method: bytes, path: bytes) -> Route:
        """Return the route that takes the normalised *path* asked for with *method*."""
        known = self._known.get(path)
        if known is not None:
            return known[0].get(method, known[1])
        return self._walk(method, path)

    def _walk(self, method: bytes, path: bytes) -> Route:
        best = self._last
        node = self._root
        for position, segment in enumerate(segments := path.split(b"/")):
            if node.wild:
                return self._fork(node, segments, position, method, best)[1]
            child = node.children.get(segment)
            if child is None:
                return best[1]
            node = child
            if node.below is not None:
                best = _better(best, node.below, method)
        if node.here is not None:
            best = _better(best, node.here, method)
        return best[1]

    def _fork(
        self, node: _Node, segments: list[bytes], position: int, method: bytes, best: _Ranked
    ) -> _Ranked:
        """Walk on where several nodes may match the next segment: try each."""
        if node.below is not None:
            best = _better(best, node.below, method)
        if position == len(segments):
            return best if node.here is None else _better(best, node.here, method)
        segment = segments[position]
        child = node.children.get(segment)
        if child is not None:
            best = self._fork(child, segments, position + 1, method, best)
        for matcher, wild in node.wild.values():
            if matcher.fullmatch(segment):
                best = self._fork(wild, segments, position + 1, method, best)
        return best

    def _by_method(self, path: bytes) -> Mapping[bytes, Route]:
        if not self._methods:
            return _NO_METHODS
        return {method: self._walk(method, path) for method in self._methods}

    def _add(self, segments: Iterable[bytes], *, goes_on: bool, ranked: _Ranked) -> None:
        node = self._root
        for segment in segments:
            if b"*" in segment:
                if segment not in node.wild:
                    node.wild[segment] = (glob.segment_matcher(segment), _Node())
                node = node.wild[segment][1]
            else:
                node = node.children.setdefault(segment, _Node())
        if goes_on:
            node.below = _with(node.below, ranked)
        else:
            node.here = _with(node.here, ranked)


class ApiPassed(RouteTable):
    """A table in which nothing under ``/api`` is cached, whatever the rules say.

    Each request keeps its route, and so its origin and its label; only the caching is off.
    """

    def __init__(self, routes: Sequence[Route], fallback: Route) -> None:
        super().__init__(routes, fallback)
        off = CacheRules(enabled=False)
        self._passed = {route.name: replace(route, cache=off) for route in self.routes}

    def find(self, method: bytes, path: bytes) -> Route:
        """Return the route, with its caching off for a path under ``/api``."""
        route = super().find(method, path)
        if path.startswith(b"/api/") or path == b"/api":
            return self._passed[route.name]
        return route


def methods_of(route: Route) -> frozenset[str]:
    """Return the methods that *route* takes; none are all of them."""
    # HEAD asks for what GET would answer (RFC 9110 section 9.3.2): one rule for both.
    return route.methods | {"HEAD"} if "GET" in route.methods else route.methods


def _with(table: dict[bytes, _Ranked] | None, ranked: _Ranked) -> dict[bytes, _Ranked]:
    """Return *table* with a route more; routes come by rank, so the first of a method stays."""
    table = {} if table is None else table
    if _ANY in table:
        return table  # a better route takes every method already
    for method in methods_of(ranked[1]):
        table.setdefault(method.encode("ascii"), ranked)
    if not ranked[1].methods:
        table[_ANY] = ranked
    return table


def _better(best: _Ranked, table: dict[bytes, _Ranked], method: bytes) -> _Ranked:
    found = table.get(method) or table.get(_ANY)
    return best if found is None or found[0] > best[0] else found
