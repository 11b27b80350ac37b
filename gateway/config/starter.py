"""A first rules file: what an operator begins with, from nothing, a log or an API's description.

What is proposed is on the safe side: what might belong to one person has scope user, what
looks like a login is off, and each route says in a comment what it was made from.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from gateway.config.build import examine
from gateway.config.findings import Severity
from gateway.errors import ConfigurationError, MalformedRequest
from gateway.routing import glob
from gateway.wire.target import normalise_path

_COMBINED = re.compile(
    r'^\S+ \S+ \S+ \[[^\]]*\] "(?P<method>[A-Z]+) (?P<target>\S+) [^"]*" (?P<status>\d{3}) \S+'
)
_STATIC = re.compile(
    r"\.(?:css|js|mjs|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|mp4|webm|pdf)$",
    re.IGNORECASE,
)
_HASHED = re.compile(r"[.\-_/][0-9a-f]{8,}[.\-_/]|[.\-_/][0-9A-Za-z]{16,}\.")
_VARYING = re.compile(
    r"^(?:\d+|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|[0-9a-f]{12,}|[0-9A-Z]{26})$", re.IGNORECASE
)
_PRIVATE = re.compile(
    r"/(?:auth|login|logout|signin|signup|session|account|checkout|cart|admin|me|oauth|password)"
    r"(?:/|$)",
    re.IGNORECASE,
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MOST_ROUTES = 40
_FEWEST_SHARE = 0.001

HEAD = """\
# yaml-language-server: $schema=./rules.schema.json
#
# What the gateway keeps, for how long, and who may share it.
#   gateway check               says what is wrong with this file, or what it comes to
#   gateway explain GET /path   says what becomes of a request, and why
# Durations: 50ms 30s 5m 1h 1d 1w 1y, or SHORT (60s), MEDIUM (5m), LONG (30m), HOUR, DAY, WEEK.
version: 1

identity:                       # who is asking; without it, scope user and org store nothing
  user: {cookie: session}       # the name of your session cookie

origins:
  app:
    servers: ["${APP_URL:-http://127.0.0.1:3000}"]
    timeouts: {connect: 2s, first_byte: 10s, total: 30s}

tiers:
  memory: {size: 256MB}         # of each worker

defaults:                       # every route inherits this, key by key
  cache:
    ttl: origin                 # obey the origin; a silent origin means not stored
    scope: user                 # the safest partition; a route must ask to share
    stale_if_error: 1h          # better an old answer than an error
    status_ttl: {404: 10s}
    key: {query: {sort: true, ignore: [utm_*, gclid, fbclid]}}

