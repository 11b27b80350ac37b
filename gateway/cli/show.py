"""`gateway show ROUTE`: what holds for one route, and which line says so."""

import argparse
import json
import os
import sys

from gateway.cli import check
from gateway.config import effective
from gateway.config.build import SWITCH, examine
from gateway.config.findings import did_you_mean, quoted, render
from gateway.config.routes import Effective


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("route", metavar="ROUTE", help="its name; default is the implied last one")
    check.add_file_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(args: argparse.Namespace) -> int:
    """Show the route; return 1 when there is none, or the file can't be used."""
    examined = examine(args.file, os.environ, args.origin)
    if examined.snapshot is None:
        print(render(examined.findings), file=sys.stderr)
        return 1
    routes = {each.route.name: each for each in examined.routes}
    found = routes.get(args.route)
    if found is None:
        hint = did_you_mean(args.route, routes) or f"there are: {', '.join(routes)}"
        print(f"{args.file}: there is no route {quoted(args.route)}; {hint}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(_as_json(found), indent=2))
    else:
        _print(found, api_passed=examined.api_passed)
    return 0


def _print(found: Effective, *, api_passed: bool) -> None:
    print(f"route {found.route.name}  {found.place or 'implied'}")
    held = list(effective.values(found))
    widest_key = max(len(each.key) for each in held)
    widest_value = max(len(each.value) for each in held)
    for each in held:
        source = "built in" if each.place is None else str(each.place)
        print(f"  {each.key:{widest_key}}  {each.value:{widest_value}}  {source}")
    if api_passed:
        print(f"{SWITCH} is set: what it takes under /api isn't cached")


def _as_json(found: Effective) -> dict[str, object]:
    return {
        **effective.as_json(found),
        "values": [
            {
                "key": each.key,
                "value": each.value,
                "file": None if each.place is None else each.place.source.name,
                "line": None if each.place is None else each.place.line,
                "column": None if each.place is None else each.place.column,
            }
            for each in effective.values(found)
        ],
    }
