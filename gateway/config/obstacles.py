"""What keeps an answer from being stored, all of it, and the smallest change that would help.

Nothing here knows the conditions of RFC 9111: the code that decides about storing is asked
again and again, each time with the obstacle that it named out of the way, until it would
store. So the list is complete, and a change that is proposed is one that it agreed to.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from gateway.config.rehearsal import Rehearsed
from gateway.edge.asked import Bypassing, Settled
from gateway.edge.site import needs_identity
from gateway.edge.snapshot import Snapshot
from gateway.policy import storing
from gateway.policy.age import Arrival
from gateway.policy.freshness import CACHEABLE_BY_DEFAULT
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.storing import Unstorable
from gateway.routing.conditions import Asked, Conditions
from gateway.routing.identity import partition
from gateway.routing.route import Route
from gateway.routing.table import ApiPassed, RouteTable
from gateway.wire.fields import Fields, line
from gateway.wire.message import RequestHead, ResponseHead

_SECONDS = 60.0
"""The lifetime that is proposed where nobody gave one."""
_ERROR_SECONDS = 10.0
_MOST: Final = 16
"""Obstacles that are looked for; there are fewer kinds."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to the rules, as it would be written."""

    route: str
    """The route that it is made to."""
    key: str
    """The way to the key, joined with dots."""
    value: str
    caution: str | None = None
    """What has to be true for it to be safe."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One condition that isn't met."""

    word: str
    section: str
    """Where the condition stands: an RFC with its section, or the rules."""
    text: str
    change: Change | None
    """What to change in the rules; None when no rule can help."""
    elsewhere: str | None = None
    """Who else could help, and how, where no rule can."""


@dataclass(slots=True)
class _Case:
    """A request, its answer and the rules, with some obstacles out of the way."""

    request: RequestHead
    response: ResponseHead
    route: Route
    rules: CacheRules

    def change(self, key: str, value: str, caution: str | None = None) -> Change:
        return Change(self.route.name, key, value, caution)


_Removal: TypeAlias = Callable[[_Case], Obstacle]
"""Puts an obstacle out of the way, and says what it is."""


def obstacles(snapshot: Snapshot, rehearsed: Rehearsed, answer: ResponseHead) -> list[Obstacle]:
    """Return what keeps *answer*, as the origin sent it, from being stored; none when it is."""
    if isinstance(rehearsed.asked, Settled):
        text = "the gateway answers this itself, which takes no longer than a hit"
        return [Obstacle(rehearsed.asked.detail, "rules.yaml", text, None)]
    case = _Case(rehearsed.head, answer, rehearsed.route, rehearsed.route.cache)
    found: list[Obstacle] = []
    if not case.rules.enabled:
        found += _switched_off(snapshot, case)
    found += _not_asked(rehearsed, case)
    found += _not_stored(case, rehearsed.arrival)
    length = answer.fields.get(b"content-length") or b""
    if length.isdigit() and len(length) < 20 and int(length) > snapshot.object_bytes:
        text = f"it has {int(length)} bytes, and {snapshot.object_bytes} is the most that is kept"
        change = Change("", "tiers.memory.max_object", f"{int(length)}B")
        found.append(Obstacle("too-large", "rules.yaml", text, change))
    return found


