"""docs/conformance.md: the part that is written by hand, and the part that a run writes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.conformance import score
from tests.conformance.score import Verdict

PAGE: Final = Path(__file__).parents[2] / "docs" / "conformance.md"
_BEGIN: Final = "<!-- what follows is written by `python -m tests.conformance --document` -->"
_EXCEPTION: Final = re.compile(r"^\| `([^`]+)` \| (.+) \|$", re.MULTILINE)


def exceptions(page: str) -> dict[str, str]:
    """Return the ids of the optimal tests that the page gives up, with the reason of each."""
    written, _, _ = page.partition(_BEGIN)
    return dict(_EXCEPTION.findall(written))


def answers(page: str) -> dict[str, str]:
    """Return the recorded answer to each `check`."""
    _, _, generated = page.partition(_BEGIN)
    return {name: word.split(" ")[0] for name, word in _EXCEPTION.findall(generated)}


def generated(verdicts: Sequence[Verdict]) -> str:
    """Return what a run says: the score, and the answers to the checks."""
    rows = [
        f"| `{verdict.case.id}` | {verdict.word} | {verdict.case.name.strip().replace('|', '/')} |"
        for verdict in verdicts
        if verdict.case.kind == "check"
    ]
    table = score.table([(v.group, v.case.kind, v.scores) for v in verdicts])
    return "\n".join(
        [
            _BEGIN,
            "",
            "## The score",
            "",
            table,
            "",
            "## The answers to the checks",
            "",
            "| test | answer | what is asked |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def rewritten(page: str, verdicts: Sequence[Verdict]) -> str:
    """Return *page* with the part that a run writes made anew."""
    written, _, _ = page.partition(_BEGIN)
    return written + generated(verdicts)
