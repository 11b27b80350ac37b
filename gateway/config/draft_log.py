"""Routes proposed from an access log: our own lines of JSON, or nginx's combined format.

Paths are gathered into a tree by their segments; where one segment takes many values, they
become one path with a star. A log says how often a URL comes again, which is what a cache
lives on. It doesn't say who may see what: nothing is proposed as public but files.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.config.draft import DraftRoute, name_of
from gateway.errors import MalformedRequest
from gateway.wire.target import origin_form

MOST_ROUTES = 40
_MANY = 12
"""Different values of one segment beyond which they are told apart no more."""
_DEEPEST = 4
_MOST_NODES = 50_000
_MOST_TARGETS = 200_000
"""Different URLs that are counted one by one."""
_COMBINED = re.compile(
    r'\S+ \S+ .*?\[[^\]]*\] "(?P<method>[A-Z\-]+) (?P<target>\S+)(?: HTTP/[0-9.]+)?" '
    r"(?P<status>[0-9]{3}) "
)
_FILE = re.compile(
    r"\.(?:avif|bmp|css|eot|gif|ico|jpe?g|js|map|mjs|mp4|otf|png|svg|ttf|wasm|webm|webp|woff2?)$"
)
_FINGERPRINT = re.compile(r"[.\-_](?=[0-9A-Za-z]*[0-9])[0-9A-Za-z_\-]{8,64}\.[a-z0-9.]+$")
_PRIVATE = re.compile(
    r"(?:auth|oauth2?|login|logout|sign-?in|sign-?out|sign-?up|register|session|account|admin"
    r"|dashboard|cart|checkout|basket|payments?|billing|stripe|webhooks?|profile|settings|me"
    r"|health|healthz|readyz|livez|metrics|password|token|graphql|ws|events|internal)"
)
_TRACKING = re.compile(r"utm_.+|gclid|fbclid|msclkid|mc_cid|mc_eid|_ga|yclid|igshid")


@dataclass(slots=True)
class _Node:
    """What was asked for at a path and below it."""

    children: "dict[str, _Node]" = field(default_factory=dict)
    here: int = 0
    """Successful GETs of this very path."""
    writes: int = 0
    files: int = 0
    fingerprinted: int = 0
    repeated: int = 0
    """Successful GETs of a URL that had come before."""


@dataclass(slots=True)
class LogSummary:
    """What a log was found to hold."""

    requests: int = 0
    unread: int = 0
    """Lines that are no request in either format."""
    first_unread: int = 0
    """The number of the first of them; 0 for none."""
    tracking: Counter[str] = field(default_factory=Counter)
    root: _Node = field(default_factory=_Node)


def lines_of(text: Iterable[str]) -> Iterator[tuple[str, str, int] | None]:
    """Yield method, target and status of each line; None for one that can't be read."""
    for line in text:
        stripped = line.strip()
        if not stripped:
            continue
        if stripped.startswith("{"):
            yield _of_json(stripped)
        else:
            match = _COMBINED.match(stripped)
            yield (
                None if match is None else (match["method"], match["target"], int(match["status"]))
            )