def _switched_off(snapshot: Snapshot, case: _Case) -> Iterator[Obstacle]:
    """Yield each route that switches caching off, and go on with the one behind them."""
    table = snapshot.routes
    path = case.request.target.path
    if isinstance(table, ApiPassed) and (path == b"/api" or path.startswith(b"/api/")):
        plain = RouteTable(table.routes[:-1], table.routes[-1])
        yield Obstacle(
            Unstorable.OFF.value,
            "DISABLE_API_CACHE",
            "the environment switches caching under /api off",
            None,
            "unset DISABLE_API_CACHE and restart",
        )
        table = plain
        case.route = table.route(Asked.of(case.request, case.request.method, case.request.target))
        case.rules = case.route.cache
    for _ in table.routes:
        if case.rules.enabled or case.route.name not in {each.name for each in table.routes}:
            break
        off = case.route
        caution = "only if nothing personal is under it"
        if off is table.routes[-1]:
            change = case.change("cache", "{ttl: 60s}", caution)
            behind, case.rules = off, CacheRules(lifetime=_SECONDS)
        else:
            change = case.change("except", path.decode("latin-1"), caution)
            table = _without(table, off, path)
            behind = table.route(Asked.of(case.request, case.request.method, case.request.target))
            case.rules = behind.cache
        text = f'route "{off.name}" says "cache: off", which wins wherever it stands'
        yield Obstacle(Unstorable.OFF.value, Unstorable.OFF.section, text, change)
        case.route = behind
    else:
        return
    if not case.rules.enabled:  # a batch of several routes, one of which is off
        text = "the batch has a member that may not be cached, or whose lifetime is unknown"
        yield Obstacle(
            Unstorable.OFF.value,
            Unstorable.OFF.section,
            text,
            None,
            "ask for the members one by one to see which",
        )
        case.rules = replace(case.rules, enabled=True)


def _without(table: RouteTable, off: Route, path: bytes) -> RouteTable:
    """Return *table* with *off* leaving *path* to the others."""
    when = off.when or Conditions()
    spared = replace(off, when=replace(when, excepted=(*when.excepted, path.decode("latin-1"))))
    routes = [spared if route is off else route for route in table.routes[:-1]]
    return RouteTable(routes, table.routes[-1])


def _not_asked(rehearsed: Rehearsed, case: _Case) -> Iterator[Obstacle]:
    """Yield why the cache isn't asked, other than by ``cache: off``."""
    index = rehearsed.head.fields.index()
    for name in (b"if-match", b"if-unmodified-since"):
        if name in index:
            text = f"{name.decode().title()} asks the origin, which alone can answer it"
            yield Obstacle("condition", "RFC 9110 section 13.1", text, None, "leave it out")
    if isinstance(rehearsed.asked, Bypassing):
        if rehearsed.has_body and rehearsed.head.method in (b"GET", b"HEAD"):
            text = "the request has a body, which a cache key doesn't cover"
            yield Obstacle("body", "RFC 9110 section 9.3.1", text, None, "send none")
        if b"upgrade" in index:
            text = "the request asks to leave HTTP"
            yield Obstacle("upgrade", "RFC 9110 section 7.8", text, None)
    scope = case.rules.scope
    if needs_identity(scope) and partition(scope, rehearsed.identity) is None:
        who = "no organisation" if scope is Scope.ORG else "no user"
        if scope is Scope.MEMBER:
            who = "no user of an organisation"
        text = f"the scope is {scope.value}, and the request proves {who}"
        yield Obstacle(
            "no-identity",
            "RFC 9111 section 3.5",
            text,
            case.change("cache.scope", "public", "only if everybody gets the same answer"),
            "send the cookie that proves it, or assume one with --as",
        )
        case.rules = replace(case.rules, scope=Scope.PUBLIC)


def _not_stored(case: _Case, arrival: Arrival) -> Iterator[Obstacle]:
    """Yield what `storing.decide` names, until it would store."""
    for _ in range(_MOST):
        decision = storing.decide(case.request, case.response, case.rules, arrival)
        if isinstance(decision, storing.Store):
            return
        yield _REMOVALS[decision.why](case)


def _obstacle(
    why: Unstorable, text: str, change: Change | None, elsewhere: str | None = None
) -> Obstacle:
    return Obstacle(why.value, why.section, text, change, elsewhere)


def _off(case: _Case) -> Obstacle:
    case.rules = replace(case.rules, enabled=True)
    return _obstacle(Unstorable.OFF, 'the route says "cache: off"', None)


def _method(case: _Case) -> Obstacle:
    method = case.request.method.decode("latin-1")
    case.request = _asked(case, method=b"GET")
    if method == "HEAD":
        text = "a HEAD brings nothing to store; it is answered from what a GET left"
        return _obstacle(Unstorable.METHOD, text, None, "ask with GET")
    return _obstacle(Unstorable.METHOD, f"a {method} isn't answered from a store", None)


