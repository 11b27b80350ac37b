"""Further files: their routes come after those of the file that includes them.

A file that is included has routes and tests, and may include others, so that what holds for
everything stands in one place. None may come twice, and so none can include itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import document, spec
from gateway.config.findings import Findings, Place, quoted
from gateway.config.shapes import Refused
from gateway.config.spec_tests import TESTS
from gateway.config.tables import Setting, Settings

MOST_FILES = 256


@dataclass(frozen=True, slots=True)
class Included:
    """What further files have."""

    routes: tuple[Setting[Settings], ...] = ()
    tests: tuple[Setting[Settings], ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    """What was read, by the path of each file."""
    known: Mapping[str, bytes] | None = None
    """What was read there before; None reads it now."""

    def take(self, path: Path) -> bytes:
        """Return what *path*, which the rules refer to, has; raises OSError.

        It counts as part of the rules: who watches them watches it, too.
        """
        content = None if self.known is None else self.known.get(str(path))
        if content is None:
            content = path.read_bytes()
        self.files[str(path)] = content
        return content


def read(
    root: Settings,
    path: Path,
    environ: Mapping[str, str],
    findings: Findings,
    known: Mapping[str, bytes] | None = None,
) -> Included:
    """Return what the files have that *root*, the file at *path*, includes.

    *known* is what was read there before, by path; None reads it now.
    """
    reading = _Reading(environ, findings, known)
    reading.places[_resolved(path)] = None
    reading.follow(root, path)
    return Included(tuple(reading.routes), tuple(reading.tests), reading.contents, known)


def _resolved(path: Path) -> Path:
    """Return the one spelling of *path*: by another, a file could include itself."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # links in a circle, which opening will report
        return path.absolute()


class _Reading:
    """Files that are read one after another, each once."""

    def __init__(
        self, environ: Mapping[str, str], findings: Findings, known: Mapping[str, bytes] | None
    ) -> None:
        self._environ = environ
        self._findings = findings
        self._known = known
        self.routes: list[Setting[Settings]] = []
        self.tests: list[Setting[Settings]] = []
        self.contents: dict[str, bytes] = {}
        self.places: dict[Path, Place | None] = {}
        """Where each file is included; None for the first."""

    def follow(self, table: Settings, path: Path) -> None:
        """Read what *table*, the file at *path*, includes; its routes are taken already."""
        for named in table.get(spec.INCLUDE) or ():
            self._take(named, path.parent / named.value)

    def _take(self, named: Setting[str], path: Path) -> None:
        findings = self._findings
        resolved = _resolved(path)
        if resolved in self.places:
            before = self.places[resolved]
            findings.error(
                named.place,
                f"{quoted(named.value)} is included on {before} already"
                if before is not None
                else f"{quoted(named.value)} is the file that everything begins with",
                "no file may come twice: remove this one",
            )
            return
        self.places[resolved] = named.place
        if len(self.places) > MOST_FILES:
            if len(self.places) == MOST_FILES + 1:
                findings.error(named.place, f"more than {MOST_FILES} files are included")
            return
        content = self._content(named, path)
        if content is None:
            return
        self.contents[str(path)] = content
        _, node = document.parse(content, str(path), self._environ, findings)
        if node is None or (isinstance(node, document.Scalar) and node.is_nothing):
            return
        try:
            table = spec.INCLUDED.read(node, "", findings)
        except Refused:
            return
        routes, tests = table.get(spec.ROUTES), table.get(TESTS)
        self.routes += routes or ()
        self.tests += tests or ()
        self.follow(table, path)

    def _content(self, named: Setting[str], path: Path) -> bytes | None:
        if self._known is not None and str(path) in self._known:
            return self._known[str(path)]
        try:
            with path.open("rb") as file:
                return file.read(document.LARGEST_BYTES + 1)
        except OSError as error:
            self._findings.error(
                named.place,
                f"include: {quoted(named.value)} can't be read: {error.strerror}",
                "give the path of a file, relative to this one",
            )
            return None
