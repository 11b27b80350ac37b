"""Why a request gets the route, the key and the treatment that it gets.

Everything is asked of the code that serves (`rehearsal.py`). What keeps an answer from being
stored is found one by one: each obstacle is taken away in thought, until nothing is left or
nothing can be done about the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.config.rehearsal import Rehearsed, ignored_parameters, key_parts
from gateway.edge.asked import Bypassing, Settled
from gateway.policy import reuse, storing
from gateway.policy.age import arrived
from gateway.policy.reuse import Forwarded
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.storing import Unstorable
from gateway.routing import glob
from gateway.routing.conditions import Asked, Conditions
from gateway.routing.identity import partition
from gateway.routing.route import Route
from gateway.routing.table import RouteTable, methods_of
from gateway.wire.message import RequestHead, ResponseHead


@dataclass(frozen=True, slots=True)
class Passed:
    """A route that comes before, and why it doesn't take the request."""

    name: str
    line: int
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Something that keeps the answer from being stored."""

    word: str
    section: str
    """Where that is written: a section of an RFC, or the rules."""
    text: str
    remedy: str | None
    """The change of the rules that would take it away; None where none can."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What becomes of a request, and why."""

    route: str
    line: int
    earlier: tuple[Passed, ...]
    key: dict[str, str]
    ignored: tuple[str, ...]
    stored: bool
    lifetime: float | None
    """Seconds for which the answer would be fresh; None when it isn't stored."""
    groups: tuple[str, ...]
    obstacles: tuple[Obstacle, ...]
    answered: str | None
    """What the gateway answers itself; None when it asks cache or origin."""
    fields: dict[str, str] = field(default_factory=dict)
    """What the client is told about caching."""


def explain(rehearsed: Rehearsed, table: RouteTable) -> Explanation:
    """Return why *rehearsed*, made by the rules with *table*, came out so."""
    route = rehearsed.route
    stored = rehearsed.stored
    answered = rehearsed.asked.detail if isinstance(rehearsed.asked, Settled) else None
    told = rehearsed.response.fields
    return Explanation(
        route=route.name,
        line=route.line,
        earlier=tuple(_earlier(rehearsed.head, route, table.routes)),
        key=key_parts(rehearsed),
        ignored=tuple(ignored_parameters(rehearsed)) if rehearsed.key is not None else (),
        stored=stored is not None,
        lifetime=None if stored is None else stored.lifetime,
        groups=() if stored is None else tuple(g.decode("utf-8", "replace") for g in stored.groups),
        obstacles=() if answered or stored is not None else tuple(_obstacles(rehearsed)),
        answered=answered,
        fields={
            name.decode(): value.decode("latin-1")
            for lower, name, value in told.lines
            if lower in (b"cache-control", b"cdn-cache-control", b"vary", b"location")
        },
    )


def _earlier(head: RequestHead, taken: Route, routes: Sequence[Route]) -> list[Passed]:
    """Return the routes that would have been asked before *taken*, each with its reason."""
    found = []
    asked = Asked.of(head, head.method, head.target)
    ranked = sorted(routes, key=lambda route: not route.wins)
    for route in ranked:
        if route.name == taken.name:
            break
        found.append(Passed(route.name, route.line, tuple(_unmet(route, asked))))
    return found


def _unmet(route: Route, asked: Asked) -> list[str]:
    found = []
    if route.paths and not any(glob.matches(path, asked.path) for path in route.paths):
        found.append(f"path: {' '.join(route.paths)}")
    methods = methods_of(route)
    if methods and asked.method.decode("latin-1") not in methods:
        found.append(f"method: {' '.join(sorted(methods))}")
    return found + (route.when or Conditions()).unmet(asked)


_BYPASSED = {
    Forwarded.METHOD: (
        "method",
        "RFC 9110 section 9.2.3",
        "only GET and HEAD are answered from the cache",
    ),
    Forwarded.BYPASS: ("bypass", "RFC 9111 section 4", "the request passes the cache by"),
}


def _obstacles(rehearsed: Rehearsed) -> list[Obstacle]:
    found: list[Obstacle] = []
    head, rules, response = rehearsed.head, rehearsed.route.cache, rehearsed.given
    if not rules.enabled:
        found.append(_obstacle(Unstorable.OFF, rehearsed))
        rules = replace(rules, enabled=True)
    why = reuse.bypasses(head, rules)
    if why is not None:
        word, section, text = _BYPASSED.get(why, _BYPASSED[Forwarded.BYPASS])
        found.append(Obstacle(word, section, text, None))
        return found
    if rules.scope not in (Scope.PUBLIC, Scope.SHARED):
        if partition(rules.scope, rehearsed.identity) is None:
            found.append(
                Obstacle(
                    "identity",
                    "rules.yaml",
                    f"the scope is {rules.scope.value}, and who asks hasn't proven it",
                    "cache: {scope: public}, if everybody may have the answer",
                )
            )
    elif isinstance(rehearsed.asked, Bypassing) and rules is rehearsed.route.cache:
        found.append(
            Obstacle("body", "RFC 9110 section 9.3.1", "the request has a body, or upgrades", None)
        )
        return found
    return found + _unstorable(rehearsed, head, rules, response)


