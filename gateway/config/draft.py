"""A rules file to begin with: written with comments, and good before anybody reads it.

What is proposed is careful: nothing is shared that wasn't known to be the same for everybody.
A comment on each route says what it was proposed for, so that a person can decide.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.config.build import examine
from gateway.config.findings import Finding, Findings, Severity, render
from gateway.errors import ConfigurationError

_PLAIN = re.compile(r"/[A-Za-z0-9._~/@+\-]*\*?")
_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9]+")
_ROUND = 10
"""How often routes that could never match are taken out; each round takes out all it finds."""


@dataclass(frozen=True, slots=True)
class DraftRoute:
    """One route as it is proposed; durations as they are written."""

    name: str
    paths: tuple[str, ...]
    because: str
    """The comment above it."""
    off: bool = False
    ttl: str | None = None
    """None leaves it to the origin."""
    browser_ttl: str | None = None
    immutable: bool = False
    scope: str | None = None
    """None inherits the careful default, user."""
    groups: tuple[str, ...] = ()
    key_parameters: tuple[str, ...] = ()
    """The only query parameters that count; none leaves them all."""

    def as_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "name": self.name,
            "paths": list(self.paths),
            "because": self.because,
            "cache": "off" if self.off else self._cache(),
        }

    def _cache(self) -> dict[str, object]:
        found: dict[str, object] = {}
        if self.ttl is not None:
            found["ttl"] = self.ttl
        if self.browser_ttl is not None:
            found["browser_ttl"] = self.browser_ttl
        if self.immutable:
            found["immutable"] = True
        if self.scope is not None:
            found["scope"] = self.scope
        if self.key_parameters:
            found["key"] = {"query": {"only": list(self.key_parameters)}}
        if self.groups:
            found["groups"] = list(self.groups)
        return found

    def lines(self) -> list[str]:
        """Return it as lines of YAML."""
        paths = ", ".join(map(_written, self.paths))
        cache = "off"
        if not self.off:
            entries = [f"{key}: {_flow(value)}" for key, value in self._cache().items()]
            cache = f"{{{', '.join(entries)}}}"
        return [
            f"  # {_comment(self.because)}",
            f"  - name: {self.name}",
            f"    match: {{path: {paths if len(self.paths) == 1 else f'[{paths}]'}}}",
            *([f"    cache: {cache}"] if cache != "{}" else []),
        ]


@dataclass(frozen=True, slots=True)
class DraftWrite:
    """A write that clears what it made wrong."""

    paths: tuple[str, ...]
    methods: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is proposed, and for which origin."""

    server: str = "http://127.0.0.1:3000"
    source: str = ""
    """What it was made from, for the first lines; empty for the starter."""
    routes: tuple[DraftRoute, ...] = ()
    writes: tuple[DraftWrite, ...] = ()
    ignored: tuple[str, ...] = ("utm_*", "gclid", "fbclid")
    """Parameters that no answer depends on."""


STARTER = (
    DraftRoute(
        "private",
        ("/account/*", "/admin/*", "/login"),
        "Never kept, wherever this stands: what is somebody's own, or changes with every look.",
        off=True,
    ),
    DraftRoute(
        "assets",
        ("/assets/*", "/static/*"),
        "Files whose names change with their content: kept for a year, by browsers too.",
        ttl="1y",
        browser_ttl="1y",
        immutable=True,
        scope="public",
    ),
    DraftRoute(
        "pages",
        ("/", "/blog/*"),
        "Pages that are the same for everybody. Sharing is the route's to ask for.",
        ttl="5m",
        scope="public",
        groups=("{route}",),
    ),
)
"""The routes of a file that was made from nothing."""


def name_of(path: str, taken: Iterable[str] = ()) -> str:
    """Return a name for a route of *path* that isn't among *taken*."""
    base = _NAME_CHARACTERS.sub("-", path).strip("-").lower()[:48] or "home"
    known = {*taken, "default", "all", "null"}
    name, count = base, 1
    while name in known:
        count += 1
        name = f"{base}-{count}"
    return name


