"""``gateway explain``: what becomes of a request by the rules, and what is stored for it now."""

import argparse
import json
import os
import sys
from typing import Any
from urllib.parse import quote

from gateway.cli.admin_client import add_admin, ask
from gateway.cli.check import add_rules_argument
from gateway.config.build import examine
from gateway.config.explain import Explanation, as_json, explain
from gateway.config.findings import Severity, render
from gateway.config.rehearsal import identity, rehearse, request
from gateway.config.units import show_duration
from gateway.errors import ConfigurationError, RequestRefused
from gateway.routing.identity import Identity

_LABEL = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("target", metavar="PATH", help="a path, perhaps with a query")
    parser.add_argument(
        "-H", dest="fields", action="append", default=[], metavar="FIELD", help="such as 'Host: a'"
    )
    parser.add_argument(
        "--as",
        dest="who",
        metavar="WHO",
        help="who has proven to ask: org=a, user=b, or org=a,user=b; else what -H Cookie proves",
    )
    parser.add_argument(
        "--status", type=int, default=200, help="what the origin answers (default: 200)"
    )
    parser.add_argument(
        "-R",
        dest="answer",
        action="append",
        default=[],
        metavar="FIELD",
        help="a field of the origin's answer, such as 'Cache-Control: private'",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument(
        "--offline", action="store_true", help="don't ask a running gateway what it has stored"
    )
    add_rules_argument(parser)
    add_admin(parser)


def run(args: argparse.Namespace) -> int:
    """Explain; return 0, also for what is refused."""
    examined = examine(args.rules, os.environ, args.origin)
    if examined.snapshot is None:
        raise ConfigurationError(
            render(each for each in examined.findings if each.severity is Severity.ERROR)
        )
    try:
        head = request(args.method, args.target, map(_field, args.fields))
        rehearsed = rehearse(
            examined.snapshot, head, _who(args.who), args.status, list(map(_field, args.answer))
        )
    except RequestRefused as error:
        print(f"refused  {int(error.status)} {error.status.phrase}: {error}")
        return 0
    explanation = explain(rehearsed, examined.snapshot.routes)
    state = None if args.offline else _state(args, head.host.decode("latin-1"))
    if args.json:
        print(json.dumps(as_json(explanation) | {"running": state}, indent=2))
    else:
        _print(explanation, str(args.rules), state)
    return 0


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigurationError(f'"{text}" is no field: write it as "Name: value"')
    return name.strip(), value.strip()


def _who(text: str | None) -> Identity | None:
    if text is None:
        return None
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if not set(parts) <= {"org", "user"} or not all(parts.values()):
        raise ConfigurationError(f'--as: expected org=NAME, user=NAME or both, got "{text}"')
    return identity(parts.get("user"), parts.get("org"))


def _state(args: argparse.Namespace, host: str) -> dict[str, Any] | None:
    """Return what a running gateway has stored; None when none is reachable."""
    try:
        answer = ask(args, "GET", f"/-/objects?url={quote(args.target, safe='')}")
    except ConfigurationError:
        return None
    found: dict[str, Any] = json.loads(answer)
    if host != "localhost":
        found["objects"] = [each for each in found["objects"] if each["host"] == host]
    return found


def _print(explanation: Explanation, rules: str, state: dict[str, Any] | None) -> None:
    checked = ", ".join(each.name for each in explanation.earlier) or "none before it"
    place = f"{rules}:{explanation.line}" if explanation.line else "implied"
    _line("route", f"{explanation.route}  {place}  (checked before: {checked})")
    for each in explanation.earlier:
        _line("", f"not {each.name}: {'; '.join(each.why) or 'it comes later'}")
    if explanation.answered is not None:
        _line("answer", f"by the gateway itself: {explanation.answered}")
    if explanation.key:
        parts = " | ".join(f"{name} {value}" for name, value in explanation.key.items())
        ignored = f"   ignored: {', '.join(explanation.ignored)}" if explanation.ignored else ""
        _line("key", parts + ignored)
    if explanation.stored and explanation.lifetime is not None:
        groups = f", groups {', '.join(explanation.groups)}" if explanation.groups else ""
        fresh = show_duration(explanation.lifetime) if explanation.lifetime else "0s, validated"
        _line("stored", f"yes, fresh for {fresh}{groups}")
    elif explanation.answered is None:
        _line("stored", "no")
    for obstacle in explanation.obstacles:
        _line("", f"{obstacle.word}: {obstacle.text} ({obstacle.section})")
        if obstacle.remedy is not None:
            _line("", f"  to change that: {obstacle.remedy}")
    for name, value in explanation.fields.items():
        _line("tells", f"{name}: {value}")
    if state is None:
        _line("now", "no running gateway was asked")
    elif not state["objects"]:
        _line("now", "the running gateway has nothing stored for this URL")
    else:
        for each in state["objects"]:
            freshness = "fresh" if each["fresh"] else "stale"
            _line(
                "now",
                f"{each['worker']}: {each['status']}, {freshness}, age {each['age']:.0f}s of"
                f" {each['ttl']:.0f}s, {each['bytes']} bytes, for {each['scope']}",
            )


def _line(label: str, text: str) -> None:
    sys.stdout.write(f"{label:<{_LABEL}}{text}\n")
