"""Which route a request takes.

The first route that matches wins, except that a route with ``cache: off`` wins wherever it
stands: a broad rule for caching can never expose a private path. The routes are merged
into one tree of path segments, so that a look-up costs the same for ten routes and for
ten thousand.
"""

import re
from collections.abc import Mapping, Sequence
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
    here: dict[bytes, _Ranked] = field(default_factory=dict)
    """The best route for a path that ends here, by method."""
    below: dict[bytes, _Ranked] = field(default_factory=dict)
    """...and for one that ends here or goes on."""
    ends: Route | None = None
    """Who takes a path that ends here; None when that takes a walk to find out."""
    leaves: Route | None = None
    """...and one that goes on where no child does."""


class RouteTable:
    """Finds the route for a method and a normalised path; never changes."""

    def __init__(self, routes: Sequence[Route], fallback: Route) -> None:
        """*fallback* takes what none of *routes* takes; ``routes`` lists it last."""
        self.routes: tuple[Route, ...] = (*routes, fallback)
        self._last: _Ranked = (len(routes), fallback)
        self._root = _Node()
        self._depth = 0
        spelled_out: set[bytes] = set()
        ranked = sorted(routes, key=lambda route: route.cache.enabled)  # stable
        for rank, route in enumerate(ranked):
            for path in route.paths or ("/*",):
                segments, goes_on = glob.split(glob.normalise(path))
                self._add(segments, goes_on=goes_on, ranked=(rank, route))
                if not goes_on and not any(b"*" in segment for segment in segments):
                    spelled_out.add(b"/".join(segments))
        self._settle(self._root, self._last)
        # A path that a rule spells out needs no walk: its answer is known now.
        methods = sorted({m.encode("ascii") for r in routes for m in methods_of(r)})
        self._known: dict[bytes, tuple[Mapping[bytes, Route], Route]] = {
            path: (
                {method: self._walk(method, path) for method in methods} or _NO_METHODS,
                self._walk(_ANY, path),
            )
            for path in spelled_out
        }

    def find(self, method: bytes, path: bytes) -> Route:
        """Return the route that takes the normalised *path* asked for with *method*."""
        known = self._known.get(path)
        if known is not None:
            return known[0].get(method, known[1])
        node = self._root
        # Where the tree has one way only, its nodes know the answer.
        for segment in path.split(b"/", self._depth):
            child = node.children.get(segment)
            if child is None:
                found = node.leaves
                break
            node = child
        else:
            found = node.ends
        return self._walk(method, path) if found is None else found

    def _walk(self, method: bytes, path: bytes) -> Route:
        """Return the best route for *path* by trying every way through the tree."""
        segments = path.split(b"/", self._depth)
        best = self._last
        waiting = [(self._root, 0)]
        while waiting:
            node, position = waiting.pop()
            best = _better(best, node.below, method)
            if position == len(segments):
                best = _better(best, node.here, method)
                continue
            segment = segments[position]
            child = node.children.get(segment)
            if child is not None:
                waiting.append((child, position + 1))
            waiting += [
                (beyond, position + 1)
                for matcher, beyond in node.wild.values()
                if matcher.fullmatch(segment)
            ]
        return best[1]

    def _add(self, segments: Sequence[bytes], *, goes_on: bool, ranked: _Ranked) -> None:
        # One more than the deepest pattern has: what is cut off together matches nothing.
        self._depth = max(self._depth, len(segments))
        node = self._root
        for segment in segments:
            if b"*" in segment:
                if segment not in node.wild:
                    node.wild[segment] = (glob.segment_matcher(segment), _Node())
                node = node.wild[segment][1]
            else:
                node = node.children.setdefault(segment, _Node())
        _enter(node.below if goes_on else node.here, ranked)

    def _settle(self, root: _Node, last: _Ranked) -> None:
        """Write the answers into the nodes to which only one way leads."""
        waiting = [(root, last)]
        while waiting:
            node, best = waiting.pop()
            if set(node.below) - {_ANY}:
                continue  # here and below, the method decides
            best = _better(best, node.below, _ANY)
            if not set(node.here) - {_ANY}:
                node.ends = _better(best, node.here, _ANY)[1]
            if node.wild:
                continue
            node.leaves = best[1]
            waiting += [(child, best) for child in node.children.values()]


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


def _enter(table: dict[bytes, _Ranked], ranked: _Ranked) -> None:
    """Enter a route under its methods; routes come best first, so the first one stays."""
    methods = methods_of(ranked[1])
    if _ANY in table:
        return
    for method in methods or {""}:
        table.setdefault(method.encode("ascii"), ranked)


def _better(best: _Ranked, table: dict[bytes, _Ranked], method: bytes) -> _Ranked:
    if not table:
        return best
    found = table.get(method) or table.get(_ANY)
    return best if found is None or found[0] > best[0] else found
