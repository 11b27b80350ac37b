"""What results mean (`data/SCHEMA.md`, section 7), and how they are shown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.conformance.runner import Result
from tests.conformance.suite import Case, Group

KINDS: Final = ("required", "optimal", "check")
SCORING: Final = frozenset({"pass", "yes"})
_FAILED: Final = {"required": "fail", "optimal": "optional-fail", "check": "no"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a test came to."""

    case: Case
    group: str
    word: str
    """pass, fail, optional-fail, yes, no, retry, setup-fail, harness-fail, dependency-fail."""
    why: str
    """Which check didn't hold; empty when all did."""

    @property
    def scores(self) -> bool:
        """Whether it counts."""
        return self.word in SCORING


def judge(groups: Sequence[Group], results: Mapping[str, Result]) -> list[Verdict]:
    """Return the verdict on every test, in the suite's order."""
    cases = {case.id: case for group in groups for case in group.tests}
    words: dict[str, str] = {}

    def word(name: str) -> str:
        if name not in words:
            case = cases[name]
            broken = any(other in cases and word(other) not in SCORING for other in case.depends_on)
            words[name] = "dependency-fail" if broken else own_word(case, results[name])
        return words[name]

    verdicts = []
    for group in groups:
        for case in group.tests:
            result = results[case.id]
            why = "" if isinstance(result, bool) else f"{result[0]}: {result[1]}"
            verdicts.append(Verdict(case, group.id, word(case.id), why))
    return verdicts


def own_word(case: Case, result: Result) -> str:
    """Return what a result means where nothing that it depends on failed."""
    if isinstance(result, bool):
        return "yes" if case.kind == "check" else "pass"
    if result == ("Setup", "retry"):
        return "retry"
    if result[0] == "Setup":
        return "setup-fail"
    if result[0] == "AbortError":
        return "harness-fail"
    return _FAILED[case.kind]


def table(scores: Sequence[tuple[str, str, bool]]) -> str:
    """Return the score per group, for (group, kind, whether it scores) of every test."""
    passed: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    groups = list(dict.fromkeys(group for group, _, _ in scores))
    for group, kind, scored in scores:
        for row in (group, "all"):
            total[row, kind] += 1
            passed[row, kind] += scored
    lines = ["| group | required | optimal | check |", "| --- | ---: | ---: | ---: |"]
    for group in [*groups, "all"]:
        cells = [
            f"{passed[group, kind]}/{total[group, kind]}" if total[group, kind] else "-"
            for kind in KINDS
        ]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)
