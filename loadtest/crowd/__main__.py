"""`python -m loadtest.crowd`: hold a hundred thousand users, or ask at a steady rate.

    python -m loadtest.crowd                        100,000 connected users, who think
    python -m loadtest.crowd --rate 20000 --hold 60   the stress test's mix, so many a second
    python -m loadtest.crowd --rate 20000 --cached    without /api/health, which is never cached

Starts the hub and the gateway unless --base says where one is. Each user is an open file here and
one in the gateway. Where the limit of open files can't be raised far enough, the users are spread
over more processes on both sides.
"""

import argparse
import resource
import sys
from pathlib import Path

from rich.console import Console

from loadtest.crowd.conduct import Conduct, Plan
from loadtest.crowd.result import text
from loadtest.definition import definition
from loadtest.place import STATE
from loadtest.record import RunError
from loadtest.slo import CROWD_FILE

SPARE_FILES = 2000
"""What a process needs beside its users: chance spreads them over the gateway's workers, and each
worker has connections to the hub."""
_RATE_CONNECTIONS = 2000


def main() -> int:
    """Carry out what the command line asks for; 99 when not everybody could be held."""
    options = _options()
    console = Console(highlight=False, soft_wrap=True)
    try:
        plan = _plan(options)
        result = Conduct(plan, console).run()
    except RunError as error:
        print(f"crowd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("crowd: interrupted", file=sys.stderr)
        return 130
    result.write(options.out or (CROWD_FILE if not plan.rate else STATE / "rate.json"))
    console.print(text(result), markup=False)
    return 0 if result.well else 99


def _options() -> argparse.Namespace:
    numbers = definition().crowd
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.crowd",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--users", type=int, help=f"default: {numbers.users:,}, or {_RATE_CONNECTIONS} with --rate")
    add("--rate", type=float, default=0.0, help="requests a second, of the stress test's mix")
    add("--cached", action="store_true", help="with --rate: only what may be cached")
    add("--live", type=float, default=numbers.live_share, help="share of users that hear events")
    add("--think", type=float, default=numbers.think_seconds, help="mean seconds between questions")
    add("--ramp", type=float, help="seconds to connect in")
    add("--hold", type=float, default=numbers.hold_seconds, help="seconds to measure")
    add("--processes", type=int, default=2, help="of the client, at least (default: 2)")
    add("--workers", type=int, default=2, help="of a gateway started for it, at least (default: 2)")
    add("--base", help="the gateway, http://ADDRESS:PORT; without it one is started, with a hub")
    add("--admin", help="the gateway's admin port, with --base")
    add("--state-dir", type=Path, default=STATE, help="for the database of a hub started for it")
    add("--out", type=Path, help="the file for the result")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    numbers = definition().crowd
    rate = options.rate
    users = options.users or (_RATE_CONNECTIONS if rate else numbers.users)
    if min(users, options.processes, options.workers) < 1 or options.hold <= 0 or rate < 0:
        raise RunError("users, processes, workers and hold must be above 0")
    if not 0 < options.think <= 120:
        raise RunError("--think: expected seconds from 0 to 120")
    ramp = options.ramp if options.ramp is not None else (2.0 if rate else numbers.ramp_seconds)
    if not 0 <= ramp <= 200:
        raise RunError("--ramp: expected seconds from 0 to 200")
    live = 0 if rate else round(users * options.live)
    limit = open_files(users + live + SPARE_FILES)
    return Plan(
        users=users,
        live=live,
        rate=rate,
        cached_only=options.cached,
        think=options.think,
        ramp=ramp,
        hold=options.hold,
        processes=min(max(options.processes, processes_for(users, limit)), users),
        # A stream of events is a connection to the hub as well.
        workers=max(options.workers, processes_for(users + live, limit)),
        base=options.base,
        admin=options.admin,
        state=options.state_dir,
    )


def open_files(wanted: int) -> int:
    """Raise the limit of open files to *wanted* or as far as we may; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (max(wanted, soft), hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
        except (OSError, ValueError):
            # Only root may raise the hard limit, and not even root everywhere.
            continue
        return limit
    return soft


def processes_for(files: int, limit: int) -> int:
    """Return over how many processes *files* have to be spread when each may open *limit*.

    RunError when there is no room beside what a process needs for itself.
    """
    room = limit - SPARE_FILES
    if room < 1:
        raise RunError(
            f"a process may open {limit:,} files and needs {SPARE_FILES:,} of them for itself: "
            f"raise the limit, `ulimit -n 20000`"
        )
    return -(-files // room)


if __name__ == "__main__":
    sys.exit(main())
