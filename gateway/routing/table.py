"""Which route a request takes.

The first route that matches wins, except that a route with ``cache: off`` wins wherever it
stands: a broad rule for caching can never expose a private path. Routes are kept in one tree
of paths for each host pattern, so that neither many paths nor many hosts make a look-up
longer; only routes that differ in nothing but their conditions are asked one by one.
"""

from collections.abc import Sequence
from dataclasses import replace

from gateway.policy.rules import CacheRules
from gateway.routing import hosts
from gateway.routing.conditions import Asked
from gateway.routing.route import Route
from gateway.routing.tree import Choice, PathTree, Ranked, best_of, is_conditional, methods_of

__all__ = ["ApiPassed", "RouteTable", "methods_of"]


class RouteTable:
    """Finds the route for a request; never changes."""

    def __init__(self, routes: Sequence[Route], fallback: Route) -> None:
        """*fallback* takes what none of *routes* takes; ``routes`` lists it last."""
        self.routes: tuple[Route, ...] = (*routes, fallback)
        everywhere: list[Ranked] = []
        by_host: dict[bytes, list[Ranked]] = {}
        ranked = sorted(routes, key=lambda route: not route.wins)  # stable
        for each in enumerate(ranked):
            when = each[1].when
            if when is None or not when.hosts:
                everywhere.append(each)
            else:
                for pattern in when.hosts:
                    by_host.setdefault(pattern.encode("ascii"), []).append(each)
        self._everywhere = PathTree(everywhere, ((len(routes), fallback),))
        self._by_host = {pattern: PathTree(each, ()) for pattern, each in by_host.items()}
        self.looks_at_fields = any(is_conditional(route) for route in routes) or bool(by_host)
        """Whether more than path and method may decide."""
        self.looks_at_cookies = any(
            route.when is not None and route.when.by_cookie for route in routes
        )
        """Whether another Cookie field might lead to another route."""

    def find(self, method: bytes, path: bytes) -> Route:
        """Return the route for a request that has nothing but *method* and *path*."""
        found = self._everywhere.choose(method, path)[0][1]
        return found if found.when is None else self.route(Asked(method, path))

    def route(self, asked: Asked) -> Route:
        """Return the route that takes *asked*."""
        choice = self._everywhere.choose(asked.method, asked.path)
        if self._by_host and asked.host:
            choice = self._with_host(choice, asked)
        for _, route in choice:
            if route.when is None or route.when.hold(asked):
                return route
        raise AssertionError("the last route takes everything")

    def _with_host(self, choice: Choice, asked: Asked) -> Choice:
        found: list[Choice] = []
        for pattern in hosts.patterns_for(asked.host):
            tree = self._by_host.get(pattern)
            if tree is not None:
                found.append(tree.choose(asked.method, asked.path))
        return best_of([choice, *found]) if found else choice


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
        return self._switched(super().find(method, path), path)

    def route(self, asked: Asked) -> Route:
        """Return the route, with its caching off for a path under ``/api``."""
        return self._switched(super().route(asked), asked.path)

    def _switched(self, route: Route, path: bytes) -> Route:
        if path.startswith(b"/api/") or path == b"/api":
            return self._passed[route.name]
        return route
