"""Which globs better globs leave nothing to: proven by a path, or by all short paths."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.reach import Automaton, Open, Taken, Taker, coverage
from tests.routing.test_table import GLOBS, naive_match

SHORT_PATHS = [
    "/" + "".join(letters)
    for length in range(6)
    for letters in itertools.product("abc/", repeat=length)
]
METHOD_SETS = st.frozensets(st.sampled_from(["GET", "POST", "PUT"]), max_size=2)
TAKERS = st.builds(Taker, GLOBS, st.just(1), METHOD_SETS)


def automaton(*takers: Taker) -> Automaton:
    made = Automaton()
    for taker in takers:
        made.add(taker)
    return made


def takes(taker: Taker, method: str, path: str) -> bool:
    return (not taker.methods or method in taker.methods) and naive_match(taker.glob, path)


@settings(max_examples=200, deadline=None)
@given(TAKERS, st.lists(TAKERS, max_size=5))
def test_reachable_is_shown_by_a_path_and_unreachable_holds_for_all_short_paths(
    taker: Taker, better: list[Taker]
) -> None:
    answer = coverage(taker, automaton(*better))

    # A method that no rule names stands for all the others.
    methods = taker.methods or {"GET", "POST", "PUT", "OTHER"}
    if isinstance(answer, Open):
        path = answer.path.replace(b"\0", b"-").decode()
        assert naive_match(taker.glob, path)
        assert any(not any(takes(b, m, path) for b in better) for m in methods)
    else:
        for path in SHORT_PATHS:
            if naive_match(taker.glob, path):
                assert all(any(takes(b, m, path) for b in better) for m in methods)


@settings(max_examples=200, deadline=None)
@given(TAKERS, st.lists(TAKERS, min_size=1, max_size=5))
def test_who_is_named_takes_every_request(taker: Taker, better: list[Taker]) -> None:
    answer = coverage(taker, automaton(*better))

    if isinstance(answer, Taken):
        assert isinstance(coverage(taker, automaton(*answer.by)), Taken)


def test_one_that_is_enough_alone_is_named_alone() -> None:
    one, other = Taker("/a/*", 1), Taker("/a/b", 2)

    assert coverage(Taker("/a/b", 3), automaton(one, other)) == Taken((one,))


def test_methods_add_up_but_never_to_all_of_them() -> None:
    better = automaton(Taker("/a", 1, frozenset({"GET"})), Taker("/a", 2, frozenset({"POST"})))

    assert isinstance(coverage(Taker("/a", 3, frozenset({"GET", "POST"})), better), Taken)
    assert isinstance(coverage(Taker("/a", 3), better), Open)


def test_globs_made_to_be_hard_end_in_time() -> None:
    hard = [Taker("/" + "*".join("ab" * n) + "*", n) for n in range(1, 9)]

    assert isinstance(coverage(Taker("/*a*", 99), automaton(*hard)), Open | Taken)
