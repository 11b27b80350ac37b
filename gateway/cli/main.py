"""The command line: finds the command, hands over, and turns errors into exit statuses.

A command is one module with ``add_arguments(parser)`` and ``run(args) -> int``; only the
module of the command that is asked for is imported, so that the quick ones stay quick.
Exit statuses: 0 done, 1 an error that was explained, 2 arguments that make no sense.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from gateway.errors import ConfigurationError

COMMANDS = {
    "serve": "answer requests",
    "check": "say what is wrong with a rules file, or what it comes to",
    "init": "write a rules file to begin with, or propose one",
    "explain": "say why a request is answered as it is, and what would change it",
    "show": "say what holds for one route, and which line says so",
    "plan": "replay an access log under other rules, and say what would change",
    "purge": "let a running gateway forget what is named",
    "stats": "say what a running gateway has served, from which tier",
    "warm": "ask for URLs before clients do",
    "cdn": "purge the CDN in front, or say what it served",
    "schema": "print the JSON Schema of rules files",
}
"""The commands with what they do; each is the module of its name."""
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* names (None: the process's arguments); return its status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="gateway", description="A caching gateway.")
    parser.add_argument("--version", action="version", version=f"gateway {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    asked = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=f"{purpose.capitalize()}.")
        if name == asked:
            module = import_module(f"gateway.cli.{name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    try:
        status: int = args.run(args)
        sys.stdout.flush()
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _version() -> str:
    try:
        return version("hub-gateway")
    except PackageNotFoundError:  # run from a tree that isn't installed
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
