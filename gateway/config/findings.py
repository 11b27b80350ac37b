"""What is wrong with a rules file: each finding with its place, as people and editors read it.

A finding says what is wrong, where, and where it can what to do instead:

    rules.yaml:46:23: error: unknown key "tll" in routes[lists].cache
       46 |     cache: {scope: org, tll: 60s}
          |                         ^^^ did you mean "ttl"?

Lines and columns count from 1, as editors do.
"""

import difflib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

_WIDEST_LINE = 160
"""Columns of source shown; a key set on one line would fill the screen."""
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Source:
    """One file of rules: its name as the operator gave it, and its lines."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Some characters of one line."""

    source: Source
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


class Severity(StrEnum):
    """Whether the file can be used nevertheless."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell the operator."""

    severity: Severity
    place: Place | None
    """None for what stands in no file: a flag, the environment."""
    text: str
    hint: str | None = None
    """What to do, when that is known."""

    def render(self) -> str:
        """Return the finding with its line of source and a caret under the place."""
        # Both may repeat what stands in the file, which isn't always quoted.
        text, said = _printable(self.text), _printable(self.hint or "")
        if self.place is None:
            hint = f": {said}" if said else ""
            return f"{self.severity}: {text}{hint}"
        first = f"{self.place}: {self.severity}: {text}"
        lines = self.place.source.lines
        if not 0 < self.place.line <= len(lines):
            return f"{first} ({said})" if said else first
        shown, before, width = _window(lines[self.place.line - 1], self.place)
        caret = " " * before + "^" * width + (f" {said}" if said else "")
        return f"{first}\n{self.place.line:5} | {shown}\n      | {caret}"


class Findings:
    """Collects findings; all of them are told at once, not the first."""

    def __init__(self) -> None:
        self._all: list[Finding] = []
        self._told: set[tuple[str, int, int, str]] = set()
        """What stands in the defaults is found again with each route that inherits it."""

    def error(self, place: Place | None, text: str, hint: str | None = None) -> None:
        """Note what keeps the file from being used."""
        self._note(Finding(Severity.ERROR, place, text, hint))

    def warning(self, place: Place | None, text: str, hint: str | None = None) -> None:
        """Note what is legal and surely not meant."""
        self._note(Finding(Severity.WARNING, place, text, hint))

    def _note(self, finding: Finding) -> None:
        told = _order(finding)
        if told not in self._told:
            self._told.add(told)
            self._all.append(finding)

    @property
    def failed(self) -> bool:
        """Is there an error among them?"""
        return any(finding.severity is Severity.ERROR for finding in self._all)

    def __iter__(self) -> Iterator[Finding]:
        """Yield them in the order of the file; what has no place comes first."""
        return iter(sorted(self._all, key=_order))

    def __len__(self) -> int:
        return len(self._all)


def render(findings: Iterable[Finding]) -> str:
    """Return *findings* as text, one after another."""
    return "\n".join(finding.render() for finding in findings)


def quoted(text: str) -> str:
    """Return *text* in double quotes, clipped, and without what could steer a terminal."""
    clipped = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return f'"{_printable(clipped)}"'


def did_you_mean(
    word: str, known: Iterable[str], other_words: Mapping[str, str] | None = None
) -> str | None:
    """Return a question that names the right word, or None when nothing is near.

    *other_words* maps what other products call a thing to what it is called here.
    """
    candidates = list(known)
    lower = word.lower().replace("-", "_")
    right = (other_words or {}).get(lower)
    if right is None or right not in candidates:
        by_lower = {candidate.lower(): candidate for candidate in reversed(candidates)}
        near = difflib.get_close_matches(lower, by_lower, n=1, cutoff=0.6)
        right = by_lower[near[0]] if near else None
    return f'did you mean "{right}"?' if right is not None else None


def _order(finding: Finding) -> tuple[str, int, int, str]:
    if finding.place is None:
        return ("", 0, 0, finding.text)
    return (finding.place.source.name, finding.place.line, finding.place.column, finding.text)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _columns(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _window(line: str, place: Place) -> tuple[str, int, int]:
    """Return what to show of *line*, the columns before the caret, and the caret's width."""
    line = _printable(line.replace("\t", " "))
    start = min(place.column - 1, len(line))
    marked = line[start : start + place.width]
    first = 0
    if len(line) > _WIDEST_LINE:
        first = max(0, min(start - _WIDEST_LINE // 3, len(line) - _WIDEST_LINE))
    last = first + _WIDEST_LINE
    shown = ("…" if first else "") + line[first:last] + ("…" if last < len(line) else "")
    before = _columns(line[first:start]) + (1 if first else 0)
    return shown, before, max(1, _columns(marked[: last - start]))
