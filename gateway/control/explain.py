"""Why a request is answered as it is: the decisions of the data plane, told instead of acted on.

`explain` asks the code that serves: the route table, the identity verifier, the key, and what
decides about storing. What lies in a running gateway is for its workers to say, see
`explaining.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.config import rehearsal
from gateway.config.obstacles import Change, Obstacle, obstacles, rewritten
from gateway.config.rehearsal import Rehearsed
from gateway.edge.asked import Bypassing, Settled
from gateway.edge.snapshot import Snapshot
from gateway.policy import staleness
from gateway.policy.freshness import freshness_lifetime, is_anonymous
from gateway.policy.rules import CacheRules, Scope
from gateway.policy.storing import Store
from gateway.routing import glob, templates, trpc
from gateway.routing.conditions import Asked
from gateway.routing.identity import Identity
from gateway.routing.route import Route
from gateway.routing.table import methods_of
from gateway.wire.message import RequestHead, ResponseHead

MOST_ROUTES = 20
"""Earlier routes that are told about: those nearest to the one that matched."""


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and the answer that is assumed for it."""

    method: str
    target: str
    """A path, perhaps with a query."""
    fields: Sequence[tuple[str, str]] = ()
    """Header fields of the request; Host, too."""
    who: Identity | None = None
    """Who is assumed to ask; None takes what the fields prove."""
    status: int = 200
    answer: Sequence[tuple[str, str]] = ()
    """Header fields of the origin's answer."""


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A route that comes before the one that matched, and why it didn't match."""

    route: str
    place: str
    why: list[str]


