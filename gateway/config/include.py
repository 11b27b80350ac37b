"""Further files: their routes come after those of the file that includes them.

A file that is included has routes and tests alone, and includes nothing itself, so that what
holds for everything stands in one place, and no file can include itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import document, spec
from gateway.config.findings import Findings, quoted
from gateway.config.shapes import Refused
from gateway.config.spec_tests import TESTS
from gateway.config.tables import Setting, Settings


@dataclass(frozen=True, slots=True)
class Included:
    """What further files have."""

    routes: tuple[Setting[Settings], ...] = ()
    tests: tuple[Setting[Settings], ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    """What was read, by the path of each file."""


def read(
    root: Settings,
    folder: Path,
    environ: Mapping[str, str],
    findings: Findings,
    known: Mapping[str, bytes] | None = None,
) -> Included:
    """Return what the files under `include` have; paths are relative to *folder*.

    *known* is what was read there before, by path; None reads it now.
    """
    routes: list[Setting[Settings]] = []
    tests: list[Setting[Settings]] = []
    files: dict[Path, int] = {}
    contents: dict[str, bytes] = {}
    for named in root.get(spec.INCLUDE) or ():
        path = folder / named.value
        if path in files:
            findings.error(
                named.place, f"{quoted(named.value)} is included on line {files[path]} already"
            )
            continue
        files[path] = named.place.line
        try:
            if known is not None and str(path) in known:
                content = known[str(path)]
            else:
                with path.open("rb") as file:
                    content = file.read(document.LARGEST_BYTES + 1)
        except OSError as error:
            findings.error(
                named.place,
                f"include: {quoted(str(path))} can't be read: {error.strerror}",
                "give the path of a file, relative to this one",
            )
            continue
        contents[str(path)] = content
        _, node = document.parse(content, str(path), environ, findings)
        if node is None or (isinstance(node, document.Scalar) and node.is_nothing):
            continue
        try:
            table = spec.INCLUDED.read(node, "", findings)
        except Refused:
            continue
        more_routes, more_tests = table.get(spec.ROUTES), table.get(TESTS)
        routes += more_routes or ()
        tests += more_tests or ()
    return Included(tuple(routes), tuple(tests), contents)
