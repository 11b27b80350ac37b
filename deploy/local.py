"""What `make run` starts: the hub with its database, and the gateway in front of it.

The hub first, since the gateway reads the keys that it writes; the gateway ends first, so
that what it still answers has a hub behind it. Each runs in a session of its own: Ctrl-C
reaches this script alone, which then ends them in that order.
"""

import argparse
import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_READY_LIMIT = 180.0
"""Seconds for a first start, which creates and fills the database."""
_END_LIMIT = 45.0
"""Seconds to end in order: more than the 30 the gateway gives to running exchanges."""


class StartFailed(Exception):
    """Something can't be started; the text is for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Place:
    """An address to listen on, and how to choose another."""

    what: str
    address: str
    variable: str
    flag: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Where everything goes, and the commands behind it."""

    places: tuple[Place, ...]
    state_dir: Path
    hub: tuple[str, ...]
    gateway: tuple[str, ...]
    """`--origin URL` is added when the hub has told its own."""


def read_plan(arguments: Sequence[str], environ: Mapping[str, str]) -> Plan:
    """Return what flags and environment ask for; a flag wins."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Start the hub on an embedded PostgreSQL and the gateway in front of it.",
    )
    wanted = (
        ("gateway", "GATEWAY_LISTEN", "--gateway-listen", "127.0.0.1:8080"),
        ("gateway's admin port", "GATEWAY_ADMIN", "--gateway-admin", "127.0.0.1:8081"),
        ("hub", "HUB_LISTEN", "--hub-listen", "127.0.0.1:3000"),
    )
    for what, variable, flag, default in wanted:
        parser.add_argument(
            flag,
            default=environ.get(variable) or default,
            metavar="HOST:PORT",
            help=f"where the {what} listens, also {variable} (default: {default})",
        )
    parser.add_argument(
        "--workers",
        default=environ.get("GATEWAY_WORKERS") or "1",
        metavar="N",
        help="the gateway's worker processes, also GATEWAY_WORKERS (default: 1, so that what "
        "one request left in memory is there for the next)",
    )
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".state", metavar="DIR")
    parser.add_argument("--rules", type=Path, default=ROOT / "rules.yaml", metavar="FILE")
    options = parser.parse_args(arguments)
    places = tuple(
        Place(what, getattr(options, flag[2:].replace("-", "_")), variable, flag)
        for what, variable, flag, _ in wanted
    )
    # The children run in the root of the project, wherever we were called.
    state_dir = options.state_dir.absolute()
    state = ("--state-dir", str(state_dir))
    listen = (
        *("--listen", options.gateway_listen, "--admin", options.gateway_admin),
        *("--workers", options.workers),
    )
    python = (sys.executable, "-m")
    return Plan(
        places=places,
        state_dir=state_dir,
        hub=(*python, "upstream", "serve", "--listen", options.hub_listen, *state),
        gateway=(*python, "gateway", "serve", "--rules", _shown(options.rules), *listen, *state),
    )


def check(place: Place) -> None:
    """Raise StartFailed when *place* can't be listened on."""
    host, _, port = place.address.rpartition(":")
    otherwise = (
        f"stop that program, or choose another with {place.variable}=127.0.0.1:PORT make run"
    )
    try:
        number = int(port)
        family, kind, protocol, _, name = socket.getaddrinfo(
            host.strip("[]") or "0.0.0.0", number, type=socket.SOCK_STREAM
        )[0]
    except (ValueError, OSError, OverflowError) as error:
        raise StartFailed(
            f"{place.variable}: expected HOST:PORT such as 127.0.0.1:8080, got {place.address!r}"
        ) from error
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(name)
            # Only listening tells of another listener that has SO_REUSEADDR as well.
            trial.listen(1)
        except OSError as error:
            raise StartFailed(
                f"port {number} for the {place.what} ({place.address}) cannot be used: "
                f"{error.strerror}; {otherwise}"
            ) from error


class Child:
    """A process of ours: its ready line, its end."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self.ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The ready line; an exception when the process ends without one."""
        self.ended = asyncio.ensure_future(self._live())

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], environ: Mapping[str, str] | None = None
    ) -> "Child":
        """Start *command* in a session of its own, on a leash."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "deploy.leash",
            str(os.getpid()),
            *command,
            cwd=ROOT,
            env={**os.environ, **(environ or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        return cls(name, process)

    async def end(self) -> None:
        """Tell it to end and wait; what doesn't end in time is killed, with its group."""
        if self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait([self.ended], timeout=_END_LIMIT)
        self.kill()
        await self.ended

    def kill(self) -> None:
        """End at once whatever is left of its process group."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            return

    async def _live(self) -> int:
        """Pass on what it prints until it ends; return its exit status."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip()
            print(text, flush=True)
            if text.startswith(f"{self.name}: ready") and not self.ready.done():
                self.ready.set_result(text)
        status = await self._process.wait()
        if not self.ready.done():
            self.ready.set_exception(
                StartFailed(f"the {self.name} ended with status {status} before it was ready")
            )
            # Marked as seen: nobody waits for it when we are ending ourselves.
            self.ready.exception()
        return status


