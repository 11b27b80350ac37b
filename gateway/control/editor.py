"""Changing the rules file from afar: checked first, written whole, and taken back if need be.

Who proposes a change names the version that it is based on, so that nobody's change is lost.
What was in force before is kept beside the gateway's state, the last fifty versions.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from gateway.config import effective, rule_tests
from gateway.config.build import Examined, examine
from gateway.config.findings import Severity
from gateway.control.channel import Settings
from gateway.control.rules_file import LONGEST_RULES, RulesFile
from gateway.errors import ConfigurationError

_VERSIONS_KEPT = 50
_VERSION_DIGITS = 16


class Refused(Exception):
    """A change that isn't made."""


class Outdated(Refused):
    """The file has changed since the version that a change is based on."""


class Unusable(Refused):
    """The rules have errors, or can't be written."""


class Told(msgspec.Struct, frozen=True):
    """One finding about a rules file."""

    severity: str
    file: str | None
    line: int | None
    column: int | None
    text: str
    hint: str | None


class Checked(msgspec.Struct, frozen=True):
    """What a rules file comes to."""

    ok: bool
    tests_passed: int
    tests: int
    findings: list[Told]
    routes: list[dict[str, Any]]
    """The effective policy, as `gateway show --json` tells it."""


class RouteChange(msgspec.Struct, frozen=True):
    """One value of one route that a proposal changes."""

    route: str
    key: str
    """``route`` where the route itself comes or goes."""
    before: str | None
    after: str | None


class Proposed(msgspec.Struct, frozen=True):
    """What a change of the rules would come to."""

    base: str
    version: str
    """Of the proposed text."""
    check: Checked
    changes: list[RouteChange]


class Written(msgspec.Struct, frozen=True):
    """The rules file."""

    file: str
    version: str
    text: str
    in_force: bool
    error: str | None
    """Why what the file says can't be used; None when it is in force."""
    routes: list[dict[str, Any]]
    """The effective policy of the rules in force."""


class Applied(msgspec.Struct, frozen=True):
    """A change that is in force in all workers."""

    version: str
    previous: str
    """What to roll back to."""


class Version(msgspec.Struct, frozen=True):
    """A version that was in force before."""

    version: str
    replaced: datetime
    bytes: int