routes:                         # the first match wins; `cache: off` wins wherever it stands
"""

PLAIN = (
    HEAD
    + """\
  - name: private               # logins and what people change: never kept
    match: {path: [/login, /logout, /account/*, /api/auth/*]}
    cache: off

  - name: static                # files whose names change with their content
    match: {path: [/static/*, /assets/*, /favicon.ico]}
    cache: {ttl: 1d, browser_ttl: 1d, scope: public}

  - name: pages                 # the same for everybody
    match: {path: [/, /blog/*, /docs/*]}
    cache: {ttl: 5m, stale_while_revalidate: 1h, scope: public}

  - name: api                   # one answer for each user
    match: {path: /api/*, method: GET}
    cache: {ttl: 30s, scope: user, groups: ["user:{user}"]}

invalidate:                     # a successful write clears what it made wrong
  - when: {path: /api/*}
    groups: ["user:{user}"]

tests:                          # `gateway check` runs these, and so does a reload
  - {request: GET /login, expect: {route: private, stored: false}}
  - {request: GET /api/items, as: {user: a}, not_shared_with: {user: b}}
"""
)


@dataclass(slots=True)
class _Seen:
    """What a log tells about the paths of one pattern."""

    methods: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    targets: set[str] = field(default_factory=set)
    hashed: int = 0

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.methods.total()

    @property
    def reads(self) -> int:
        """How many of them were GET or HEAD."""
        return self.methods["GET"] + self.methods["HEAD"]


def from_log(lines: Iterable[str]) -> str:
    """Return rules for what an access log shows: our own JSON lines, or nginx's combined form.

    Raises ConfigurationError when no line can be read.
    """
    seen: defaultdict[str, _Seen] = defaultdict(_Seen)
    total = 0
    for method, target, status in _entries(lines):
        total += 1
        path = target.partition("?")[0]
        about = seen[_pattern(path)]
        about.methods[method] += 1
        about.statuses[status] += 1
        about.hashed += _HASHED.search(path) is not None
        if len(about.targets) < 10_000:
            about.targets.add(target)
    if not total:
        raise ConfigurationError(
            "no line of the log could be read: give the gateway's own JSON lines, or nginx's"
            " combined format"
        )
    ranked = sorted(seen.items(), key=lambda item: -item[1].requests)
    chosen = [
        (pattern, about)
        for pattern, about in ranked[:_MOST_ROUTES]
        if about.requests >= max(2, _FEWEST_SHARE * total)
    ]
    routes = [_from_seen(pattern, about, total) for pattern, about in _specific_first(chosen)]
    return _reachable(HEAD, routes)


def from_openapi(document: Mapping[str, Any]) -> str:
    """Return rules for what an OpenAPI description has, version 3.

    Raises ConfigurationError for what is no such description.
    """
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or not paths:
        raise ConfigurationError('this is no OpenAPI description: it has no "paths"')
    everywhere = bool(document.get("security"))
    routes, writes = [], []
    base = _base(document)
    for path, operations in _specific_first(
        [(_glob(base + str(path)), each) for path, each in paths.items() if isinstance(each, dict)]
    ):
        methods = {name.upper() for name in operations if name.upper() in _METHODS}
        if methods - _SAFE:
            writes.append(path)
        if "GET" not in methods:
            continue
        operation = operations["get"] if isinstance(operations["get"], dict) else {}
        secured = bool(operation.get("security", everywhere))
        routes.append(_from_operation(path, operation, secured=secured))
    if not routes:
        raise ConfigurationError("no path of this description can be read with GET")
    text = _reachable(HEAD, routes)
    if writes:
        listed = ", ".join(json.dumps(path) for path in dict.fromkeys(writes))
        text += (
            "\ninvalidate:                     # a successful write clears what its user sees\n"
            f"  - when: {{path: [{listed}]}}\n"
            '    groups: ["user:{user}"]\n'
        )
    return text


def _reachable(head: str, routes: list[str]) -> str:
    """Return *head* with *routes*, less those to which the others leave nothing."""
    left = _named_apart(routes)
    while left:
        text = head + "\n".join(left)
        examined = examine(Path("rules.yaml"), {}, None, text.encode())
        wrong = next(
            (
                each.place
                for each in examined.findings
                if each.place is not None and each.severity is Severity.ERROR
            ),
            None,
        )
        if wrong is None:
            return text
        # Which of them stands on that line: they are told apart by an empty one.
        before = "\n".join(text.split("\n")[: wrong.line])[len(head) :]
        del left[min(before.count("\n\n"), len(left) - 1)]
    raise ConfigurationError("nothing that could be cached was found")


def _named_apart(routes: list[str]) -> list[str]:
    """Return *routes* with a number behind each name that another has already."""
    counts: Counter[str] = Counter()

    def numbered(match: re.Match[str]) -> str:
        counts[match[1]] += 1
        return match[0] if counts[match[1]] == 1 else f"{match[0]}-{counts[match[1]]}"

    return [re.sub(r"  - name: (\S+)", numbered, route, count=1) for route in routes]


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def read_openapi(text: str) -> Mapping[str, Any]:
    """Return a description written as JSON or YAML; raises ConfigurationError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the OpenAPI file is neither JSON nor YAML: {error}") from error
    if not isinstance(found, Mapping):
        raise ConfigurationError('this is no OpenAPI description: it has no "paths"')
    return found


def _entries(lines: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    for line in lines:
        text = line.strip()
        if text.startswith("{"):
            try:
                entry = json.loads(text)
                yield str(entry["method"]), str(entry["target"]), int(entry["status"])
            except (ValueError, KeyError, TypeError):
                continue
        elif (match := _COMBINED.match(text)) and match["target"].startswith("/"):
            yield match["method"], match["target"], int(match["status"])


def _pattern(path: str) -> str:
    """Return the glob under which paths like *path* are counted together."""
    segments = [segment for segment in path.split("/") if segment]
    if not segments:
        return "/"
    if _STATIC.search(path):
        return f"/{segments[0]}/*" if len(segments) > 1 else _glob(path)
    kept = ["*" if _VARYING.match(segment) else segment for segment in segments[:4]]
    if len(segments) > 4:
        kept.append("*")
    # Words after the second segment are names of things more often than kinds of them.
    if len(kept) == 2 and kept[0] != "api" and "*" not in kept:
        kept[1] = "*"
    if kept[-1] == "*" and len(kept) > 1 and kept[-2] == "*":
        kept.pop()
    return _glob("/" + "/".join(kept))


def _glob(path: str) -> str:
    """Return *path* as a glob: parameters in braces are any segment, and odd paths everything."""
    text = re.sub(r"\{[^}]*\}", "*", path)
    try:
        normalise_path(text.replace("*", "x").encode("utf-8"))
        return glob.normalise(text if text.startswith("/") else f"/{text}")
    except (glob.BadGlob, MalformedRequest):
        plain = re.sub(r"[^A-Za-z0-9_-]", "", text.strip("/").partition("/")[0])
        return f"/{plain}/*" if plain else "/*"


def _base(document: Mapping[str, Any]) -> str:
    servers = document.get("servers")
    if isinstance(servers, list) and servers and isinstance(servers[0], dict):
        return urlsplit(str(servers[0].get("url", ""))).path.rstrip("/")
    return ""


def _specific_first(items: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return *items* so that no pattern takes the requests of one after it; each pattern once."""
    unique = dict(items)

    def rank(pattern: str) -> tuple[bool, int, int]:
        return (pattern.endswith("/*"), -pattern.count("/"), pattern.count("*"))

    return sorted(unique.items(), key=lambda item: rank(item[0]))


def _name(pattern: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "-", pattern.replace("*", "any")).strip("-").lower()
    return (words or "home")[:56]


def _from_seen(pattern: str, about: _Seen, total: int) -> str:
    share = 100 * about.requests / total
    reads = 100 * about.reads / about.requests
    most = 100 * max(0, about.reads - len(about.targets)) / about.requests
    note = (
        f"# {about.requests:,} requests ({share:.1f}%), {reads:.0f}% of them GET,"
        f" {len(about.targets):,} URLs: at most {most:.0f}% hits"
    )
    static = _STATIC.search(next(iter(about.targets)).partition("?")[0]) is not None
    if _PRIVATE.search(pattern) or about.reads == 0:
        cache = "off"
    elif static and about.hashed > about.requests / 2:
        cache = "{ttl: 1y, browser_ttl: 1y, immutable: true, scope: public}"
    elif static:
        cache = "{ttl: 1h, browser_ttl: 1h, scope: public}"
    elif "/api/" in pattern + "/":
        cache = "{ttl: 30s, scope: user}"
    else:
        cache = "{ttl: origin, scope: user}   # scope: public, if everybody sees the same"
    return _route(pattern, note, cache)


def _from_operation(path: str, operation: Mapping[str, Any], *, secured: bool) -> str:
    summary = " ".join(str(operation.get("summary") or operation.get("operationId") or "").split())
    note = f"# {summary[:100]}" if summary else "# from the API's description"
    if _PRIVATE.search(path):
        cache = "off"
    elif secured:
        cache = '{ttl: 30s, scope: user, groups: ["user:{user}"]}'
    else:
        cache = "{ttl: 60s, stale_while_revalidate: 5m, scope: public}"
    return _route(path, note, cache)


def _route(pattern: str, note: str, cache: str) -> str:
    return (
        f"  {note}\n"
        f"  - name: {_name(pattern)}\n"
        f"    match: {{path: {json.dumps(pattern)}}}\n"
        f"    cache: {cache}\n"
    )
