"""`gateway check`: everything that is wrong with a rules file, or the policy it comes to."""

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from gateway.config import effective, rule_tests
from gateway.config.build import SWITCH, Examined, examine
from gateway.config.findings import Finding, Severity
from gateway.config.routes import Effective

_WIDEST_MATCH = 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_file_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def add_file_argument(parser: argparse.ArgumentParser) -> None:
    """Declare which file is read, and as what; shared by the commands that read one."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("rules.yaml"),
        metavar="FILE",
        help="the rules file (default: rules.yaml)",
    )
    parser.add_argument(
        "--origin", metavar="URL", help="check as `gateway serve --origin URL` would read it"
    )


def run(args: argparse.Namespace) -> int:
    """Check; return 1 when the file can't be used."""
    examined = examine(args.file, os.environ, args.origin)
    passed, count = 0, 0
    if examined.snapshot is not None:
        passed, count = rule_tests.run(examined.tests, examined.snapshot, examined.findings)
    if args.json:
        print(json.dumps(_as_json(args.file, examined, passed, count), indent=2))
    else:
        _print(args.file, examined, passed, count)
    return 1 if examined.findings.failed else 0


def _print(file: Path, examined: Examined, passed: int, count: int) -> None:
    for finding in examined.findings:
        print(finding.render())
    errors, warnings = _counts(examined.findings)
    if examined.snapshot is None:
        print(f"{file}: {_number(errors, 'error')}, {_number(warnings, 'warning')}")
        return
    if len(examined.findings):
        print()
    rows: list[tuple[str, ...]] = [("route", "line", "takes", "kept for", "shared by", "origin")]
    rows += [_row(each) for each in examined.routes]
    _print_table(rows)
    print()
    if examined.api_passed:
        print(f"{SWITCH} is set: nothing under /api is cached, whatever the table says")
    routes = _number(len(examined.routes), "route")
    origins = _number(len(examined.snapshot.origins), "origin")
    tests = f", {passed} of {_number(count, 'test')} passed" if count else ""
    told = f"{_number(errors, 'error')}, {_number(warnings, 'warning')}"
    print(f"{file}: {routes}, {origins}, {told}{tests}")


def _row(each: Effective) -> tuple[str, ...]:
    route = each.route
    if each.place is None:
        takes = "everything" if route.name == "all" else "everything else"
    else:
        takes = _clipped(route.paths) if route.paths else "every path"
        if route.methods:
            takes = f"{' '.join(sorted(route.methods))} {takes}"
    return (
        route.name,
        str(route.line or "-"),
        takes,
        effective.caching(each),
        effective.sharing(each),
        route.origin,
    )


def _clipped(paths: Sequence[str]) -> str:
    """Return as many of *paths* as fit, and how many more there are."""
    shown = paths[0]
    for count, path in enumerate(paths[1:], start=1):
        if len(shown) + len(path) > _WIDEST_MATCH:
            return f"{shown} and {len(paths) - count} more"
        shown = f"{shown} {path}"
    return shown


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


def _counts(findings: Iterable[Finding]) -> tuple[int, int]:
    severities = [finding.severity for finding in findings]
    return severities.count(Severity.ERROR), severities.count(Severity.WARNING)


def _number(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"


def _as_json(file: Path, examined: Examined, passed: int, count: int) -> dict[str, Any]:
    return {
        "file": str(file),
        "ok": not examined.findings.failed,
        "tests": {"passed": passed, "all": count},
        "findings": [_finding_as_json(finding) for finding in examined.findings],
        "routes": [effective.as_json(each) for each in examined.routes],
        "api_cache_disabled": examined.api_passed,
    }


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "severity": finding.severity.value,
        "file": None if place is None else place.source.name,
        "line": None if place is None else place.line,
        "column": None if place is None else place.column,
        "text": finding.text,
        "hint": finding.hint,
    }
