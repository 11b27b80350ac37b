"""The hub's command: ``python -m upstream serve``."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from upstream import tools
from upstream.catalogue import named_queries
from upstream.errors import StartFailed
from upstream.serving import run
from upstream.settings import read_settings


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
    migrate = commands.add_parser(
        "migrate",
        help="bring the database up to date and end",
        description="Apply the migrations that are missing; replicas that start together take"
        " turns.",
    )
    for command in (serve, indexes, explain, migrate):
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
    serve.set_defaults(work=None)
    indexes.set_defaults(work=tools.show_indexes)
    explain.set_defaults(work=tools.explain)
    migrate.set_defaults(work=tools.migrate)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="hub: %(levelname)s: %(message)s")
    for name in ("hub.monitoring", "hub.pool"):
        logging.getLogger(name).setLevel(logging.INFO)
    # It would print a traceback each second while the database is away; we answer 503 then.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    try:
        settings = read_settings(
            os.environ,
            listen=getattr(options, "listen", "127.0.0.1:0"),
            state_dir=options.state_dir,
            seed=getattr(options, "seed", "no"),
        )
        if options.work is None:
            run(settings)
        elif options.work is tools.explain:
            if options.list or options.query is None:
                print("\n".join(sorted(named_queries())))
            else:
                print(tools.explain(settings, options.query))
        else:
            print(options.work(settings))
    except StartFailed as error:
        print(f"hub: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
