"""A tree of path segments, into which the globs of many routes are merged.

A look-up costs the same for ten routes and for ten thousand: it follows the segments of the
path, and several ways at once only where segments with stars overlap.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from gateway.routing import glob
from gateway.routing.route import Route

Ranked: TypeAlias = tuple[int, Route]
"""A route and its rank; the lowest rank that matches wins."""
Choice: TypeAlias = tuple[Ranked, ...]
"""Routes by rank, all with conditions but the last, which may have none."""
_NO_METHODS: Mapping[bytes, Choice] = MappingProxyType({})
_ANY = b""
"""Stands for every method that no route names."""


@dataclass(slots=True)
class _Node:
    """Where a path may be after some of its segments, and what matches from there."""

    children: "dict[bytes, _Node]" = field(default_factory=dict)
    wild: "dict[bytes, tuple[re.Pattern[bytes], _Node]]" = field(default_factory=dict)
    """Segments with a star in them."""
    here: dict[bytes, list[Ranked]] = field(default_factory=dict)
    """The best routes for a path that ends here, by method."""
    below: dict[bytes, list[Ranked]] = field(default_factory=dict)
    """...and for one that ends here or goes on."""
    ends: Choice | None = None
    """Who takes a path that ends here; None when that takes a walk to find out."""
    leaves: Choice | None = None
    """...and one that goes on where no child does."""


class PathTree:
    """Finds the routes for a method and a normalised path; never changes once asked."""

    def __init__(self, ranked: Iterable[Ranked], last: Choice) -> None:
        """*ranked* come in the order of their ranks; *last* takes what none of them takes."""
        self._last = last
        self._root = _Node()
        self._depth = 0
        spelled_out: set[bytes] = set()
        methods: set[bytes] = set()
        for each in ranked:
            route = each[1]
            methods |= {method.encode("ascii") for method in methods_of(route)}
            for path in route.paths or ("/*",):
                segments, goes_on = glob.split(glob.normalise(path))
                self._add(segments, goes_on=goes_on, ranked=each)
                if not goes_on and not any(b"*" in segment for segment in segments):
                    spelled_out.add(b"/".join(segments))
        self._settle(self._root, last)
        # A path that a rule spells out needs no walk: its answer is known now.
        named = sorted(methods)
        self._known: dict[bytes, tuple[Mapping[bytes, Choice], Choice]] = {
            path: (
                {method: self._walk(method, path) for method in named} or _NO_METHODS,
                self._walk(_ANY, path),
            )
            for path in spelled_out
        }

    def choose(self, method: bytes, path: bytes) -> Choice:
        """Return the routes that may take the normalised *path* asked for with *method*."""
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

    def _walk(self, method: bytes, path: bytes) -> Choice:
        """Return the best routes for *path* by trying every way through the tree."""
        segments = path.split(b"/", self._depth)
        found: list[Sequence[Ranked]] = [self._last]
        waiting = [(self._root, 0)]
        while waiting:
            node, position = waiting.pop()
            _collect(found, node.below, method)
            if position == len(segments):
                _collect(found, node.here, method)
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
        return best_of(found)

    def _add(self, segments: Sequence[bytes], *, goes_on: bool, ranked: Ranked) -> None:
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

    def _settle(self, root: _Node, last: Choice) -> None:
        """Write the answers into the nodes to which only one way leads."""
        waiting = [(root, last)]
        while waiting:
            node, best = waiting.pop()
            if set(node.below) - {_ANY}:
                continue  # here and below, the method decides
            best = _joined(best, node.below)
            if not set(node.here) - {_ANY}:
                node.ends = _joined(best, node.here)
            if node.wild:
                continue
            node.leaves = best
            waiting += [(child, best) for child in node.children.values()]


def methods_of(route: Route) -> frozenset[str]:
    """Return the methods that *route* takes; none are all of them."""
    # HEAD asks for what GET would answer (RFC 9110 section 9.3.2): one rule for both.
    return route.methods | {"HEAD"} if "GET" in route.methods else route.methods


def best_of(found: Sequence[Sequence[Ranked]]) -> Choice:
    """Return the routes in *found* by rank, up to the first that takes everything."""
    lists = [each for each in found if each]
    if len(lists) == 1:
        return tuple(lists[0])
    # One route may have come by several of its globs: by its rank it is there once.
    ranked = sorted({rank: route for each in lists for rank, route in each}.items())
    for position, (_, route) in enumerate(ranked):
        if not is_conditional(route):
            return tuple(ranked[: position + 1])
    return tuple(ranked)


def is_conditional(route: Route) -> bool:
    """Return whether more than path, host and method decides about *route*."""
    return route.when is not None and route.when.beyond_host


def _enter(table: dict[bytes, list[Ranked]], ranked: Ranked) -> None:
    """Enter a route under its methods; after one that takes everything, none is asked."""
    if _is_closed(table.get(_ANY)):
        return
    for method in methods_of(ranked[1]) or {""}:
        listed = table.setdefault(method.encode("ascii"), [])
        if not _is_closed(listed) and (not listed or listed[-1][0] != ranked[0]):
            listed.append(ranked)


def _is_closed(listed: list[Ranked] | None) -> bool:
    return listed is not None and not (listed and is_conditional(listed[-1][1])) and bool(listed)


def _collect(
    found: list[Sequence[Ranked]], table: dict[bytes, list[Ranked]], method: bytes
) -> None:
    if table:
        named = table.get(method)
        if named is not None:
            found.append(named)
        others = table.get(_ANY)
        if others is not None and others is not named:
            found.append(others)


def _joined(best: Choice, table: dict[bytes, list[Ranked]]) -> Choice:
    listed = table.get(_ANY)
    return best if listed is None else best_of([best, listed])
