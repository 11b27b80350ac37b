"""`gateway explain METHOD PATH`: why a request is answered as it is, and what would change it."""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from gateway.cli import live
from gateway.cli.admin_client import add_admin, ask
from gateway.config.build import Examined, examine
from gateway.config.findings import Severity, render
from gateway.config.rehearsal import identity
from gateway.config.units import show_duration
from gateway.control import explained
from gateway.control.explain import Explanation, Question, explain
from gateway.errors import ConfigurationError, RequestRefused
from gateway.routing.identity import Identity

_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_FIELD = re.compile(r"([A-Za-z0-9!#$%&'*+\-.^_`|~]+):[ \t]*(.*?)[ \t]*")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("method", type=_method, metavar="METHOD", help="such as GET")
    parser.add_argument("path", metavar="PATH", help="a path with its query, or a whole URL")
    parser.add_argument(
        "-H",
        "--header",
        type=_field,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header field of the request; may be repeated",
    )
    parser.add_argument(
        "--as",
        dest="who",
        type=_who,
        metavar="WHO",
        help="who is assumed to ask: org=a, user=b or org=a,user=b; else what the headers prove",
    )
    parser.add_argument(
        "--status", type=_status, default=200, help="what the origin answers (default: 200)"
    )
    parser.add_argument(
        "-R",
        "--response",
        type=_field,
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        help="a header field of the origin's answer; may be repeated",
    )
    parser.add_argument(
        "--rules",
        type=Path,
        default=Path("rules.yaml"),
        metavar="FILE",
        help="the rules file (default: rules.yaml)",
    )
    parser.add_argument("--origin", metavar="URL", help="as `gateway serve --origin URL`")
    parser.add_argument(
        "--offline", action="store_true", help="don't ask a running gateway what it has stored"
    )
    parser.add_argument(
        "--live",
        metavar="URL",
        help="send the request to the gateway at URL, and have it explain the answer: signed "
        "with the token in GATEWAY_ADMIN_TOKEN",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_admin(parser)


def run(args: argparse.Namespace) -> int:
    """Explain, also what would be refused; return 1 when the rules can't be used."""
    if args.live is not None:
        return live.run(args, _target(args.path))
    examined = examine(args.rules, os.environ, args.origin)
    if examined.snapshot is None:
        raise ConfigurationError(
            render(each for each in examined.findings if each.severity is Severity.ERROR)
        )
    target, fields = _target(args.path), list(args.header)
    if "://" in args.path and not any(name.lower() == "host" for name, _ in fields):
        fields.append(("Host", urlsplit(args.path).netloc))
    question = Question(args.method, target, fields, args.who, args.status, args.response)
    try:
        explanation = explain(examined.snapshot, question, places_of(examined))
    except RequestRefused as error:
        refused = {"status": error.status.value, "text": str(error)}
        told = f"{args.method} {args.path}\nrefused   {error.status.value}: {error}"
        print(json.dumps({"refused": refused}, indent=2) if args.json else told)
        return 0
    running = None if args.offline else _running(args, question)
    if args.json:
        print(json.dumps({**explanation.as_json(), "running": running}, indent=2))
        return 0
    print(explained.text(explanation))
    _say_what_was_assumed(args, explanation)
    if running is not None:
        _print_running(running)
        if "://" not in args.path and not any(name.lower() == "host" for name, _ in fields):
            print(f"          for host {explanation.host}: name another by a whole URL, or by -H")
    return 0


def places_of(examined: Examined) -> dict[str, str]:
    """Return where each route stands, by its name."""
    return {each.route.name: str(each.place) for each in examined.routes if each.place is not None}


def _target(path: str) -> str:
    if "://" in path:
        parts = urlsplit(path)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # As a browser sends what was typed into it.
    return quote(path, safe=_VISIBLE)


def _say_what_was_assumed(args: argparse.Namespace, explanation: Explanation) -> None:
    if explanation.answered_here is None and not args.response:
        print(
            f"assumed   that the origin answers {args.status} without a word about caching; "
            "say what it answers by --status and --response 'Cache-Control: ...'"
        )


def _running(args: argparse.Namespace, question: Question) -> dict[str, Any]:
    """Return what a running gateway has stored, or why nobody says so."""
    pairs = [("method", question.method), ("target", question.target)]
    pairs += [("header", f"{name}: {value}") for name, value in question.fields]
    if question.who is not None:
        for name, value in (("org", question.who.org), ("user", question.who.user)):
            if value is not None:
                pairs.append(("as", f"{name}={value.decode('utf-8')}"))
    try:
        found = json.loads(ask(args, "GET", f"/-/explain?{urlencode(pairs)}"))
    except (ConfigurationError, ValueError) as error:
        return {"reachable": False, "why": str(error)}
    return {"reachable": True, **(found if isinstance(found, dict) else {})}


def _print_running(running: dict[str, Any]) -> None:
    if not running["reachable"]:
        print(f"running   not known: {running['why']}")
        return
    route = running.get("explanation", {}).get("route", {}).get("name")
    for worker in running.get("workers", ()):
        if not worker.get("variants"):
            state = "nothing stored" if worker.get("answered", True) else "said nothing"
            print(f"running   {worker['name']}: {state}")
        for each in worker.get("variants", ()):
            print(f"running   {worker['name']}: {_variant(each)}")
    print(f"          its rules in force take this by route {route}")


def _variant(each: dict[str, Any]) -> str:
    fresh = each["fresh_for"]
    state = f"fresh for {show_duration(round(fresh, 0))}" if fresh > 0 else "stale"
    if each.get("invalid"):
        state = "to be validated: it was purged softly, or a write made it wrong"
    varies = "".join(f", {name}: {value or '(absent)'}" for name, value in each["vary"].items())
    return (
        f"{each['status']}, {each['bytes']} bytes, age {show_duration(round(each['age'], 0))}, "
        f"{state}{varies}"
    )


def _method(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]+(?:-[A-Za-z]+)*", value):
        raise argparse.ArgumentTypeError(f'expected a method such as GET, got "{value}"')
    return value.upper()


def _field(value: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(value)
    if match is None or not value.isprintable():
        raise argparse.ArgumentTypeError(f'expected "Name: value", got "{value}"')
    return match[1], match[2]


def _status(value: str) -> int:
    if not re.fullmatch(r"[2-5][0-9][0-9]", value):
        raise argparse.ArgumentTypeError(f'expected a status from 200 to 599, got "{value}"')
    return int(value)


def _who(value: str) -> Identity:
    known: dict[str, str] = {}
    for part in value.split(","):
        name, equals, whom = part.partition("=")
        if name not in ("org", "user") or not equals or not whom:
            raise argparse.ArgumentTypeError(
                f'expected org=NAME, user=NAME or both with a comma, got "{value}"'
            )
        known[name] = whom
    return identity(known.get("user"), known.get("org"))