def text(draft: Draft) -> str:
    """Return the file that *draft* is, with comments.

    Raises:
        ConfigurationError: it can't be made good; the text says why.

    """
    errors: list[Finding] = []
    for _ in range(_ROUND):
        written, lines = _text(draft)
        findings = _findings(written)
        errors = [each for each in findings if each.severity is Severity.ERROR]
        if not errors:
            return written
        # What earlier routes take whole needs no route of its own.
        lost = {
            lines[each.place.line] for each in errors if each.place and each.place.line in lines
        }
        if not lost:
            raise ConfigurationError(render(errors))
        draft = replace(
            draft, routes=tuple(route for route in draft.routes if route.name not in lost)
        )
    raise ConfigurationError(render(errors))


def _findings(written: str) -> Findings:
    return examine(Path("rules.yaml"), {}, None, written.encode("utf-8")).findings


def _text(draft: Draft) -> tuple[str, dict[int, str]]:
    """Return the file, and for each line of a route the route's name."""
    out = [
        "# yaml-language-server: $schema=./rules.schema.json",
        "# Rules of the caching gateway. Try them: gateway check; gateway explain GET /",
    ]
    if draft.source:
        out.append(
            f"# Proposed from {_comment(draft.source)}: read each route before you trust it."
        )
    out += [
        "version: 1",
        "",
        "identity:                 # who is asking, as far as it is proven",
        "  user: {cookie: session} # the name of your session cookie",
        "",
        "origins:                  # what the gateway stands in front of",
        "  site:",
        f"    servers: [{json.dumps(draft.server)}]",
        "    timeouts: {connect: 2s, first_byte: 10s, total: 30s}",
        "",
        "tiers:",
        "  memory: {size: 256MB}   # of each worker",
        "",
        "defaults:                 # every route inherits this, key by key",
        "  cache:",
        "    ttl: origin           # obey the origin; where it is silent, nothing is kept",
        "    scope: user           # the safest: a route must ask to share (org, public)",
        "    stale_if_error: {for: 1h, after: 2s}",
        "    status_ttl: {404: 10s}",
        f"    key: {{query: {{sort: true, ignore: [{', '.join(map(_flow, draft.ignored))}]}}}}",
    ]
    lines: dict[int, str] = {}
    if draft.routes:
        out += [
            "",
            "routes:                   # the first that matches wins; `cache: off` always does",
        ]
        for route in draft.routes:
            for line in route.lines():
                out.append(line)
                lines[len(out)] = route.name
            out.append("")
        out.pop()
    if draft.writes:
        out += ["", "invalidate:               # a successful write clears what it made wrong"]
        for write in draft.writes:
            paths = ", ".join(map(_written, write.paths))
            out.append(f"  - when: {{methods: [{', '.join(write.methods)}], path: [{paths}]}}")
            out.append(f"    groups: {_flow(list(write.groups))}")
    tests = _tests(draft)
    if tests:
        out += [
            "",
            "tests:                    # `gateway check` runs these, and so does a reload",
            *tests,
        ]
    return "\n".join(out) + "\n", lines


def _tests(draft: Draft) -> list[str]:
    """Return a test for the first route that is off, and one for the first that shares."""
    found = []
    for wanted in (True, False):
        for route in draft.routes:
            example = route.paths[0].replace("/*", "/x").replace("*", "x")
            if route.off is wanted and (wanted or route.scope == "public"):
                stored = "stored: false" if wanted else "scope: public"
                request = _flow(f"GET {example}")
                found.append(f"  - {{request: {request}, expect: {{{stored}}}}}")
                break
    return found


def _comment(words: str) -> str:
    """Return *words* without what could end a line or steer a terminal."""
    return "".join(each if each.isprintable() else "?" for each in words)


def _written(path: str) -> str:
    return path if _PLAIN.fullmatch(path) else json.dumps(path)


def _flow(value: object) -> str:
    """Return *value* as YAML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if value.lower() != "null" and re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9_.*\-]*|GET /[A-Za-z0-9._~/\-]*", value
        ):
            return value
        case _:
            return json.dumps(value)
