"""From the tables under ``routes`` and ``defaults`` to routes with everything merged in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.config import spec, treatments
from gateway.config import spec_routes as routing
from gateway.config.cache_rules import because, cache_rules, groups
from gateway.config.findings import Findings, Place, did_you_mean, quoted
from gateway.config.spec_origins import ORIGINS
from gateway.config.tables import Setting, Settings, merged
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Scope
from gateway.routing.route import Route

ALL = "all"
"""The route that is implied when a file has none."""
DEFAULT = "default"
"""The route that takes what no other takes, in a file that has routes."""
_KNOWN_METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"}
    | {"PURGE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT"}
)


@dataclass(frozen=True, slots=True)
class Effective:
    """A route, and the settings that made it: for the commands that explain."""

    route: Route
    place: Place | None
    """Where it begins; None for a route that is implied."""
    cache: Setting[Settings | str] | None
    """What is written about caching, the defaults merged in; None when nothing is."""
    settings: Settings | None
    """What is written at all, the defaults merged in; None when nothing is."""
    origin: Place | None
    """Where its origin was named, if only by being the only one; None when by a flag."""
    paths: tuple[Setting[str], ...] = ()
    """Its globs, normalised; none match every path."""


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What a route inherits."""

    origin: str
    origin_place: Place | None
    cache: Setting[Settings | str] | None
    base: CacheRules
    """What holds where nothing is written."""
    table: Settings | None


def build(
    root: Settings,
    included: Sequence[Setting[Settings]],
    default_origin: str,
    origins: Collection[str],
    findings: Findings,
) -> tuple[list[Effective], Effective]:
    """Return the routes in the order of the file, and the one that takes the rest.

    *included* are the tables of routes from further files.
    """
    written = root.get(spec.ROUTES)
    has_routes = written is not None or bool(included)
    table = root.get(spec.DEFAULTS)
    defaults = _Defaults(
        default_origin,
        _default_origin_place(root, default_origin),
        None if table is None else table.values.get(spec.CACHE.name),
        CacheRules() if has_routes else OBEY_ORIGIN,
        table,
    )
    name = DEFAULT if has_routes else ALL
    fallback = Effective(
        Route(
            name,
            default_origin,
            cache_rules(defaults.cache, defaults.base, findings),
            groups=groups(defaults.cache),
            because=because(defaults.cache),
            **treatments.of_defaults(table),
        ),
        None,
        defaults.cache,
        table,
        defaults.origin_place,
    )
    names: dict[str, int] = {}
    routes = [
        _route(each.value, defaults, origins, names, findings)
        for each in (*(written or ()), *included)
    ]
    return routes, fallback


def _default_origin_place(root: Settings, name: str) -> Place | None:
    defaults = root.get(spec.DEFAULTS)
    if defaults is not None and defaults.get(spec.ROUTE_ORIGIN) is not None:
        return defaults.place_of(spec.ROUTE_ORIGIN)
    only = (root.get(ORIGINS) or {}).get(name)
    return None if only is None else only.place


def _route(
    table: Settings,
    defaults: _Defaults,
    origins: Collection[str],
    names: dict[str, int],
    findings: Findings,
) -> Effective:
    match = table.get(routing.MATCH)
    paths = () if match is None else match.get(routing.PATH) or ()
    methods = () if match is None else match.get(routing.METHODS) or ()
    if match is not None and not match.values and not findings.failed:
        findings.error(
            match.place,
            "match says nothing",
            'give a path or a method; what holds for every request belongs under "defaults"',
        )
    for method in methods:
        if method.value not in _KNOWN_METHODS:
            findings.warning(
                method.place,
                f"{quoted(method.value)} is no method that anybody registered",
                did_you_mean(method.value, _KNOWN_METHODS),
            )
    origin = table.get(spec.ROUTE_ORIGIN)
    if origin is not None and origin not in origins:
        findings.error(
            table.place_of(spec.ROUTE_ORIGIN),
            f"there is no origin {quoted(origin)}",
            did_you_mean(origin, origins) or f"known: {', '.join(origins)}",
        )
    cache = _merged_cache(defaults.cache, table.values.get(spec.CACHE.name))
    name = _name(table, paths, names, findings)
    route = Route(
        name=name,
        origin=origin or defaults.origin,
        cache=cache_rules(cache, defaults.base, findings),
        paths=tuple(dict.fromkeys(path.value for path in paths)),
        methods=frozenset(method.value for method in methods),
        protocol=table.get(spec.PROTOCOL),
        line=table.place.line,
        when=treatments.conditions(table, match),
        groups=groups(cache),
        because=because(cache),
        **treatments.of_route(table, defaults.table, name),
    )
    treatments.judge(route, table, findings)
    origin_place = defaults.origin_place if origin is None else table.place_of(spec.ROUTE_ORIGIN)
    settings = table if defaults.table is None else merged(defaults.table, table)
    return Effective(route, table.place, cache, settings, origin_place, paths)


def _name(
    table: Settings,
    paths: tuple[Setting[str], ...],
    names: dict[str, int],
    findings: Findings,
) -> str:
    """Return the route's name; one without a name is called after its first path."""
    name = table.get(spec.ROUTE_NAME)
    if name is None:
        wanted = paths[0].value if paths else f"line-{table.place.line}"
        name, count = wanted, 1
        while name in names:
            count += 1
            name = f"{wanted}#{count}"
    elif name == DEFAULT:
        findings.error(
            table.place_of(spec.ROUTE_NAME),
            f"the name {quoted(name)} is taken by the route for what no other route takes",
            "choose another",
        )
    elif name in names:
        findings.error(
            table.place_of(spec.ROUTE_NAME),
            f"there is another route {quoted(name)} on line {names[name]}",
            "names are metric labels: choose another",
        )
    names.setdefault(name, table.place.line)
    return name


def _merged_cache(
    base: Setting[Settings | str] | None, over: Setting[Settings | str] | None
) -> Setting[Settings | str] | None:
    if base is None or over is None:
        return over or base
    if isinstance(base.value, Settings) and isinstance(over.value, Settings):
        return Setting(merged(base.value, over.value), over.place)
    return over


def warn_about_scopes(
    routes: Collection[Effective], *, users: bool, orgs: bool, findings: Findings
) -> None:
    """Warn of routes that ask for an identity which nothing verifies: they store nothing."""
    for effective in routes:
        rules = effective.route.cache
        if effective.cache is None or not isinstance(effective.cache.value, Settings):
            continue
        cache = effective.cache.value
        if effective.place is None or not rules.enabled:
            continue
        if rules.scope is Scope.ORG and not orgs:
            findings.warning(
                cache.place_of(spec.SCOPE),
                f"route {quoted(effective.route.name)} never answers from the cache: "
                "its scope is org, and no organisation is verified",
                "give identity.org keys, or choose another scope",
            )
        stated = spec.SCOPE.name in cache.values or rules.lifetime is not None
        if rules.scope is Scope.USER and not users and stated:
            findings.warning(
                cache.place_of(spec.SCOPE if spec.SCOPE.name in cache.values else spec.TTL),
                f"route {quoted(effective.route.name)} never answers from the cache: "
                "its scope is user, and no user is known",
                "add identity.user, or choose another scope",
            )