async def run(plan: Plan) -> int:
    """Run both until a signal or the end of one; return the exit status."""
    stop = asyncio.Event()
    hurry = asyncio.Event()
    children: list[Child] = []

    def signalled() -> None:
        if stop.is_set():
            hurry.set()
            return
        stop.set()
        if children:
            print("\nending; Ctrl-C again ends it at once", flush=True)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, signalled)
    for place in plan.places:
        check(place)

    serving = asyncio.ensure_future(_serve(plan, children))
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        return 0
    finally:
        stop.set()
        serving.cancel()
        stopped.cancel()
        await asyncio.gather(serving, stopped, return_exceptions=True)
        ending = asyncio.ensure_future(_end(children))
        hurried = asyncio.ensure_future(hurry.wait())
        await asyncio.wait([ending, hurried], return_when=asyncio.FIRST_COMPLETED)
        for child in children:
            child.kill()
        hurried.cancel()
        await asyncio.gather(ending, hurried, return_exceptions=True)


async def _serve(plan: Plan, children: list[Child]) -> None:
    """Start both, say where to look, and raise StartFailed at the end of one."""
    hub = await Child.start("hub", plan.hub)
    children.append(hub)
    origin = _url(await _ready(hub))
    gateway = await Child.start(
        "gateway",
        (*plan.gateway, "--origin", origin),
        {"HUB_JWT_KEYS": str(plan.state_dir / "jwks.json"), **_database(plan)},
    )
    children.append(gateway)
    line = await _ready(gateway)
    admin = re.search(r"admin (http://[^,\s)]+)", line)
    print(_guide(_url(line), admin.group(1) if admin else "", origin, plan), flush=True)
    await asyncio.wait([hub.ended, gateway.ended], return_when=asyncio.FIRST_COMPLETED)
    first = hub if hub.ended.done() else gateway
    raise StartFailed(f"the {first.name} ended with status {first.ended.result()}; ending the rest")


def _database(plan: Plan) -> dict[str, str]:
    """Return where the gateway hears of changed rows: at the hub's own database, if it has one."""
    file = plan.state_dir / "database.url"
    if "DATABASE_URL" in os.environ or not file.exists():
        return {}
    return {"DATABASE_URL": file.read_text().strip()}


async def _ready(child: Child) -> str:
    try:
        return await asyncio.wait_for(asyncio.shield(child.ready), _READY_LIMIT)
    except TimeoutError as error:
        raise StartFailed(
            f"the {child.name} wasn't ready within {_READY_LIMIT:.0f} seconds"
        ) from error


async def _end(children: Sequence[Child]) -> None:
    for child in reversed(children):
        await child.end()


def _url(line: str) -> str:
    found = re.search(r"http://[^\s,)]+", line)
    if found is None:
        raise StartFailed(f"expected an address in the line {line!r}")
    return found.group()


def _shown(path: Path) -> str:
    """Return *path* as short as it is understood from the root of the project."""
    path = path.absolute()
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _guide(gateway: str, admin: str, hub: str, plan: Plan) -> str:
    jar = f"{_shown(plan.state_dir)}/cookies.txt"
    login = """'{"email": "ada@acme.test", "password": "demo-password"}'"""
    return f"""
  gateway  {gateway}
  admin    {admin}   /healthz /readyz /metrics
  hub      {hub}   behind the gateway

Try in another terminal:

  A page, twice; the second comes from the cache (see X-Cache):
    curl -si {gateway}/ | grep -i x-cache; curl -si {gateway}/ | grep -i x-cache

  Log in, then an API call that is cached for your organization alone:
    curl -s -c {jar} -H 'Content-Type: application/json' \\
      -d {login} {gateway}/api/auth/login
    curl -si -b {jar} {gateway}/api/trpc/insight.getIssues

  What the gateway has counted:
    curl -s {admin}/metrics | grep gateway_requests_total

Ctrl-C ends everything; the data stay in {_shown(plan.state_dir)}.
"""


def main(plan: Plan | None = None) -> int:
    """Run *plan*, or what the command line asks for."""
    try:
        return asyncio.run(run(plan or read_plan(sys.argv[1:], os.environ)))
    except StartFailed as error:
        print(f"run: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
