"""Routes that can never match, because the routes before them take every request first.

Exact: the question whether some paths are contained in others is answered for the
languages that the globs describe, not for samples of them. The globs of all better routes
are merged into one automaton; walking a route's own globs along it either ends in a path
that only this route takes, or has seen every path taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from gateway.config.findings import Findings, Place, quoted
from gateway.config.routes import Effective
from gateway.config.shares import needed
from gateway.routing import hosts
from gateway.routing.conditions import Conditions
from gateway.routing.table import methods_of

_SLASH = ord("/")
_STAR = ord("*")
_OTHER = 0
"""Stands for every character that no glob spells out."""
_MOST_STEPS = 50_000
"""Beyond this a route counts as reachable: only globs made to be hard get there."""

_States: TypeAlias = frozenset[int]
_Edge = TypeVar("_Edge")


@dataclass(frozen=True, slots=True)
class Taker:
    """One glob of a route."""

    glob: str
    line: int
    methods: frozenset[str] = frozenset()
    """None are all of them."""
    off: bool = False
    host: str | None = None
    """The host pattern that is asked for; None for every host."""
    when: Conditions = Conditions()
    """What is asked besides; the hosts in it don't count."""
    route: int = 0
    """Tells the globs of one route from those of another."""
    excepted: bool = False
    """It isn't what the route takes, but what it leaves to others."""

    def asks_no_more_than(self, other: "Taker") -> bool:
        """Return whether whatever *other* asks for is enough here, path and method aside."""
        mine, theirs = self.when, other.when
        return self.asks_no_other_host(other) and all(
            any(test.implied_by(given) for given in given_tests)
            for tests, given_tests in (
                (mine.headers, theirs.headers),
                (mine.cookies, theirs.cookies),
                (mine.query, theirs.query),
            )
            for test in tests
        )

    def asks_no_other_host(self, other: "Taker") -> bool:
        """Return whether host, scheme and expression that *other* asks for are enough here."""
        if self.host is not None:
            if other.host is None:
                return False
            if not hosts.contains(self.host.encode("ascii"), other.host.encode("ascii")):
                return False
        mine = self.when.path_regex
        if self.when.secure is not None and self.when.secure is not other.when.secure:
            return False
        return mine is None or mine == other.when.path_regex


class Automaton:
    """Accepts the paths that some globs match, and knows which globs those are."""

    def __init__(self) -> None:
        self._arcs: dict[tuple[int, int], int] = {}
        """From a state over a character to a state."""
        self._stars: dict[int, int] = {}
        """From a state, over nothing, to one that stays itself over all but a slash."""
        self._tails: dict[int, int] = {}
        """From a state, over a slash, to one that stays itself over everything."""
        self._looping: set[int] = set()
        """The states that stars lead to."""
        self._endless: set[int] = set()
        """The states that tails lead to."""
        self._accepting: dict[int, list[Taker]] = {}
        self._count = 1
        self.alphabet: set[int] = set()

    def add(self, taker: Taker) -> None:
        """Accept the paths that the normalised glob of *taker* matches."""
        octets = taker.glob.encode("ascii")
        self.alphabet.update(octets)
        goes_on = octets.endswith(b"/*")
        state = 0
        for octet in octets[:-2] if goes_on else octets:
            if octet == _STAR:
                state = self._beyond(self._stars, state)
                self._looping.add(state)
            else:
                state = self._beyond(self._arcs, (state, octet))
        self._accepting.setdefault(state, []).append(taker)
        if goes_on:
            state = self._beyond(self._tails, state)
            self._endless.add(state)
            self._accepting.setdefault(state, []).append(taker)

    def _beyond(self, edges: dict[_Edge, int], edge: _Edge) -> int:
        if edge not in edges:
            edges[edge] = self._count
            self._count += 1
        return edges[edge]

    def start(self) -> _States:
        """Return where every path is after its leading slash."""
        return self.step(frozenset({0}), _SLASH)

    def step(self, states: _States, octet: int) -> _States:
        """Return where *states* lead over *octet*."""
        reached = set()
        for state in states:
            if (state, octet) in self._arcs:
                reached.add(self._arcs[state, octet])
            if state in self._endless or (state in self._looping and octet != _SLASH):
                reached.add(state)
            if octet == _SLASH and state in self._tails:
                reached.add(self._tails[state])
        for state in tuple(reached):
            after = self._stars.get(state)
            if after is not None:
                reached.add(after)
        return frozenset(reached)

    def spelled_out(self, states: _States, octet: int) -> bool:
        """Tell whether *octet* leads elsewhere than a character that no glob names."""
        return any((state, octet) in self._arcs for state in states)

    def accepting(self, states: _States) -> list[Taker]:
        """Return the globs that accept in *states*."""
        return [taker for state in states for taker in self._accepting.get(state, ())]


@dataclass(frozen=True, slots=True)
class Open:
    """A path that nothing better takes, for at least one of the methods."""

    path: bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """Every path is taken by these."""

    by: tuple[Taker, ...]
    """One alone, where one is enough."""