class Editor:
    """Changes one rules file; one change at a time."""

    def __init__(self, rules: RulesFile, reload: Callable[[], Awaitable[bool]]) -> None:
        """*reload* takes the file into force; raises ConfigurationError when it can't be used."""
        self._rules = rules
        self._reload = reload
        self._folder = Path(rules.in_force.state_dir) / "rules-history"
        self._changing = asyncio.Lock()

    async def written(self) -> Written:
        """Return the file as it is; raises ConfigurationError when it can't be read."""
        settings = self._rules.in_force
        text = await asyncio.to_thread(self._read)
        examined, _ = await asyncio.to_thread(_examine, settings, settings.rules_text, inside=True)
        return Written(
            file=settings.rules,
            version=version_of(text),
            text=text.decode("utf-8", "replace"),
            in_force=text == settings.rules_text and self._rules.error is None,
            error=self._rules.error,
            routes=[effective.as_json(each) for each in examined.routes],
        )

    async def check(self, text: str) -> Checked:
        """Return what is to be said about *text* as a rules file."""
        _, checked = await asyncio.to_thread(_examine, self._rules.in_force, text.encode("utf-8"))
        return checked

    async def propose(self, text: str, base: str) -> Proposed:
        """Return what *text* would change in the version *base*; raises Outdated."""
        settings = self._rules.in_force
        self._expect(await asyncio.to_thread(self._read), base)
        before, _ = await asyncio.to_thread(_examine, settings, settings.rules_text, inside=True)
        after, checked = await asyncio.to_thread(_examine, settings, text.encode("utf-8"))
        changes = [] if not checked.ok else _changes(before, after)
        return Proposed(base, version_of(text.encode("utf-8")), checked, changes)

    async def apply(self, text: str, base: str) -> Applied:
        """Write *text* in place of the version *base*, and take it into force.

        Raises Outdated, or Unusable: then file and rules are as they were.
        """
        content = text.encode("utf-8")
        async with self._changing:
            known = await asyncio.to_thread(self._read)
            self._expect(known, base)
            _, checked = await asyncio.to_thread(_examine, self._rules.in_force, content)
            if not checked.ok:
                errors = [each for each in checked.findings if each.severity == "error"]
                first = errors[0]
                raise Unusable(f"{first.file}:{first.line}:{first.column}: {first.text}")
            await asyncio.to_thread(self._keep, known)
            await asyncio.to_thread(self._write, content)
            try:
                await self._reload()
            except ConfigurationError as error:
                await asyncio.to_thread(self._write, known)
                await self._reload()
                raise Unusable(str(error)) from error
            return Applied(version_of(content), base)

    async def roll_back(self, version: str, base: str) -> Applied:
        """Take *version* into force again in place of the version *base*; as `apply`."""
        for path in await asyncio.to_thread(self._paths):
            if path.stem.partition("-")[2] == version:
                text = await asyncio.to_thread(path.read_bytes)
                return await self.apply(text.decode("utf-8"), base)
        raise Unusable(f"there is no earlier version {version}")

    async def versions(self) -> list[Version]:
        """Return the versions that were in force before, the last one first."""
        found = []
        for path in reversed(await asyncio.to_thread(self._paths)):
            stamp, _, version = path.stem.partition("-")
            replaced = datetime.fromtimestamp(int(stamp) / 1000, UTC)
            found.append(Version(version, replaced, path.stat().st_size))
        return found

    def _expect(self, known: bytes, base: str) -> None:
        version = version_of(known)
        if version != base:
            raise Outdated(
                f"{self._rules.in_force.rules} has changed since version {base}: it is {version} "
                "by now; look at it again"
            )

    def _read(self) -> bytes:
        path = Path(self._rules.in_force.rules)
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error

    def _write(self, content: bytes) -> None:
        """Replace the file in one step; raises Unusable."""
        path = Path(self._rules.in_force.rules)
        if len(content) > LONGEST_RULES:
            raise Unusable("rules files have 1 MB at most")
        if path.is_symlink():
            # A Kubernetes ConfigMap looks so: what is written here would be lost.
            raise Unusable(f"{path} is a link: change the rules where it comes from")
        try:
            mode = path.stat().st_mode & 0o777
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
        except OSError as error:
            raise Unusable(f"{path} can't be written: {error.strerror}") from error

    def _keep(self, content: bytes) -> None:
        version = version_of(content)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            paths = self._paths()
            for path in paths:
                if path.stem.partition("-")[2] == version:
                    path.unlink()
            (self._folder / f"{time.time_ns() // 1_000_000}-{version}.yaml").write_bytes(content)
            for path in self._paths()[:-_VERSIONS_KEPT]:
                path.unlink()
        except OSError as error:
            raise Unusable(
                f"the version before can't be kept in {self._folder}: {error.strerror}"
            ) from error

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*-*.yaml")) if self._folder.is_dir() else []


def version_of(text: bytes) -> str:
    """Return what tells *text* from other versions."""
    return sha256(text).hexdigest()[:_VERSION_DIGITS]


def _examine(
    settings: Settings, text: bytes | None, *, inside: bool = False
) -> tuple[Examined, Checked]:
    """Return what *text* comes to in the place of the rules of *settings*.

    With *inside*, files that it includes are taken as they are in force.
    """
    included = settings.included if inside else None
    examined = examine(Path(settings.rules), os.environ, settings.origin, text, included)
    passed, count = 0, 0
    if examined.snapshot is not None and not inside:
        passed, count = rule_tests.run(examined.tests, examined.snapshot, examined.findings)
    findings = [
        Told(
            severity=finding.severity.value,
            file=None if finding.place is None else finding.place.source.name,
            line=None if finding.place is None else finding.place.line,
            column=None if finding.place is None else finding.place.column,
            text=finding.text,
            hint=finding.hint,
        )
        for finding in examined.findings
    ]
    failed = any(finding.severity == Severity.ERROR for finding in findings)
    routes = [effective.as_json(each) for each in examined.routes]
    return examined, Checked(not failed, passed, count, findings, routes)


def _changes(before: Examined, after: Examined) -> list[RouteChange]:
    old, new = _held(before), _held(after)
    found = []
    for route in dict.fromkeys([*old, *new]):
        if route not in new:
            found.append(RouteChange(route, "route", "there", None))
        elif route not in old:
            found.append(RouteChange(route, "route", None, "there"))
        one, other = old.get(route, {}), new.get(route, {})
        if route in old and route in new:
            found += [
                RouteChange(route, key, one.get(key), other.get(key))
                for key in dict.fromkeys([*one, *other])
                if one.get(key) != other.get(key)
            ]
    return found


def _held(examined: Examined) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for each in examined.routes:
        values: dict[str, list[str]] = {}
        for held in effective.values(each):
            values.setdefault(held.key, []).append(held.value)
        found[each.route.name] = {key: ", ".join(some) for key, some in values.items()}
    return found
