"""`gateway serve`: check the rules, bind the ports, run the workers until told to end."""

import argparse
import math
import os
import sys
from pathlib import Path

import msgspec
import uvloop

from gateway.config import rule_tests
from gateway.config.build import Examined, examine, read
from gateway.config.effective import values
from gateway.config.findings import Severity, render
from gateway.control import addresses, log
from gateway.control.access_log import open_for_append
from gateway.control.channel import Settings
from gateway.control.rules_file import Judge, Judged, RulesFile
from gateway.control.supervisor import Supervisor
from gateway.errors import ConfigurationError, UnusableRules

_MOST_WORKERS = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "--rules", required=True, metavar="FILE", help="the rules file, such as rules.yaml"
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default=addresses.Address("127.0.0.1", 8080),
        metavar="HOST:PORT",
        help="where clients connect; port 0 takes a free one, no host means every interface "
        "(default: 127.0.0.1:8080)",
    )
    parser.add_argument(
        "--admin",
        type=_address,
        default=addresses.Address("127.0.0.1", 8081),
        metavar="HOST:PORT",
        help="health, readiness and metrics; keep it private (default: 127.0.0.1:8081)",
    )
    parser.add_argument(
        "--workers",
        type=_worker_count,
        default=None,
        metavar="N",
        help="worker processes (default: one for each core this process may use)",
    )
    parser.add_argument(
        "--origin", metavar="URL", help="replaces the servers of the default origin"
    )
    parser.add_argument(
        "--state-dir",
        default=".state",
        metavar="DIR",
        help="what survives a restart; made if missing (default: .state)",
    )
    parser.add_argument(
        "--access-log",
        metavar="FILE",
        help="JSON lines, one a request; - is stdout; SIGHUP opens it anew (default: off)",
    )


def run(args: argparse.Namespace) -> int:
    """Serve; return the exit status: 0 after a drain, 1 when it can't be done."""
    settings = settings_of(args)
    # Read here first, so that a mistake is told before anything is started.
    path = Path(settings.rules)
    try:
        content = read(path)
    except OSError as error:
        print(f"error: {path} can't be read: {error.strerror}", file=sys.stderr)
        return 1
    examined = _examined(msgspec.structs.replace(settings, rules_text=content))
    if len(examined.findings):
        print(render(examined.findings), file=sys.stderr)
    if examined.findings.failed:
        return 1
    known = dict(examined.included)
    return serve(msgspec.structs.replace(settings, rules_text=content, included=known), judge)


def judge(settings: Settings) -> Judged:
    """Return what the rules in *settings* say, a line for each route, once their tests pass.

    Raises:
        ConfigurationError: they can't be used; the text lists every error with its place.

    """
    examined = _examined(settings)
    if examined.findings.failed:
        raise UnusableRules(
            render(each for each in examined.findings if each.severity is Severity.ERROR),
            examined.included,
        )
    said = [
        f"route {each.route.name}: "
        + ", ".join(f"{held.key} {held.value}" for held in values(each) if held.place is not None)
        for each in examined.routes
    ]
    return Judged(said, dict(examined.included), examined.snapshot)


def _examined(settings: Settings) -> Examined:
    path = Path(settings.rules)
    examined = examine(path, os.environ, settings.origin, settings.rules_text, settings.included)
    if examined.snapshot is not None:
        rule_tests.run(examined.tests, examined.snapshot, examined.findings)
    return examined


def settings_of(args: argparse.Namespace) -> Settings:
    """Return what the flags say."""
    return Settings(
        rules=args.rules,
        listen=args.listen,
        admin=args.admin,
        workers=args.workers or available_cores(),
        origin=args.origin,
        state_dir=args.state_dir,
        access_log=args.access_log,
    )


def serve(settings: Settings, judge: Judge) -> int:
    """Run the supervisor on checked rules; return the exit status.

    *judge* checks what the file says later.
    """
    try:
        _prepare(settings)
        log.configure("gateway")
        return uvloop.run(Supervisor(RulesFile(settings, judge)).run(_announce))
    except ConfigurationError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 1


def available_cores() -> int:
    """Return how many cores this process may use: its affinity and its container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores or 1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        # No cgroup v2, or the quota is the word "max".
        return cores or 1


def _prepare(settings: Settings) -> None:
    """Make the state directory and try the access log; raises ConfigurationError."""
    try:
        Path(settings.state_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the state directory {settings.state_dir}: {error.strerror}; "
            "choose another with --state-dir"
        ) from error
    if settings.access_log is not None and settings.access_log != "-":
        os.close(open_for_append(settings.access_log))


def _announce(line: str) -> None:
    print(line, flush=True)


def _address(text: str) -> addresses.Address:
    try:
        return addresses.parse(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _worker_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_WORKERS):
        raise argparse.ArgumentTypeError(
            f'expected a number of processes from 1 to {_MOST_WORKERS}, got "{text}"'
        )
    return int(text)
