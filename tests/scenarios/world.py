"""A whole site on loopback: `gateway serve` with its workers, two origins, all to be killed."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import psutil
from aiohttp import ClientSession
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from tests.doubles.serving import PATIENCE, Serving, start
from tests.scenarios import content
from tests.scenarios.content import Asker, Versions
from tests.upstream.world import survivors

STALE = 4.0
"""Seconds beyond a lifetime in which the rules let something stale be sent."""
LIFETIMES = ("1s", "2s")
LONGEST_STALE = 2.0 + STALE + 1.0
"""The longest lifetime, what may follow it, and a second in which an answer is under way."""


IMPATIENT = "{connect: 500ms, first_byte: 2s, between_bytes: 1s, total: 5s}"
PATIENT = "{connect: 5s, first_byte: 10s, between_bytes: 10s, total: 15s}"
"""Where origins do nothing wrong: a busy machine may keep them from running for a while."""


def rules(ports: list[int], lifetime: str, *, calm: bool) -> str:
    """Return the rules, with *lifetime* as the ttl of everything that is stored."""
    servers = ", ".join(f'"http://127.0.0.1:{port}"' for port in ports)
    routes = "".join(
        f"  - name: {folder}\n"
        f"    match: {{path: /{folder}/*}}\n"
        f"    cache: {{ttl: {lifetime}, scope: {folder}, stale_while_revalidate: 2s,"
        f" stale_if_error: {{for: {STALE:.0f}s, after: 500ms}}}}\n"
        for folder in ("public", "org", "user")
    )
    return (
        "version: 1\n"
        "identity:\n"
        "  user: {cookie: s}\n"
        "  org: {jwt_claim: org, cookie: t, keys: keys.json}\n"
        "origins:\n"
        "  hub:\n"
        f"    servers: [{servers}]\n"
        f"    timeouts: {PATIENT if calm else IMPATIENT}\n"
        "tiers: {memory: {size: 3MB, max_object: 1MB}}\n"
        "routes:\n"
        "  - {name: off, match: {path: /off/*}, cache: off}\n" + routes
    )


def askers(folder: Path, count: int) -> list[Asker]:
    """Return *count* people of three organisations; the keys for their tokens go to *folder*."""
    key = Ed25519PrivateKey.generate()
    public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
    (folder / "keys.json").write_text(json.dumps({"keys": [public]}))
    until = int(time.time()) + 3600
    found = []
    for number in range(count):
        org = f"org{number % 3}"
        token = jwt.encode({"org": org, "exp": until}, key, "EdDSA")
        found.append(Asker(f"user{number}", org, token))
    return found


@dataclass(slots=True)
class Origin:
    """One origin process, on the same port however often it dies."""

    folder: Path
    calm: bool
    port: int = 0
    process: asyncio.subprocess.Process | None = None

    async def begin(self) -> None:
        flags = ["calm"] if self.calm else []
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.scenarios.origin_main"),
            *(str(self.port), str(self.folder), *flags),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.port = int(await self.process.stdout.readline())

    async def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            await self.process.communicate()
            self.process = None


@dataclass(slots=True)
class Site:
    """The gateway and what is behind it."""

    folder: Path
    origins: list[Origin]
    versions: Versions
    askers: list[Asker]
    gateway: Serving
    workers: int
    family: list[psutil.Process] = field(default_factory=list)
    """Every process of a gateway that was ever seen."""

    def write_rules(self, lifetime: str) -> None:
        ports = [origin.port for origin in self.origins]
        text = rules(ports, lifetime, calm=self.origins[0].calm)
        # Never half written: the gateway may look at any time.
        fresh = self.folder / "rules.yaml.new"
        fresh.write_text(text)
        fresh.replace(self.folder / "rules.yaml")

    async def post(self, path: str, body: object = None) -> tuple[int, dict[str, object]]:
        """Ask the admin port; return status and answer."""
        host, port = self.gateway.admin
        url = f"http://{host}:{port}{path}"
        async with (
            asyncio.timeout(PATIENCE),
            ClientSession() as session,
            session.post(url, json=body) as reply,
        ):
            answer: dict[str, object] = await reply.json()
            return reply.status, answer

    def uploads(self) -> list[bytes]:
        """Return what origins took note of."""
        file = self.folder / "uploads"
        return file.read_bytes().split() if file.exists() else []

    async def worker_pids(self) -> list[int]:
        """Return the workers that accept now, and remember them."""
        seen = await self.gateway.readiness()
        pids = [worker.pid for worker in seen.workers if worker.state == "accepting"]
        known = {process.pid for process in self.family}
        for pid in pids:
            if pid not in known:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.family.append(psutil.Process(pid))
        return pids

    async def restart_gateway(self) -> None:
        """End it as `systemctl restart` does, and start another at the same address."""
        host, port = self.gateway.listen
        self.gateway.signal(signal.SIGTERM)
        status = await self.gateway.ended()
        errors = await self.gateway.errors()
        assert (status, "Traceback" in errors) == (0, False), errors
        self.gateway = await serve(self.folder, self.workers, f"{host}:{port}")


async def serve(folder: Path, workers: int, listen: str = "127.0.0.1:0") -> Serving:
    process = await start(
        *("serve", "--rules", str(folder / "rules.yaml"), "--state-dir", str(folder / "state")),
        *("--workers", str(workers), "--listen", listen, "--admin", "127.0.0.1:0"),
        module="gateway",
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        line = (await process.stdout.readline()).decode().rstrip()
    urls = re.findall(r"http://[0-9.]+:\d+", line)
    if len(urls) != 2:
        _, errors = await process.communicate()
        raise AssertionError(f"{line}\n{errors.decode()}")
    listening, admin = (urlsplit(url).port or 0 for url in urls)
    return Serving(process, line, ("127.0.0.1", listening), ("127.0.0.1", admin))


@asynccontextmanager
async def site(folder: Path, *, workers: int, calm: bool) -> AsyncIterator[Site]:
    """Start it all; nothing of it is left after."""
    versions = Versions(folder / "versions")
    origins = [Origin(folder, calm), Origin(folder, calm)]
    made: Site | None = None
    try:
        for origin in origins:
            await origin.begin()
        people = askers(folder, 6)
        ports = [each.port for each in origins]
        (folder / "rules.yaml").write_text(rules(ports, LIFETIMES[0], calm=calm))
        gateway = await serve(folder, workers)
        made = Site(folder, origins, versions, people, gateway, workers)
        await made.worker_pids()
        yield made
        made.gateway.signal(signal.SIGTERM)
        assert await made.gateway.ended() == 0
        errors = await made.gateway.errors()
        assert "Traceback" not in errors, errors
        assert survivors(made.family) == []
    finally:
        if made is not None:
            if made.gateway.process.returncode is None:
                made.gateway.process.kill()
            for process in made.family:
                if process.is_running():
                    process.kill()
            await made.gateway.process.communicate()
        for origin in origins:
            await origin.kill()
        versions.close()


async def kill(pid: int, number: signal.Signals) -> None:
    """Send *number* to a worker that may be gone by now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def hard_purge(chance: float, keys: list[str]) -> tuple[dict[str, object], list[str]]:
    """Return a hard purge that reaches *keys* or more, by a kind that *chance* picks, and what."""
    folder = keys[0].split("/")[1]
    whole_folder = [key for key in content.KEYS if key.startswith(f"/{folder}/")]
    match int(chance * 5):
        case 0:
            return {"prefix": f"/{folder}/", "hard": True}, whole_folder
        case 1:
            return {"group": folder, "hard": True}, whole_folder
        case 2:
            return {"route": folder, "hard": True}, whole_folder
        case _:
            return {"url": keys, "hard": True}, keys
