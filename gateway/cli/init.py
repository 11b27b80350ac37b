"""`gateway init`: a commented rules file to begin with, or one proposed from what there is."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.config import draft_log, draft_openapi
from gateway.config.draft import STARTER, Draft, text
from gateway.config.shapes import Unfit
from gateway.config.units import parse_server
from gateway.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "file",
        nargs="?",
        default="rules.yaml",
        metavar="FILE",
        help="where to write it, - for stdout (default: rules.yaml)",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from-log",
        type=Path,
        metavar="LOG",
        help="propose routes from an access log: the gateway's own, or nginx's combined format; "
        "- reads stdin",
    )
    source.add_argument(
        "--from-openapi",
        type=Path,
        metavar="FILE",
        help="propose routes from an OpenAPI 3 description, in JSON or YAML",
    )
    parser.add_argument("--origin", metavar="URL", help="the server that the gateway stands before")
    parser.add_argument("--force", action="store_true", help="replace a file that is there")
    parser.add_argument("--json", action="store_true", help="print what was proposed as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the file; return 1 when it is there already or nothing can be proposed."""
    if args.origin is not None:
        _check_origin(args.origin)
    to_stdout = args.file == "-"
    if not to_stdout and not args.force and Path(args.file).exists():
        raise ConfigurationError(
            f"{args.file} is there already; name another file, or replace it with --force"
        )
    draft, told = _draft(args)
    written = text(draft)
    if to_stdout and not args.json:
        sys.stdout.write(written)
        return 0
    if not to_stdout:
        try:
            Path(args.file).write_text(written, "utf-8")
        except OSError as error:
            raise ConfigurationError(f"{args.file} can't be written: {error.strerror}") from error
    if args.json:
        _print_json(args, draft, written, to_stdout=to_stdout)
        return 0
    for line in told:
        print(line)
    print(f"{args.file} is written; next: gateway check {args.file}")
    return 0


def _print_json(args: argparse.Namespace, draft: Draft, written: str, *, to_stdout: bool) -> None:
    kept = [route for route in draft.routes if f"- name: {route.name}\n" in written]
    answer: dict[str, object] = {
        "file": None if to_stdout else args.file,
        "routes": [route.as_json() for route in kept],
        "invalidate": [
            {
                "paths": list(each.paths),
                "methods": list(each.methods),
                "groups": list(each.groups),
            }
            for each in draft.writes
        ],
    }
    if to_stdout:
        answer["text"] = written
    print(json.dumps(answer, indent=2))


def _check_origin(url: str) -> None:
    try:
        parse_server(url)
    except Unfit as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise ConfigurationError(
            f"--origin: expected a URL such as http://127.0.0.1:3000{hint}"
        ) from error


def _draft(args: argparse.Namespace) -> tuple[Draft, list[str]]:
    """Return what to write, and what to say about how it was found."""
    if args.from_openapi is not None:
        try:
            content = args.from_openapi.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"{args.from_openapi} can't be read: {error.strerror}"
            ) from error
        draft = draft_openapi.draft(content, args.from_openapi.name, args.origin)
        return draft, [f"{len(draft.routes)} operations read, {len(draft.writes)} kinds of writes"]
    server = args.origin or Draft().server
    if args.from_log is None:
        return Draft(server=server, routes=STARTER), []
    found = draft_log.summary(_log_lines(args.from_log))
    if not found.requests:
        raise ConfigurationError(
            f"{args.from_log} has no line that is a request; expected the gateway's access log "
            "(JSON) or nginx's combined format"
        )
    told = [f"{found.requests} requests read"]
    if found.unread:
        told.append(f"{found.unread} lines are no requests, the first is line {found.first_unread}")
    ignored = tuple(dict.fromkeys((*Draft().ignored, *sorted(found.tracking))))
    return (
        Draft(
            server=server,
            source=f"{found.requests} requests of {args.from_log.name}",
            routes=tuple(draft_log.routes(found)),
            ignored=ignored,
        ),
        told,
    )


def _log_lines(path: Path) -> Iterator[str]:
    if str(path) == "-":
        yield from sys.stdin
        return
    try:
        with path.open(encoding="utf-8", errors="backslashreplace") as file:
            yield from file
    except OSError as error:
        raise ConfigurationError(f"{os.fspath(path)} can't be read: {error.strerror}") from error
