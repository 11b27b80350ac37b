"""The public suite's dialogues hold, but for those that docs/conformance.md gives up by name."""

import asyncio
from collections.abc import Callable

import pytest

from tests.conformance import document, runner, score, suite
from tests.conformance.score import Verdict
from tests.conformance.suite import Case

GROUPS = suite.load()
CASES = [pytest.param(case, group.id, id=case.id) for group in GROUPS for case in group.tests]


@pytest.fixture(scope="module")
def page() -> str:
    return document.PAGE.read_text()


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Verdict]:
    """All dialogues, held at once in front of one gateway."""
    results = asyncio.run(runner.run(GROUPS, tmp_path_factory.mktemp("gateway")))
    return {verdict.case.id: verdict for verdict in score.judge(GROUPS, results)}


@pytest.mark.parametrize(("case", "group"), CASES)
def test_the_dialogue_ends_as_it_should(
    case: Case,
    group: str,
    verdicts: dict[str, Verdict],
    page: str,
    record_property: Callable[[str, object], None],
) -> None:
    verdict = verdicts[case.id]
    record_property("conformance", (group, case.kind, verdict.scores))
    given_up = document.exceptions(page)
    if case.kind == "check":
        recorded = document.answers(page).get(case.id)
        assert verdict.word == recorded, (
            f"the page says {recorded}; if the change is meant, renew it with "
            f"`python -m tests.conformance --document` ({verdict.why})"
        )
    elif case.id in given_up:
        assert case.kind == "optimal", "a required test can't be given up"
        assert not verdict.scores, "it passes by now; take it out of docs/conformance.md"
    else:
        assert verdict.word == "pass", verdict.why


def test_the_page_gives_up_only_tests_that_exist(page: str) -> None:
    cases = {case.id for group in GROUPS for case in group.tests}

    assert set(document.exceptions(page)) <= cases
    assert set(document.answers(page)) == {
        case.id for group in GROUPS for case in group.tests if case.kind == "check"
    }


def test_the_page_shows_the_score_of_this_run(verdicts: dict[str, Verdict], page: str) -> None:
    assert page == document.rewritten(page, list(verdicts.values()))
