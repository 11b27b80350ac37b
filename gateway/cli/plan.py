"""`gateway plan NEW.yaml --replay LOG`: what other rules would have made of real traffic."""

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.build import examine
from gateway.config.findings import render
from gateway.config.units import show_size
from gateway.errors import ConfigurationError
from gateway.replay.reading import Log, opened
from gateway.replay.replaying import Replayed, replay
from gateway.replay.simulation import RouteResult, Simulation

_MOST_ROUTES = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("file", type=Path, metavar="NEW.yaml", help="the rules to try")
    parser.add_argument(
        "--replay",
        required=True,
        metavar="LOG",
        help="an access log: of gateway serve --access-log, or in nginx's combined format; "
        "gzipped or not, - for stdin",
    )
    parser.add_argument(
        "--rules",
        type=Path,
        default=Path("rules.yaml"),
        metavar="FILE",
        help="the rules to compare with (default: rules.yaml)",
    )
    parser.add_argument("--origin", metavar="URL", help="as for `gateway serve`")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Replay; return 1 when a file can't be used or nothing in the log can be read."""
    snapshots = []
    for path in (args.rules, args.file):
        examined = examine(path, os.environ, args.origin)
        if examined.snapshot is None:
            print(render(examined.findings), file=sys.stderr)
            return 1
        snapshots.append(examined.snapshot)
    before, after = snapshots
    log = Log(args.replay)
    with opened(args.replay) as lines:
        replayed = replay(before, after, log, lines)
    if not replayed.before.result.requests:
        raise ConfigurationError(_nothing_in(replayed))
    if args.json:
        print(json.dumps(_as_json(args, replayed), indent=2))
    else:
        _print(args, replayed)
    return 0


def _nothing_in(replayed: Replayed) -> str:
    log = replayed.log
    if not log.lines:
        return f"{log.name} is empty: there is nothing to replay"
    return "\n".join([*log.complaints, f"{log.name}: none of its {log.lines} lines is a request"])


def _print(args: argparse.Namespace, replayed: Replayed) -> None:
    log = replayed.log
    old, new = replayed.before, replayed.after
    print(
        f"{new.result.requests:,} requests of {log.name}, "
        f"{_instant(replayed.first)} to {_instant(replayed.last)}, "
        f"replayed in {replayed.seconds:.1f} s"
    )
    print()
    width = max(12, len(str(args.rules)), len(str(args.file)))
    print(f"{'':26}{args.rules!s:>{width}}  {args.file!s:>{width}}")
    for title, value, shown in _ROWS:
        one, other = value(old), value(new)
        change = _change(one, other, shown)
        print(f"{title:26}{shown(one):>{width}}  {shown(other):>{width}}  {change}".rstrip())
    if replayed.measured_hit_rate is not None:
        print(f"{'hit rate in the log':26}{_percent(replayed.measured_hit_rate):>{width}}")
    print()
    _print_routes(replayed)
    for title, side in ((args.rules, old), (args.file, new)):
        _print_crossings(title, side)
    assumptions = _assumptions(replayed)
    if assumptions:
        print()
        for text in assumptions:
            print(f"note: {text}")


