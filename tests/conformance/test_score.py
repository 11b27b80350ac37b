"""How results become a score, by hand-made suites."""

from tests.conformance import score
from tests.conformance.runner import Result
from tests.conformance.suite import Case, Group


def a_case(name: str, kind: str = "required", *depends_on: str) -> Case:
    return Case(name, name, [], kind, list(depends_on))


def words(cases: list[Case], results: dict[str, Result]) -> dict[str, str]:
    verdicts = score.judge([Group("g", "g", cases)], results)
    return {verdict.case.id: verdict.word for verdict in verdicts}


def test_a_check_that_does_not_hold_is_named_for_the_kind_of_test() -> None:
    cases = [a_case("r"), a_case("o", "optimal"), a_case("c", "check"), a_case("s"), a_case("t")]
    unmet: Result = ("Assertion", "it didn't hold")

    assert words(
        cases,
        {"r": unmet, "o": unmet, "c": unmet, "s": ("Setup", "retry"), "t": ("AbortError", "")},
    ) == {"r": "fail", "o": "optional-fail", "c": "no", "s": "retry", "t": "harness-fail"}


def test_what_depends_on_a_failure_fails_however_far_away_and_whatever_it_answered() -> None:
    cases = [a_case("last", "required", "middle"), a_case("middle", "required", "first")]
    cases.append(a_case("first", "check"))

    assert words(cases, {"last": True, "middle": True, "first": ("Assertion", "")}) == {
        "last": "dependency-fail",
        "middle": "dependency-fail",
        "first": "no",
    }


def test_the_table_counts_each_group_and_all() -> None:
    shown = score.table([("a", "required", True), ("a", "required", False), ("b", "check", True)])

    assert shown.splitlines()[2:] == [
        "| a | 1/2 | - | - |",
        "| b | - | - | 1/1 |",
        "| all | 1/2 | - | 1/1 |",
    ]
