"""What holds for a route, value by value, and which line says so."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config import spec
from gateway.config import spec_routes as routing
from gateway.config.findings import Place
from gateway.config.routes import Effective
from gateway.config.spec import ROUTE_TABLE
from gateway.config.tables import Key, MapOf, Setting, Settings, Table
from gateway.config.units import show_duration
from gateway.policy.rules import Scope


@dataclass(frozen=True, slots=True)
class Held:
    """One value that holds for a route."""

    key: str
    """Its way down the tables, joined with dots."""
    value: str
    place: Place | None
    """Where it was written; None when it is built in."""


def values(effective: Effective) -> Iterator[Held]:
    """Yield what holds for a route, what is built in too."""
    route = effective.route
    for path in effective.paths:
        yield Held("match.path", path.value, path.place)
    if route.methods:
        yield Held("match.method", " ".join(sorted(route.methods)), effective.place)
    yield Held("origin", route.origin, effective.origin)
    if route.protocol is not None:
        yield Held("protocol", route.protocol, effective.place)
    yield from _treatment(effective)
    cache = effective.cache
    if cache is not None and isinstance(cache.value, str):
        yield Held("cache", cache.value, cache.place)
        return
    for held in _inside(spec.CACHE_TABLE.keys, cache and cache.value, "cache"):
        if held.key == "cache.scope" and held.place is None:
            yield Held(held.key, route.cache.scope.value, None)
        else:
            yield held


def _treatment(effective: Effective) -> Iterator[Held]:
    """Yield what is written for a route besides path, method, origin and cache."""
    settings = effective.settings
    if settings is None:
        return
    match = settings.get(routing.MATCH)
    if match is not None:
        for key, setting in match.each():
            if key is not routing.PATH and key is not routing.METHODS:
                yield from _written(f"match.{key.name}", key, setting)
    for key in ROUTE_TABLE.keys:
        if key.name in settings.values and key.name not in _TOLD_ELSEWHERE:
            yield from _written(key.name, key, settings.values[key.name])


_TOLD_ELSEWHERE = frozenset({"name", "match", "origin", "protocol", "cache"})


def _written(at: str, key: Key[Any], setting: Setting[Any]) -> Iterator[Held]:
    value = setting.value
    if isinstance(value, Settings):
        for inner, one in value.each():
            yield from _written(f"{at}.{inner.name}", inner, one)
    elif isinstance(key.shape, MapOf):
        for entry, one in value.items():
            yield Held(f"{at}.{entry}", key.shape.show_one(one.value), one.place)
    else:
        yield Held(at, key.shape.show(value), setting.place)


def _inside(keys: tuple[Key[Any], ...], table: Any, at: str) -> Iterator[Held]:
    """Yield the values under *keys*; *table* is None where nothing was written."""
    for key in keys:
        name = f"{at}.{key.name}"
        setting = table.values.get(key.name) if isinstance(table, Settings) else None
        inner = key.shape if isinstance(key.shape, Table) else None
        if inner is not None:
            yield from _inside(inner.keys, setting and setting.value, name)
        elif setting is None:
            if key.default is not None:
                yield Held(name, key.default, None)
        elif isinstance(key.shape, MapOf):
            for entry, one in setting.value.items():
                yield Held(f"{name}.{entry}", key.shape.show_one(one.value), one.place)
        else:
            yield Held(name, key.shape.show(setting.value), setting.place)


def caching(effective: Effective) -> str:
    """Return in a few words how long a route's responses are kept."""
    rules = effective.route.cache
    if effective.route.answer is not None:
        return "answered here"
    if not rules.enabled:
        return "off"
    return "as the origin says" if rules.lifetime is None else show_duration(rules.lifetime)


def as_json(effective: Effective) -> dict[str, Any]:
    """Return the policy of a route as JSON values; durations are seconds."""
    route, rules = effective.route, effective.route.cache
    cache: dict[str, Any] = {"enabled": rules.enabled}
    if rules.enabled:
        cache |= {
            "scope": rules.scope.value,
            "ttl": "origin" if rules.lifetime is None else rules.lifetime,
            "stale_while_revalidate": rules.stale_while_revalidate,
            "stale_if_error": {
                "for": rules.stale_if_error_for,
                "after": rules.stale_if_error_after,
            },
            "stale_if_gone": rules.stale_if_gone,
            "heuristic": None
            if rules.heuristic is None
            else {"fraction": rules.heuristic.fraction, "most": rules.heuristic.most},
            "jitter": rules.jitter,
            "early_refresh": rules.early_refresh > 0,
            "whole_for_range": rules.whole_for_range,
            "content_type": list(rules.content_types),
            "browser_ttl": rules.browser_lifetime,
            "immutable": rules.immutable,
            "status_ttl": {str(status): ttl for status, ttl in rules.status_lifetimes.items()},
            "query": {
                "sort": rules.query.sort,
                "ignore": list(rules.query.ignore),
                "only": None if rules.query.only is None else list(rules.query.only),
            },
            "headers": [name.decode() for name in rules.key_headers],
            "cookies": [name.decode() for name in rules.key_cookies],
            "groups": list(route.groups),
            "vary": {
                **{name.decode(): "exact" for name in sorted(rules.vary_exact)},
                **{name.decode(): "bypass" for name in sorted(rules.vary_bypass)},
            },
            "override": sorted(rules.overrides),
            "because": route.because or None,
        }
    return {
        "name": route.name,
        "line": route.line or None,
        "paths": list(route.paths),
        "methods": sorted(route.methods),
        "origin": route.origin,
        "protocol": route.protocol,
        "cache": cache,
        "treatment": {held.key: held.value for held in _treatment(effective)},
    }


def sharing(effective: Effective) -> str:
    """Return in a word who shares a route's responses."""
    rules = effective.route.cache
    if not rules.enabled:
        return "-"
    return "as the origin says" if rules.scope is Scope.SHARED else rules.scope.value