def _status_of_its_own(why: Unstorable, text: str) -> _Removal:
    def remove(case: _Case) -> Obstacle:
        case.response = ResponseHead(200, b"", case.response.fields)
        return _obstacle(why, text, None, "the origin has to answer otherwise")

    return remove


def _override(why: Unstorable, text: str, caution: str) -> _Removal:
    def remove(case: _Case) -> Obstacle:
        case.rules = replace(case.rules, overrides=case.rules.overrides | {why.value})
        change = case.change("cache.override", why.value, caution)
        return _obstacle(why, text, change)

    return remove


def _request_no_store(case: _Case) -> Obstacle:
    case.request = _asked(case, fields=case.request.fields.without({b"cache-control"}))
    text = "the request says no-store"
    return _obstacle(Unstorable.REQUEST_NO_STORE, text, None, "the client has to leave it out")


def _authorization(case: _Case) -> Obstacle:
    case.request = _asked(case, fields=case.request.fields.without({b"authorization"}))
    text = "the request carries Authorization, and the answer isn't meant for a shared cache"
    change = case.change(
        "cache.scope", "public", "only if everybody gets the same answer: credentials are stripped"
    )
    return _obstacle(
        Unstorable.AUTHORIZATION, text, change, "the origin can say public or s-maxage"
    )


def _vary(case: _Case) -> Obstacle:
    value = (case.response.fields.get(b"vary") or b"").decode("latin-1")
    named = {name.strip().lower().encode("latin-1") for name in value.split(",")}
    refused = case.rules.vary_bypass & named
    if refused and b"*" not in named:
        case.rules = replace(case.rules, vary_bypass=case.rules.vary_bypass - refused)
        name = min(refused).decode()
        text = f"the answer varies on {name}, for which the route says bypass"
        return _obstacle(
            Unstorable.VARY, text, case.change(f"cache.vary.{name}", "normalize", None)
        )
    case.response = _answered(case, without=b"vary")
    text = f'the answer says "Vary: {value}", so no other request matches it'
    return _obstacle(Unstorable.VARY, text, None, "the origin has to name the fields it looks at")


def _content_type(case: _Case) -> Obstacle:
    kind = (case.response.fields.get(b"content-type") or b"").decode("latin-1")
    kept = ", ".join(case.rules.content_types)
    case.rules = replace(case.rules, content_types=())
    text = f"the route keeps {kept} alone, and the answer is {kind or 'of no type'}"
    caution = "only if its paths really have such answers, the same for everybody in scope"
    plain = kind.partition(";")[0].strip()
    change = case.change("cache.content_type", plain, caution) if plain else None
    return _obstacle(Unstorable.CONTENT_TYPE, text, change)


def _lifeless(why: Unstorable) -> _Removal:
    def remove(case: _Case) -> Obstacle:
        return _unlived(why, case)

    return remove


def _unlived(why: Unstorable, case: _Case) -> Obstacle:
    status = case.response.status
    rules = case.rules
    if rules.scope is Scope.SHARED:
        # Such a file has no routes: what the rules say needs one.
        case.rules = replace(rules, scope=Scope.PUBLIC)
        caution: str | None = "only if everybody gets the same answer"
    else:
        caution = None
    given = rules.status_lifetimes.get(status)
    if status < 400 and status in CACHEABLE_BY_DEFAULT and given is None:
        if not rules.lifetime or rules.scope is Scope.SHARED:
            case.rules = replace(case.rules, lifetime=_SECONDS)
            text = (
                "the route says ttl: 0s, and without ETag or Last-Modified it can't be validated"
                if rules.lifetime == 0
                else "neither the origin nor the route gives it a lifetime"
            )
            return _obstacle(why, text, case.change("cache.ttl", "60s", caution))
    elif not given:
        seconds = _ERROR_SECONDS if status >= 400 else _SECONDS
        case.rules = replace(
            case.rules, status_lifetimes={**case.rules.status_lifetimes, status: seconds}
        )
        text = (
            f"a {status} lives by status_ttl alone, which doesn't name it"
            if status >= 400
            else f"a {status} isn't stored unless somebody gives it a lifetime"
        )
        change = case.change(f"cache.status_ttl.{status}", f"{seconds:.0f}s", caution)
        return _obstacle(why, text, change)
    # It has a lifetime: what remains is a no-cache without a validator.
    case.response = _answered(case, without=b"cache-control", plus=(b"ETag", b'"assumed"'))
    text = "no-cache wants it validated before each use, and it has no ETag or Last-Modified"
    return Obstacle(
        why.value,
        "RFC 9111 section 5.2.2.4",
        text,
        None,
        "the origin has to send a validator, or to leave no-cache out",
    )