@dataclass(frozen=True, slots=True)
class Remedy:
    """The smallest change of the rules that would have the answer stored."""

    route: str
    place: str
    new_route: bool
    """Whether the route has to be written first: the one that matched is implied."""
    lines: list[str]
    """YAML for the route's table, or for the top of the file where *route* is empty."""
    cautions: list[str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything there is to say about one request; durations are seconds."""

    method: str
    host: str
    target: str
    """As routes and origins see it: normalised."""
    route: str
    place: str
    """``file:line:column``, or "implied"."""
    origin: str
    earlier: list[NotTaken]
    earlier_left_out: int
    """How many more come before, and don't match either."""
    members: dict[str, str]
    """The route of each member of a batch; empty where it is none."""
    scope: str
    identity: dict[str, bool]
    """What was proven: ``user``, ``org``."""
    key: dict[str, str]
    """The parts of the cache key; empty where the cache isn't asked."""
    ignored: dict[str, str]
    """What of the request is left out of the key, with the reason."""
    asks_cache: bool
    bypass: str | None
    """Why the cache isn't asked, in the words of RFC 9211."""
    answered_here: int | None
    """The status, where the gateway answers itself; None where the origin does."""
    stored: bool
    ttl: float | None
    """None when it isn't stored."""
    ttl_from: str | None
    """Whose word the ttl is: ``route``, ``max-age``, ``s-maxage``, ``expires``..."""
    stale_while_revalidate: float | None
    stale_if_error: float | None
    groups: list[str]
    told: list[str]
    """What the client is told about caching, field by field."""
    obstacles: list[Obstacle]
    remedies: list[Remedy]
    """What to change; empty when it is stored, or when no rule can help."""
    doubt: str | None
    """What the origin says without effect; None when all of it has one."""
    helpless: bool
    """Whether it isn't stored and no change of the rules alone would help."""
    cache_key: bytes = field(default=b"", repr=False)
    """For asking a worker; it isn't shown."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values; the names are the contract of ``GET /-/explain``."""
        return {
            "request": {"method": self.method, "host": self.host, "target": self.target},
            "route": {
                "name": self.route,
                "place": self.place,
                "origin": self.origin,
                "members": self.members,
            },
            "earlier": [
                {"route": each.route, "place": each.place, "why": each.why} for each in self.earlier
            ],
            "earlier_left_out": self.earlier_left_out,
            "scope": self.scope,
            "identity": self.identity,
            "key": self.key,
            "ignored": self.ignored,
            "asks_cache": self.asks_cache,
            "bypass": self.bypass,
            "answered_here": self.answered_here,
            "stored": self.stored,
            "ttl": self.ttl,
            "ttl_from": self.ttl_from,
            "stale_while_revalidate": self.stale_while_revalidate,
            "stale_if_error": self.stale_if_error,
            "groups": self.groups,
            "told": self.told,
            "obstacles": [
                {
                    "word": each.word,
                    "section": each.section,
                    "text": each.text,
                    "change": None
                    if each.change is None
                    else {"key": each.change.key, "value": each.change.value},
                    "elsewhere": each.elsewhere,
                }
                for each in self.obstacles
            ],
            "remedies": [
                {
                    "route": each.route,
                    "place": each.place,
                    "new_route": each.new_route,
                    "lines": each.lines,
                    "cautions": each.cautions,
                }
                for each in self.remedies
            ],
            "doubt": self.doubt,
            "helpless": self.helpless,
        }


def explain(snapshot: Snapshot, question: Question, places: Mapping[str, str]) -> Explanation:
    """Return what *snapshot* makes of *question*.

    *places* says where each route stands, by its name; those that are missing are implied.

    Raises:
        RequestRefused: the request would be refused, whatever the rules say.

    """
    head = rehearsal.request(question.method, question.target, question.fields)
    rehearsed = rehearsal.rehearse(snapshot, head, question.who, question.status, question.answer)
    answer = rehearsal.answer(question.answer, question.status)
    route, rules = rehearsed.route, rehearsed.route.cache
    found = obstacles(snapshot, rehearsed, answer)
    stored = rehearsed.stored if not found else None
    earlier, left_out = _earlier(snapshot, head, route, places)
    asked = rehearsed.asked
    return Explanation(
        method=question.method,
        host=head.host.decode("latin-1"),
        target=head.target.encode().decode("latin-1"),
        route=route.name,
        place=places.get(route.name, "implied"),
        origin=route.origin,
        earlier=earlier,
        earlier_left_out=left_out,
        members=_members(snapshot, head),
        scope=rules.scope.value if rules.enabled else "none",
        identity={
            "user": rehearsed.identity.user is not None,
            "org": rehearsed.identity.org is not None,
        },
        key=rehearsal.key_parts(rehearsed),
        ignored=_ignored(rehearsed),
        asks_cache=rehearsed.key is not None,
        bypass=asked.why.value if isinstance(asked, Bypassing) else None,
        answered_here=asked.response.status if isinstance(asked, Settled) else None,
        stored=stored is not None,
        ttl=None if stored is None else stored.lifetime,
        ttl_from=None if stored is None else _source(rehearsed, answer, rules),
        stale_while_revalidate=None
        if stored is None
        else staleness.revalidation_window(stored, rules),
        stale_if_error=None if stored is None else staleness.error_window(stored, None, rules),
        groups=_groups(rehearsed),
        told=[
            f"{name.decode('latin-1')}: {value.decode('latin-1')}"
            for lower, name, value in rehearsed.response.fields.lines
            if lower in (b"cache-control", b"cdn-cache-control", b"expires", b"location")
        ],
        obstacles=found,
        remedies=_remedies(snapshot, rehearsed, found, places),
        doubt=rehearsal.in_vain(rehearsed, answer),
        helpless=any(each.change is None for each in found),
        cache_key=rehearsed.key or b"",
    )


def _earlier(
    snapshot: Snapshot, head: RequestHead, taken: Route, places: Mapping[str, str]
) -> tuple[list[NotTaken], int]:
    """Return the routes that are asked before *taken*, nearest last, and how many more."""
    ranked = sorted(snapshot.routes.routes, key=lambda route: not route.wins)
    names = [route.name for route in ranked]
    before = ranked[: names.index(taken.name)] if taken.name in names else []
    asked = Asked.of(head, head.method, head.target)
    told = before[-MOST_ROUTES:]
    return (
        [
            NotTaken(each.name, places.get(each.name, "implied"), unmet(each, asked))
            for each in told
        ],
        len(before) - len(told),
    )


def unmet(route: Route, asked: Asked) -> list[str]:
    """Return what *asked* lacks for *route* to take it, in words; nothing when it would."""
    found = []
    if route.paths and not any(glob.matches(path, asked.path) for path in route.paths):
        shown = " ".join(route.paths[:4]) + (" ..." if len(route.paths) > 4 else "")
        found.append(f"path: {shown}")
    methods = methods_of(route)
    if methods and asked.method.decode("latin-1") not in methods:
        found.append(f"method: {' '.join(sorted(methods))}")
    if route.when is not None:
        found += route.when.unmet(asked)
    return found


def _members(snapshot: Snapshot, head: RequestHead) -> dict[str, str]:
    batches = trpc.Batches(snapshot.routes)
    paths = trpc.members(head.target) if batches.spoken else None
    if paths is None:
        return {}
    table = snapshot.routes
    found = {}
    for path in paths[: trpc.MOST_MEMBERS]:
        asked = Asked(head.method, path, head.target.query, head.host, head.fields)
        found[path.decode("latin-1")] = table.route(asked).name
    return found


def _ignored(rehearsed: Rehearsed) -> dict[str, str]:
    """Return what of the request doesn't count for the key, with the reason."""
    rules = rehearsed.route.cache
    if rehearsed.key is None:
        return {}
    found = {
        f"parameter {each.partition('=')[0]}": "cache.key.query leaves it out"
        for each in rehearsal.ignored_parameters(rehearsed)
    }
    index = rehearsed.head.fields.index()
    for name in (b"authorization", b"cookie"):
        if name in index and name not in rules.key_headers:
            if rules.scope is Scope.PUBLIC:
                chosen = " but for cache.key.cookies" if rules.key_cookies else ""
                reason = f"scope public: taken off before the fetch{chosen}"
            elif name == b"cookie" and rules.scope is not Scope.SHARED:
                reason = "only the proven identity counts"
            else:
                reason = "it doesn't tell answers apart unless Vary names it"
            found[f"header {name.decode()}"] = reason
    for name in index:
        if name not in (b"authorization", b"cookie") and name not in rules.key_headers:
            found[f"header {name.decode('latin-1')}"] = "unless the answer's Vary names it"
    return found


def _groups(rehearsed: Rehearsed) -> list[str]:
    head, route = rehearsed.head, rehearsed.route
    named = templates.groups(
        route.groups, rehearsed.identity, route.name, head.host, head.target.path
    )
    own = () if rehearsed.stored is None else rehearsed.stored.groups
    return [each.decode("utf-8", "replace") for each in dict.fromkeys((*own, *named))]


def _source(rehearsed: Rehearsed, answer: ResponseHead, rules: CacheRules) -> str | None:
    decision = rehearsed.decision
    if not isinstance(decision, Store):
        return None
    lifetime = freshness_lifetime(
        answer.status,
        answer.fields,
        decision.directives,
        rules,
        rehearsed.arrival,
        anonymous=is_anonymous(rehearsed.head.fields, rules),
    )
    return lifetime.source.value


def _remedies(
    snapshot: Snapshot, rehearsed: Rehearsed, found: list[Obstacle], places: Mapping[str, str]
) -> list[Remedy]:
    """Return the changes by the route that they are made to; none where they wouldn't do."""
    if not found or any(each.change is None for each in found):
        return []
    by_route: dict[str, list[Change]] = {}
    for each in found:
        if each.change is not None:
            by_route.setdefault(each.change.route, []).append(each.change)
    remedies = []
    implied = snapshot.routes.routes[-1].name
    for name, changes in by_route.items():
        new = name in (implied, trpc.BATCH)
        lines = rewritten(changes)
        if new:
            path = rehearsed.head.target.path.decode("latin-1")
            lines = [f"match: {{path: {path}}}", *lines]
        cautions = [each.caution for each in changes if each.caution is not None]
        place = "" if new or not name else places.get(name, "implied")
        remedies.append(Remedy("" if new else name, place, new, lines, cautions))
    return remedies