def _print_routes(replayed: Replayed) -> None:
    old, new = replayed.before.result.routes, replayed.after.result.routes
    names = sorted({*old, *new}, key=lambda name: -_of(new, name).requests)
    rows = [("route", "requests", "hit rate", "was", "origin", "was", "stale", "was")]
    for name in names[:_MOST_ROUTES]:
        before, after = _of(old, name), _of(new, name)
        rows.append(
            (
                name,
                _count(after.requests),
                _rate(after),
                _rate(before),
                _count(after.origin),
                _count(before.origin),
                _count(after.stale),
                _count(before.stale),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [f"{row[0]:{widths[0]}}"]
        cells += [f"{cell:>{wide}}" for cell, wide in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells))
    if len(names) > _MOST_ROUTES:
        print(f"and {len(names) - _MOST_ROUTES} more; --json has them all")


def _print_crossings(title: object, side: Simulation) -> None:
    if not side.result.crossings:
        return
    print()
    print(
        f"{title}: {side.result.crossings:,} answers went to somebody else than they were "
        "fetched for, whom the other rules keep apart:"
    )
    for each in side.result.crossing_samples:
        print(
            f"  {each.route}  {each.target}  fetched for {each.fetched_for}, "
            f"delivered to {each.delivered_to}"
        )


def _assumptions(replayed: Replayed) -> list[str]:
    """Return what the log doesn't tell, and what was made of it."""
    log = replayed.log
    found = []
    if log.combined:
        found.append(
            f"{log.combined:,} lines are in nginx's combined format, which doesn't tell who asked, "
            "how long the origin took, or what it said about caching: everybody is anonymous, and "
            "only a ttl of the rules keeps anything"
        )
    elif not log.tells_origin:
        found.append(
            "the log doesn't tell what the origin said about caching: only a ttl of the rules "
            "keeps anything"
        )
    if replayed.guessed:
        found.append(
            f"the origin's answer to {replayed.guessed:,} requests was never heard, neither to "
            "their neighbours: it is taken to say nothing about caching"
        )
    if replayed.malformed:
        found.append(f"{replayed.malformed:,} requests would be refused as malformed")
    if log.unread:
        found.append(f"{log.unread:,} lines couldn't be read, such as")
        found += log.complaints
    found.append(
        "one worker is assumed, which begins with nothing stored; conditions on headers and "
        "cookies, which no log tells, are taken as absent"
    )
    return found


def _as_json(args: argparse.Namespace, replayed: Replayed) -> dict[str, object]:
    log = replayed.log
    return {
        "log": {
            "name": log.name,
            "lines": log.lines,
            "unread": log.unread,
            "malformed": replayed.malformed,
            "first": _instant(replayed.first),
            "last": _instant(replayed.last),
            "measured_hit_rate": replayed.measured_hit_rate,
            "answers_guessed": replayed.guessed,
        },
        "seconds": round(replayed.seconds, 3),
        "before": {"rules": str(args.rules), **_side(replayed.before)},
        "after": {"rules": str(args.file), **_side(replayed.after)},
        "notes": _assumptions(replayed),
    }


def _side(side: Simulation) -> dict[str, object]:
    result, memory = side.result, side.site.memory
    return {
        "requests": result.requests,
        "hit_rate": result.hit_rate,
        "origin_requests": result.origin,
        "collapsed": result.collapsed,
        "stale": result.stale,
        "limited": result.limited,
        "bypasses": dict(sorted(result.bypasses.items())),
        "memory": {
            "bytes": memory.bytes,
            "most_bytes": result.most_bytes,
            "limit_bytes": memory.limit_bytes,
            "objects": memory.objects,
            "evictions": memory.evictions,
        },
        "identity_crossings": result.crossings,
        "identity_crossing_samples": [
            {
                "route": each.route,
                "target": each.target,
                "fetched_for": each.fetched_for,
                "delivered_to": each.delivered_to,
            }
            for each in result.crossing_samples
        ],
        "routes": {
            name: {
                "requests": each.requests,
                "hit_rate": each.hits / max(1, each.requests),
                "origin_requests": each.origin,
                "stale": each.stale,
                "words": dict(sorted(each.words.items())),
            }
            for name, each in sorted(result.routes.items())
        },
    }


def _of(routes: dict[str, RouteResult], name: str) -> RouteResult:
    return routes.get(name) or RouteResult()


def _rate(result: RouteResult) -> str:
    return _percent(result.hits / result.requests) if result.requests else "-"


def _change(one: float, other: float, shown: Callable[[float], str]) -> str:
    if one == other:
        return ""
    sign = "+" if other > one else "-"
    return f"{sign}{shown(abs(other - one))}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _count(value: float) -> str:
    return f"{int(value):,}"


def _size(value: float) -> str:
    """Return *value*, a number of bytes, rounded to a tenth of the unit that fits."""
    for unit, length in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if value >= length:
            return f"{value / length:.1f} {unit}"
    return show_size(int(value))


def _instant(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_Value = Callable[[Simulation], float]
_ROWS: tuple[tuple[str, _Value, Callable[[float], str]], ...] = (
    ("hit rate", lambda side: side.result.hit_rate, _percent),
    ("requests to the origin", lambda side: side.result.origin, _count),
    ("waited for another's", lambda side: side.result.collapsed, _count),
    ("stale answers", lambda side: side.result.stale, _count),
    ("beyond a limit", lambda side: side.result.limited, _count),
    ("identity crossings", lambda side: side.result.crossings, _count),
    ("memory at the end", lambda side: side.site.memory.bytes, _size),
    ("memory at most", lambda side: side.result.most_bytes, _size),
    ("objects at the end", lambda side: side.site.memory.objects, _count),
    ("evictions", lambda side: side.site.memory.evictions, _count),
)