_REMOVALS: Final[dict[Unstorable, _Removal]] = {
    Unstorable.OFF: _off,
    Unstorable.METHOD: _method,
    Unstorable.INTERIM: _status_of_its_own(Unstorable.INTERIM, "a 1xx isn't the answer yet"),
    Unstorable.NOT_MODIFIED: _status_of_its_own(
        Unstorable.NOT_MODIFIED, "a 304 renews what is stored, and is nothing by itself"
    ),
    Unstorable.PARTIAL: _status_of_its_own(Unstorable.PARTIAL, "a 206 is a part of an answer"),
    Unstorable.NOT_UNDERSTOOD: _status_of_its_own(
        Unstorable.NOT_UNDERSTOOD, "must-understand, with a status that we don't know"
    ),
    Unstorable.NO_STORE: _override(
        Unstorable.NO_STORE,
        "the origin says no-store",
        "only if the origin says so without meaning it",
    ),
    Unstorable.REQUEST_NO_STORE: _request_no_store,
    Unstorable.PRIVATE: _override(
        Unstorable.PRIVATE,
        "the origin says private: it is for one client's own cache",
        "only if the route's scope keeps apart whom the origin meant",
    ),
    Unstorable.AUTHORIZATION: _authorization,
    Unstorable.SET_COOKIE: _override(
        Unstorable.SET_COOKIE,
        "the answer sets a cookie, which is for one client",
        "only if the rest is for everybody in scope; the cookie itself is never stored",
    ),
    Unstorable.VARY: _vary,
    Unstorable.CONTENT_TYPE: _content_type,
    Unstorable.STATUS: _lifeless(Unstorable.STATUS),
    Unstorable.ERROR: _lifeless(Unstorable.ERROR),
    Unstorable.USELESS: _lifeless(Unstorable.USELESS),
}


def _asked(
    case: _Case, *, method: bytes | None = None, fields: Fields | None = None
) -> RequestHead:
    head = case.request
    return RequestHead(
        method or head.method,
        head.target,
        head.minor,
        head.host,
        head.fields if fields is None else fields,
    )


def _answered(
    case: _Case, *, without: bytes, plus: tuple[bytes, bytes] | None = None
) -> ResponseHead:
    fields = case.response.fields.without({without})
    if plus is not None:
        fields = fields.plus(line(*plus))
    return ResponseHead(case.response.status, b"", fields)


def rewritten(changes: Sequence[Change]) -> list[str]:
    """Return *changes* as the lines of YAML that they come to, one for each route's key."""
    lines = []
    cache: dict[str, list[str]] = {}
    for change in changes:
        if change.key.startswith("cache."):
            cache.setdefault(change.route, []).append(_entry(change))
        else:
            lines.append(f"{change.key}: {change.value}")
    for entries in cache.values():
        words = [entry.removeprefix("override: ") for entry in entries if "override: " in entry]
        others = [entry for entry in entries if "override: " not in entry]
        if words:
            others.append(f'override: [{", ".join(words)}], because: "say why this is right"')
        lines.append(f"cache: {{{', '.join(others)}}}")
    return lines


def _entry(change: Change) -> str:
    key = change.key.removeprefix("cache.")
    table, dot, name = key.partition(".")
    return f"{table}: {{{name}: {change.value}}}" if dot else f"{key}: {change.value}"
