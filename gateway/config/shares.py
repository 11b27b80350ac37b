"""Whether some routes together take every request that another one takes at the same paths.

Requests that no route can tell apart are one case: for a method one that nobody names, for a
value one that is none of those written. There are few cases, so all of them are tried. What
routes ask with stars in values is taken for known only where it is written the same way.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.routing.values import ABSENT, PRESENT, ValueTest

if TYPE_CHECKING:
    from gateway.config.reach import Taker

_MOST_CASES = 4096
"""Beyond this something counts as left over: nobody writes such rules by hand."""
_ELSE = "\0else"
"""A value, or a method, that no rule writes out."""
_EVERYTHING = frozenset({PRESENT, "*"})

_Name = tuple[str, bytes]
"""Of what kind a value is, and under which name it is sent."""


def needed(taker: "Taker", others: Sequence["Taker"]) -> "list[Taker] | None":
    """Return those of *others* that take what *taker* takes, at paths that all of them match.

    None when a request is left to *taker*. Hosts and expressions count only where one of the
    others asks for no less than *taker* does.
    """
    fit = [each for each in others if each.asks_no_other_host(taker)]
    if not fit:
        return None
    mine = dict(_tests(taker))
    theirs = [dict(_tests(each)) for each in fit]
    names = sorted({name for tests in theirs for name in tests})
    methods = taker.methods or {method for each in fit for method in each.methods} | {_ELSE}
    choices = [
        _values(mine.get(name), [tests[name] for tests in theirs if name in tests])
        for name in names
    ]
    count = len(methods)
    for values in choices:
        count *= len(values)
    if count > _MOST_CASES:
        return None
    used: dict[Taker, None] = {}
    for method, *values in itertools.product(sorted(methods), *choices):
        case = dict(zip(names, values, strict=True))
        for each, tests in zip(fit, theirs, strict=True):
            if (not each.methods or method in each.methods) and all(
                _takes(test, case[name]) for name, test in tests.items()
            ):
                used[each] = None
                break
        else:
            return None
    return list(used)


def _tests(taker: "Taker") -> Iterator[tuple[_Name, list[ValueTest]]]:
    when = taker.when
    found: dict[_Name, list[ValueTest]] = {}
    for kind, tests in (("header", when.headers), ("cookie", when.cookies), ("query", when.query)):
        for test in tests:
            found.setdefault((kind, test.name), []).append(test)
    yield from found.items()


def _values(mine: list[ValueTest] | None, theirs: Iterable[list[ValueTest]]) -> list[str]:
    """Return the cases of one name that lead to the route: `ABSENT`, texts, and `_ELSE`.

    A pattern with a star stands for some value that fits it and nothing else that is written.
    One value is the hardest case: a name that is sent twice meets every test that one of its
    values meets, and `ABSENT` only where there is none.
    """
    written = {
        pattern
        for tests in (*theirs, mine or ())
        for test in tests
        for pattern in test.patterns
        if pattern not in (ABSENT, *_EVERYTHING)
    }
    cases = [ABSENT, _ELSE, *sorted(written)]
    return cases if mine is None else [case for case in cases if _takes(mine, case)]


def _takes(tests: list[ValueTest], case: str) -> bool:
    """Return whether each of *tests* surely lets *case* through."""
    return all(_lets(test, case) for test in tests)


def _lets(test: ValueTest, case: str) -> bool:
    if case == ABSENT:
        return ABSENT in test.patterns
    if _EVERYTHING & set(test.patterns) or case in test.patterns:
        return True
    return case != _ELSE and "*" not in case and test.holds((case.encode("utf-8"),))
