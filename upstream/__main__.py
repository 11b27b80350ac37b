"""The hub's commands: ``serve``, ``rotate-keys``, ``migrate``, ``indexes``, ``explain``."""

import argparse
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from upstream import tools
from upstream.catalogue import named_queries
from upstream.errors import StartFailed
from upstream.org_token import make_key
from upstream.serving import run
from upstream.settings import Settings, read_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 after a clean stop, else 1."""
    parser = argparse.ArgumentParser(prog="python -m upstream", description="The hub.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve the pages and the API",
        description="Serve the pages and the API until SIGINT or SIGTERM. Without DATABASE_URL"
        " or DATABASE_HOST the hub starts a PostgreSQL of its own in the state directory.",
    )
    serve.add_argument(
        "--listen",
        default="127.0.0.1:3000",
        metavar="HOST:PORT",
        help="where to listen; port 0 lets the system choose (default: %(default)s)",
    )
    rotate = commands.add_parser(
        "rotate-keys",
        help="make a new key for the organization token",
        description="Make a new key. Running hubs publish it within a minute and sign with it"
        " an hour later; the old one is dropped when its last token has run out.",
    )
    migrate = commands.add_parser(
        "migrate",
        help="bring the database up to date and end",
        description="Apply the migrations that are missing; replicas that start together take"
        " turns.",
    )
    indexes = commands.add_parser(
        "indexes",
        help="show which indexes serve, which don't, and which are missing",
        description="Report on the indexes, from PostgreSQL's own counts: each with its size and"
        " scans, those that no query has read, duplicates, and big tables read from end to end.",
    )
    explain = commands.add_parser(
        "explain",
        help="show the plan of a named query",
        description="Show how PostgreSQL would run a query of the hub, without running it.",
    )
    explain.add_argument(
        "query", nargs="?", metavar="QUERY_NAME", help="such as insight.issues.page"
    )
    explain.add_argument("--list", action="store_true", help="list the names")
    for command in (serve, rotate, migrate, indexes, explain):
        command.add_argument(
            "--state-dir",
            default=Path(".state"),
            type=Path,
            metavar="DIR",
            help="holds the database, the keys and jwks.json (default: %(default)s)",
        )
    for command in (serve, migrate):
        command.add_argument(
            "--seed",
            choices=["auto", "yes", "no"],
            default="auto",
            help="fill an empty database with demo data; auto does so only in the embedded one,"
            " since everybody knows the password of the demo users (default: %(default)s)",
        )
    serve.set_defaults(command=_serve)
    rotate.set_defaults(command=_rotate_keys)
    migrate.set_defaults(command=_migrate)
    indexes.set_defaults(command=_indexes)
    explain.set_defaults(command=_explain)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="hub: %(levelname)s: %(message)s")
    for name in ("hub.monitoring", "hub.pool"):
        logging.getLogger(name).setLevel(logging.INFO)
    # It would print a traceback each second while the database is away; we answer 503 then.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    try:
        options.command(options)
    except StartFailed as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _settings(options: argparse.Namespace) -> Settings:
    return read_settings(
        os.environ,
        listen=getattr(options, "listen", "127.0.0.1:0"),
        state_dir=options.state_dir,
        seed=getattr(options, "seed", "no"),
    )


def _serve(options: argparse.Namespace) -> None:
    run(_settings(options))


def _migrate(options: argparse.Namespace) -> None:
    print(tools.migrate(_settings(options)))


def _indexes(options: argparse.Namespace) -> None:
    print(tools.show_indexes(_settings(options)))


def _explain(options: argparse.Namespace) -> None:
    if options.list or options.query is None:
        print("\n".join(sorted(named_queries())))
    else:
        print(tools.explain(_settings(options), options.query))


def _rotate_keys(options: argparse.Namespace) -> None:
    folder = options.state_dir
    if not (folder / "keys").is_dir():
        raise StartFailed(f"--state-dir: no hub has kept keys in {folder}: start one there first")
    try:
        print(f"hub: made {make_key(folder, time.time())}; it signs in an hour")
    except OSError as error:
        raise StartFailed(f"--state-dir: cannot write a key: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