def _unstorable(
    rehearsed: Rehearsed, head: RequestHead, rules: CacheRules, response: ResponseHead
) -> list[Obstacle]:
    """Take one obstacle after the other away in thought."""
    found: list[Obstacle] = []
    for _ in range(len(Unstorable)):
        arrival = arrived(response.fields, rehearsed.now, rehearsed.now)
        decision = storing.decide(head, response, rules, arrival)
        if isinstance(decision, storing.Store):
            break
        why = decision.why
        found.append(_obstacle(why, rehearsed))
        if why in (Unstorable.NO_STORE, Unstorable.PRIVATE, Unstorable.SET_COOKIE):
            rules = replace(rules, overrides=rules.overrides | {why.value})
            if rules.scope is Scope.SHARED:
                break
        elif why is Unstorable.REQUEST_NO_STORE:
            head = replace(head, fields=head.fields.without({b"cache-control", b"pragma"}))
        elif why is Unstorable.VARY:
            response = replace(response, fields=response.fields.without({b"vary"}))
        elif why is Unstorable.AUTHORIZATION:
            head = replace(head, fields=head.fields.without({b"authorization"}))
        elif why is Unstorable.ERROR:
            rules = replace(rules, status_lifetimes={response.status: 60.0})
        elif why in (Unstorable.STATUS, Unstorable.USELESS) and rules.lifetime is None:
            rules = replace(rules, lifetime=60.0, status_lifetimes={response.status: 60.0})
        else:
            break
    return found


_TEXTS = {
    Unstorable.OFF: "the route says cache: off",
    Unstorable.METHOD: "only what a GET brought is kept",
    Unstorable.INTERIM: "it isn't the final response yet",
    Unstorable.NOT_MODIFIED: "a 304 updates what is stored, and is nothing by itself",
    Unstorable.PARTIAL: "a part of something isn't kept",
    Unstorable.NOT_UNDERSTOOD: "must-understand, with a status that isn't understood",
    Unstorable.NO_STORE: "the origin says no-store",
    Unstorable.REQUEST_NO_STORE: "the client says no-store",
    Unstorable.PRIVATE: "the origin says private",
    Unstorable.AUTHORIZATION: "the request has credentials, and nothing lets its answer be shared",
    Unstorable.SET_COOKIE: "the answer sets a cookie",
    Unstorable.VARY: "the answer varies on what no later request will match",
    Unstorable.STATUS: "nobody says for how long, and this status isn't kept by default",
    Unstorable.ERROR: "it is an error to which no status_ttl gives a lifetime",
    Unstorable.USELESS: "nobody says for how long, and it has no validator",
}


def _obstacle(why: Unstorable, rehearsed: Rehearsed) -> Obstacle:
    return Obstacle(why.value, why.section, _TEXTS[why], _remedy(why, rehearsed))


def _remedy(why: Unstorable, rehearsed: Rehearsed) -> str | None:
    status = rehearsed.given.status
    match why:
        case Unstorable.OFF:
            path = rehearsed.head.target.path.decode("latin-1")
            return f"except: {path} on this route, and a route for it that caches"
        case Unstorable.NO_STORE | Unstorable.PRIVATE | Unstorable.SET_COOKIE:
            return f'cache: {{override: [{why.value}], because: "..."}}'
        case Unstorable.ERROR:
            return f"cache: {{status_ttl: {{{status}: 10s}}}}"
        case Unstorable.STATUS | Unstorable.USELESS:
            if status < 300:
                return "cache: {ttl: 60s}"
            return f"cache: {{status_ttl: {{{status}: 60s}}}}"
        case _:
            return None


def as_json(explanation: Explanation) -> dict[str, Any]:
    """Return *explanation* as JSON values; durations are seconds."""
    return {
        "route": explanation.route,
        "line": explanation.line or None,
        "earlier": [
            {"route": each.name, "line": each.line, "unmet": list(each.why)}
            for each in explanation.earlier
        ],
        "key": explanation.key,
        "ignored": list(explanation.ignored),
        "stored": explanation.stored,
        "ttl": explanation.lifetime,
        "groups": list(explanation.groups),
        "obstacles": [
            {
                "word": each.word,
                "section": each.section,
                "text": each.text,
                "remedy": each.remedy,
            }
            for each in explanation.obstacles
        ],
        "answered": explanation.answered,
        "fields": explanation.fields,
    }
