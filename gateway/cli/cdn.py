"""`gateway cdn purge` and `gateway cdn stats`: the CDN in front, from the command line."""

import argparse
import asyncio
import json
import os
import sys
from datetime import timedelta

import aiohttp

from gateway.config.shapes import Unfit
from gateway.config.units import parse_positive_duration, show_duration
from gateway.control.cloudflare import API, Analytics, CdnError, Cloudflare, Named
from gateway.errors import ConfigurationError

_HOUR = 3600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two commands."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    purge = commands.add_parser("purge", help="let the CDN forget what is named")
    purge.add_argument("--url", action="append", default=[], help="a whole URL; may be repeated")
    purge.add_argument("--tag", action="append", default=[], help="a cache tag; may be repeated")
    purge.add_argument(
        "--prefix", action="append", default=[], help="such as www.example.com/blog; repeatable"
    )
    purge.add_argument("--host", action="append", default=[], help="a host; may be repeated")
    purge.add_argument("--everything", action="store_true", help="asks for --confirm everything")
    purge.add_argument("--confirm", help='has to be "everything" beside --everything')
    stats = commands.add_parser("stats", help="requests, bandwidth and hit rate of the zone")
    stats.add_argument(
        "--since", default="24h", type=_duration, help="how far back, such as 24h (default) or 7d"
    )
    for each in (purge, stats):
        each.add_argument("--zone", help="the zone's identifier (default: CLOUDFLARE_ZONE_ID)")
        each.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Do it; return 1 when the CDN says no."""
    zone = args.zone or os.environ.get("CLOUDFLARE_ZONE_ID")
    token = os.environ.get("CLOUDFLARE_API_TOKEN")
    if not zone or not token:
        missing = "CLOUDFLARE_API_TOKEN" if zone else "CLOUDFLARE_ZONE_ID"
        raise ConfigurationError(
            f"{missing} is not set: it names the zone and the token that may purge it"
        )
    named = _named(args) if args.what == "purge" else {}
    api = os.environ.get("CLOUDFLARE_API", API)
    try:
        return asyncio.run(_run(args, zone, token, api, named))
    except CdnError as error:
        print(f"gateway cdn: {error}", file=sys.stderr)
        return 1


def _named(args: argparse.Namespace) -> dict[Named, list[str]]:
    named = {
        what: values
        for what, values in (
            (Named.URLS, args.url),
            (Named.TAGS, args.tag),
            (Named.PREFIXES, args.prefix),
            (Named.HOSTS, args.host),
        )
        if values
    }
    if args.everything:
        if named:
            raise ConfigurationError("--everything goes with nothing else")
        if args.confirm != "everything":
            raise ConfigurationError(
                "to purge everything, which sends all traffic to the gateway for a while, add "
                "--confirm everything"
            )
    elif not named:
        raise ConfigurationError("name something: --url, --tag, --prefix, --host or --everything")
    for url in named.get(Named.URLS, ()):
        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"--url {url}: give a whole URL, such as https://example.com/a"
            )
    for prefix in named.get(Named.PREFIXES, ()):
        if "://" in prefix or "/" not in prefix:
            raise ConfigurationError(
                f"--prefix {prefix}: give host and path without a scheme, such as example.com/blog"
            )
    return named


async def _run(
    args: argparse.Namespace, zone: str, token: str, api: str, named: dict[Named, list[str]]
) -> int:
    async with aiohttp.ClientSession() as session:
        cdn = Cloudflare(session, zone, token, api=api)
        if args.what == "stats":
            _print(args, await cdn.analytics(timedelta(seconds=args.since)))
            return 0
        calls = 0
        if args.everything:
            await cdn.purge_everything()
            calls = 1
        for what, values in named.items():
            calls += await cdn.purge(what, values)
    purged = {what.value: len(set(values)) for what, values in named.items()}
    if args.json:
        print(json.dumps({"purged": purged or "everything", "calls": calls}))
    else:
        words = ", ".join(f"{count} {what}" for what, count in purged.items()) or "everything"
        print(f"purged {words} in {calls} {'call' if calls == 1 else 'calls'}")
    return 0


def _print(args: argparse.Namespace, found: Analytics) -> None:
    if args.json:
        told = {
            "since": found.since.isoformat(),
            "until": found.until.isoformat(),
            "requests": found.requests,
            "cached_requests": found.cached_requests,
            "hit_rate": found.hit_rate,
            "bytes": found.bytes,
            "cached_bytes": found.cached_bytes,
        }
        print(json.dumps(told, indent=2))
        return
    print(f"the last {show_duration(args.since)}, by whole hours")
    print(
        f"requests   {found.requests:,}, {100 * found.hit_rate:.1f} % of them from the CDN's cache"
    )
    share = found.cached_bytes / found.bytes if found.bytes else 0.0
    size = found.bytes / 1e9
    print(f"bandwidth  {size:,.2f} GB, {100 * share:.1f} % of it from the CDN's cache")


def _duration(text: str) -> float:
    try:
        seconds = parse_positive_duration(text)
    except Unfit as error:
        raise argparse.ArgumentTypeError(f"expected a duration such as 24h: {error}") from error
    if seconds < _HOUR:
        raise argparse.ArgumentTypeError("at least 1h: the CDN counts by whole hours")
    return seconds
