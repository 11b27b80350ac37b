"""``gateway init``: write a first rules file, from nothing, a log or an API's description."""

import argparse
import sys
from pathlib import Path

from gateway.config import starter
from gateway.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "file",
        nargs="?",
        type=Path,
        default=Path("rules.yaml"),
        metavar="FILE",
        help="where to write (default: rules.yaml); - is stdout",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--from-log",
        type=Path,
        metavar="LOG",
        help="propose routes for what an access log shows: our JSON lines, or nginx's combined",
    )
    source.add_argument(
        "--from-openapi", type=Path, metavar="FILE", help="propose routes for an OpenAPI 3 file"
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(args: argparse.Namespace) -> int:
    """Write the file; return 0."""
    text = _text(args)
    if str(args.file) == "-":
        sys.stdout.write(text)
        return 0
    try:
        # Made anew, so that nobody's rules are lost between looking and writing.
        with args.file.open("w" if args.force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{args.file} is there already: name another file, or write over it with --force"
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{args.file} can't be written: {error.strerror}") from error
    print(f"wrote {args.file}; look at it, then: gateway check {args.file}")
    return 0


def _text(args: argparse.Namespace) -> str:
    try:
        if args.from_log is not None:
            with args.from_log.open(encoding="utf-8", errors="replace") as file:
                return starter.from_log(file)
        if args.from_openapi is not None:
            described = args.from_openapi.read_text("utf-8")
            return starter.from_openapi(starter.read_openapi(described))
    except OSError as error:
        raise ConfigurationError(f"{error.filename} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{args.from_openapi} is no UTF-8 text: {error}") from error
    return starter.PLAIN
