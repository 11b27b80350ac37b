"""``gateway stats``: what a running gateway has served since its start, by route and by tier."""

import argparse
import sys

import msgspec

from gateway.cli.admin_client import add_admin, ask
from gateway.control.figures import Figures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("--json", action="store_true", help="print everything, as JSON")
    add_admin(parser)


def run(args: argparse.Namespace) -> int:
    """Print the figures; return 0."""
    answer = ask(args, "GET", "/-/api/stats")
    if args.json:
        sys.stdout.write(answer.decode())
        return 0
    told = msgspec.json.decode(answer, type=Figures)
    print(
        f"{told.requests} requests, {told.hit_rate:.1%} hits, {told.collapsed} waited for another's"
        f" fetch; {told.workers} workers"
    )
    _table(
        ("route", "requests", "hits", "hit rate", "bytes"),
        [
            (each.route, each.requests, each.hits, f"{each.hit_rate:.1%}", each.body_bytes)
            for each in told.routes
        ],
    )
    store = told.store
    print(
        f"memory: {store['objects']} objects, {store['bytes']} of {store['limit_bytes']} bytes,"
        f" {store['evictions']} evicted"
    )
    if told.tiers:
        _table(
            ("tier", "hits", "misses", "hit rate", "sets", "deletes", "errors", "objects", "bytes"),
            [
                (
                    each.tier if each.up else f"{each.tier} (down)",
                    each.hits,
                    each.misses,
                    "-" if each.hit_rate is None else f"{each.hit_rate:.1%}",
                    each.sets,
                    each.deletes,
                    each.errors,
                    each.objects,
                    each.bytes,
                )
                for each in told.tiers
            ],
        )
    return 0


def _table(names: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    """Print *rows* under *names*: what is first to the left, figures to the right."""
    lines = [names, *(tuple(str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
    for first, *others in lines:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())