def _of_json(line: str) -> tuple[str, str, int] | None:
    try:
        entry = json.loads(line)
        method, target, status = entry["method"], entry["target"], entry["status"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if isinstance(method, str) and isinstance(target, str) and isinstance(status, int):
        return method, target, status
    return None


def summary(text: Iterable[str]) -> LogSummary:
    """Return what the lines of *text* come to; memory is bounded, however long they are."""
    found = LogSummary()
    seen: set[int] = set()
    nodes = 1
    for number, entry in enumerate(lines_of(text), start=1):
        if entry is None:
            found.unread += 1
            found.first_unread = found.first_unread or number
            continue
        found.requests += 1
        method, raw, status = entry
        try:
            target = origin_form(raw.encode("utf-8"))
        except MalformedRequest:
            continue
        path = target.path.decode("latin-1")
        if "*" in path or not path.startswith("/"):
            continue
        for parameter in (target.query or b"").split(b"&"):
            name = parameter.partition(b"=")[0].decode("latin-1")
            if _TRACKING.fullmatch(name):
                found.tracking["utm_*" if name.startswith("utm_") else name] += 1
        node = found.root
        for segment in path.split("/")[1 : _DEEPEST + 1]:
            child = node.children.get(segment)
            if child is None:
                if nodes >= _MOST_NODES:
                    break
                child = node.children[segment] = _Node()
                nodes += 1
            node = child
        if method in ("GET", "HEAD"):
            if status < 400:
                _count(node, path, hash((path, target.query)), seen)
        else:
            node.writes += 1
    return found


def _count(node: _Node, path: str, url: int, seen: set[int]) -> None:
    node.here += 1
    if _FILE.search(path):
        node.files += 1
        node.fingerprinted += _FINGERPRINT.search(path) is not None
    if url in seen:
        node.repeated += 1
    elif len(seen) < _MOST_TARGETS:
        seen.add(url)


@dataclass(slots=True)
class _Group:
    """What one glob stands for."""

    glob: str
    reads: int
    repeated: int
    files: int
    fingerprinted: int


def routes(found: LogSummary) -> list[DraftRoute]:
    """Return the routes that *found* suggests, the most used last where order matters not."""
    private: dict[str, int] = {}
    groups: list[_Group] = []
    _gather(found.root, "", private, groups)
    proposed: list[DraftRoute] = []
    if private:
        wanted = sorted(private, key=lambda glob: -private[glob])[:MOST_ROUTES]
        count = sum(private.values())
        reason = f"By their names somebody's own, or live: {count} requests. Never kept."
        proposed.append(DraftRoute("private", tuple(sorted(wanted)), reason, off=True))
    files = [each for each in groups if each.files * 5 >= each.reads * 4]
    for fingerprinted in (True, False):
        some = [
            each for each in files if (each.fingerprinted * 5 >= each.files * 4) is fingerprinted
        ]
        if some:
            proposed.append(_of_files(some, proposed, fingerprinted=fingerprinted))
    others = [each for each in groups if each not in files]
    others.sort(key=lambda each: -each.reads)
    chosen = others[:MOST_ROUTES]
    # The narrow ones first: a star takes what it can.
    chosen.sort(key=lambda each: (each.glob.count("*"), -each.glob.count("/"), each.glob))
    for each in chosen:
        taken = [route.name for route in proposed]
        proposed.append(
            DraftRoute(
                name_of(each.glob, taken),
                (each.glob,),
                f"{each.reads} reads, {each.repeated * 100 // each.reads}% of a URL that came "
                "before. Is it the same for everybody? Then scope: public.",
                ttl="60s",
                groups=("{route}",),
            )
        )
    return proposed


def _of_files(some: list[_Group], proposed: list[DraftRoute], *, fingerprinted: bool) -> DraftRoute:
    reads = sum(each.reads for each in some)
    paths = tuple(sorted(each.glob for each in some))[:MOST_ROUTES]
    taken = [route.name for route in proposed]
    if fingerprinted:
        reason = f"{reads} reads of files whose names change with their content, as it seems."
        return DraftRoute(
            name_of("assets", taken), paths, reason, ttl="1y", browser_ttl="1y", immutable=True,
            scope="public",
        )  # fmt: skip
    reason = f"{reads} reads of files whose names stay: how soon must a change be seen?"
    return DraftRoute(name_of("files", taken), paths, reason, ttl="1h", scope="public")


def _gather(
    node: _Node, path: str, private: dict[str, int], groups: list[_Group], depth: int = 0
) -> None:
    """Add what is at *path* and below to *private* globs or to *groups*."""
    if node.here:
        exact = _Group(path or "/", node.here, node.repeated, node.files, node.fingerprinted)
        groups.append(exact)
    many = depth > 0 and (len(node.children) > _MANY or any(map(_is_value, node.children)))
    if many or (depth >= _DEEPEST and node.children):
        everything = _total(node, path + "/*")
        if node.here:
            groups.pop()
        if everything.reads:
            groups.append(everything)
        return
    plain: dict[str, _Node] = {}
    for segment, child in sorted(node.children.items()):
        if _PRIVATE.fullmatch(segment.lower()):
            below = _total(child, f"{path}/{segment}")
            glob = f"{path}/{segment}" + ("/*" if child.children else "")
            private[glob] = below.reads + child.writes
        else:
            plain[segment] = child
    loose = {
        segment: child
        for segment, child in plain.items()
        if child.files and not child.children and child.files == child.here
    }
    if depth > 0 and loose and len(loose) == len(plain):
        groups.append(_total(node, path + "/*"))
        return
    for segment, child in plain.items():
        _gather(child, f"{path}/{segment}", private, groups, depth + 1)


def _is_value(segment: str) -> bool:
    """Return whether *segment* looks like a number, a UUID or a digest: one of many."""
    return (
        re.fullmatch(r"[0-9]+|[0-9a-fA-F]{12,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-.*", segment)
        is not None
    )


def _total(node: _Node, glob: str) -> _Group:
    total = _Group(glob, 0, 0, 0, 0)
    waiting = [node]
    while waiting:
        each = waiting.pop()
        total.reads += each.here
        total.repeated += each.repeated
        total.files += each.files
        total.fingerprinted += each.fingerprinted
        waiting += each.children.values()
    return total
