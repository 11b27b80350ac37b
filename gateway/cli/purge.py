"""``gateway purge``: ask a running gateway to purge, and show its receipt."""

import argparse
import sys

import msgspec

from gateway.cli.admin_client import add_admin, ask
from gateway.control.purging import Receipt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--url", help="a path with its query, or a whole URL: every variant of it")
    what.add_argument("--prefix", help="every path and query that begin so")
    what.add_argument("--pattern", help="every path and query that fit; * is any run of characters")
    what.add_argument("--group", action="append", help="a group, surrogate key or cache tag")
    what.add_argument("--route", help="everything that a route of the rules has stored")
    what.add_argument("--all", action="store_true", help="everything; asks for --confirm all")
    parser.add_argument("--host", help="only what is of this host; alone, all of it")
    parser.add_argument("--confirm", help='has to be "all" beside --all')
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument(
        "--hard", action="store_true", help="never use it again; else it is stale from now on"
    )
    mode.add_argument(
        "--validate", action="store_true", help="ask the origin before its next use, always"
    )
    parser.add_argument(
        "--wait", action="store_true", help="exit with 1 unless every worker said that it is done"
    )
    parser.add_argument("--json", action="store_true", help="print the receipt as JSON")
    add_admin(parser)
    # --host alone is a purge of its own: argparse can't say that.
    what.required = False


def run(args: argparse.Namespace) -> int:
    """Purge; return 0 when it was accepted, and with ``--wait`` applied everywhere."""
    asked: dict[str, object] = {
        "url": args.url,
        "prefix": args.prefix,
        "pattern": args.pattern,
        "groups": args.group,
        "route": args.route,
        "host": args.host,
        "confirm": args.confirm,
        "mode": "hard" if args.hard else "validate" if args.validate else "soft",
    }
    body = {name: value for name, value in asked.items() if value is not None}
    if args.all:
        body["all"] = True
    answer = ask(args, "POST", "/-/purge", body)
    receipt = msgspec.json.decode(answer, type=Receipt)
    if args.json:
        sys.stdout.write(answer.decode())
    else:
        for worker in receipt.workers:
            print(f"{worker.name}  {'done' if worker.applied else 'no word'}  {worker.ms:.1f} ms")
        for replica in receipt.replicas:
            said = "done" if replica.applied else "no word"
            print(f"replica {replica.name}  {said}  {replica.ms:.1f} ms")
        state = "purged" if receipt.applied else "not everybody has said that it is purged"
        print(f"{state} ({receipt.mode.value}), {receipt.ms:.1f} ms")
    return 1 if args.wait and not receipt.applied else 0