def coverage(taker: Taker, better: Automaton, excepted: Iterable[Taker] = ()) -> Open | Taken:
    """Tell whether the globs in *better* take every request that *taker* would.

    *excepted* are globs whose paths *taker* leaves to others.
    """
    own = Automaton()
    own.add(taker)
    for each in excepted:
        own.add(each)
    first = (own.start(), better.start())
    came_from: dict[tuple[_States, _States], bytes] = {first: b"/"}
    waiting = [first]
    alone: set[Taker] | None = None
    together: dict[Taker, None] = {}
    for mine, theirs in waiting:  # grows while it is walked: breadth first
        path = came_from[mine, theirs]
        accepting = own.accepting(mine)
        if accepting and not any(each.excepted for each in accepting):
            found = better.accepting(theirs)
            left = {each.route for each in found if each.excepted}
            standing = [each for each in found if not each.excepted and each.route not in left]
            takers = [each for each in standing if each.asks_no_more_than(taker)]
            if not _covered(taker.methods, takers):
                # Only together, if at all: each of them asks for more.
                used = needed(taker, standing)
                if used is None:
                    return Open(path)
                takers = used
            enough = {
                each
                for each in takers
                if each.asks_no_more_than(taker) and _covered(taker.methods, [each])
            }
            alone = enough if alone is None else alone & enough
            together.update(dict.fromkeys(takers))
        for octet in _octets(own, mine, better, theirs):
            after = (own.step(mine, octet), better.step(theirs, octet))
            if after[0] and after not in came_from:
                came_from[after] = path + (b"\x00" if octet == _OTHER else bytes([octet]))
                waiting.append(after)
        if len(waiting) > _MOST_STEPS:
            return Open(path)
    if alone:
        return Taken((min(alone, key=lambda each: each.line),))
    return Taken(tuple(together))


def _octets(own: Automaton, mine: _States, better: Automaton, theirs: _States) -> Iterable[int]:
    """Yield one octet for each way on; those that no glob names lead the same way."""
    yield _OTHER
    yield _SLASH
    for octet in own.alphabet | (better.alphabet if own.step(mine, _OTHER) else set()):
        if octet != _SLASH and (own.spelled_out(mine, octet) or better.spelled_out(theirs, octet)):
            yield octet


def _covered(methods: frozenset[str], takers: Iterable[Taker]) -> bool:
    together: set[str] = set()
    for taker in takers:
        if not taker.methods:
            return True
        together |= taker.methods
    return bool(methods) and methods <= together


def report_unreachable(routes: Sequence[Effective], findings: Findings) -> None:
    """Report the routes, and paths of routes, that better routes leave nothing to."""
    better = Automaton()
    # The order of RouteTable: what is off wins wherever it stands.
    ranked = sorted(routes, key=lambda each: not each.route.wins)
    for number, effective in enumerate(ranked, start=1):
        takers = _takers(effective, number)
        left = _excepted(effective, number)
        answers = [(taker, coverage(taker, better, left)) for taker in takers]
        taken = [(taker, answer) for taker, answer in answers if isinstance(answer, Taken)]
        if any(not answer.by for _, answer in taken):
            findings.error(
                effective.place,
                f"route {quoted(effective.route.name)} can never match: its own except leaves "
                "nothing to it",
                "remove the path, or the exception",
            )
        elif len(taken) == len(takers):
            by = dict.fromkeys(each for _, answer in taken for each in answer.by)
            findings.error(
                effective.place,
                f"route {quoted(effective.route.name)} can never match: {_who(by)} first",
                _why(by, effective),
            )
        else:
            for taker, answer in taken:
                findings.warning(
                    _place_of(taker, effective),
                    f"{quoted(taker.glob)} in route {quoted(effective.route.name)} can never "
                    f"match: {_who(answer.by)} first",
                    _why(answer.by, effective),
                )
        for taker in (*takers, *left):
            better.add(taker)


def _takers(effective: Effective, number: int) -> list[Taker]:
    route = effective.route
    methods = methods_of(route)
    when = route.when or Conditions()
    globs = [(path.value, path.place.line) for path in effective.paths] or [("/*", route.line)]
    return [
        Taker(glob, line, methods, route.wins, host, when, number)
        for glob, line in globs
        for host in when.hosts or (None,)
    ]


def _excepted(effective: Effective, number: int) -> list[Taker]:
    when = effective.route.when
    paths = () if when is None else when.excepted
    return [Taker(path, effective.route.line, route=number, excepted=True) for path in paths]


def _place_of(taker: Taker, effective: Effective) -> Place | None:
    for path in effective.paths:
        if path.value == taker.glob:
            return path.place
    return effective.place


def _who(takers: Iterable[Taker]) -> str:
    """Return who takes the requests, as the beginning of a sentence."""
    named = [f"{quoted(taker.glob)} on line {taker.line}" for taker in takers]
    if len(named) == 1:
        return f"{named[0]} takes every request"
    if len(named) > 4:
        named[3:] = [f"{len(named) - 3} more"]
    return f"{', '.join(named[:-1])} and {named[-1]} together take every request"


def _why(takers: Iterable[Taker], effective: Effective) -> str | None:
    later = any(taker.off and taker.line > effective.route.line for taker in takers)
    return '"cache: off" wins wherever it stands' if later else None
