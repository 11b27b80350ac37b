"""What the stories about the hub share."""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.cookies import Morsel
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import psutil
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient

from upstream.settings import PoolSettings, Settings

Client: TypeAlias = TestClient[web.Request, web.Application]

PROCEDURES = (
    "insight.getIssues",
    "autopilot.getRuns",
    "guardian.getTests",
    "analytics.getMetrics",
)
NEVER = "private, no-cache, no-store, must-revalidate"


@contextmanager
def directory() -> Iterator[Path]:
    """Lend a directory that an embedded server may use even when we are root.

    pytest's own ones won't do: every pytest that starts on the machine closes the
    directory above them to other users, and with it to the running server.
    """
    with TemporaryDirectory(prefix="hub-test-") as name:
        yield Path(name)


def survivors(processes: Iterable[psutil.Process], patience: float = 20.0) -> list[psutil.Process]:
    """Return which of *processes* still run when all should have ended; waits for them.

    One that has ended and waits for its parent to notice (a zombie) has ended.
    """
    deadline = time.monotonic() + patience
    left = list(processes)
    while (left := [each for each in left if _runs(each)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def settings_for(state_dir: Path, pool: PoolSettings | None = None) -> Settings:
    """Return settings of a hub that is not to seed and keeps its keys in *state_dir*."""
    return Settings(
        host="127.0.0.1",
        port=0,
        state_dir=state_dir,
        database=None,
        pool=pool or PoolSettings(min_size=1, max_size=5),
        seed=False,
        stripe_secret="whsec_test",
    )


def cookies_of(client: Client) -> dict[str, Morsel[str]]:
    """Return the cookies that *client* holds."""
    return {cookie.key: cookie for cookie in client.session.cookie_jar}


def replace_cookie(client: Client, name: str, value: str) -> None:
    """Let *client* send another value from now on."""
    client.session.cookie_jar.update_cookies({name: value}, client.make_url("/"))


async def call(client: Client, procedure: str, given: Any = None, **headers: str) -> ClientResponse:
    """Call a tRPC procedure, with *given* as its input unless None."""
    params = {} if given is None else {"input": json.dumps(given)}
    return await client.get(f"/api/trpc/{procedure}", params=params, headers=headers)


async def result(client: Client, procedure: str, given: Any = None) -> Any:
    """Return the data of a call that succeeds."""
    reply = await call(client, procedure, given)
    assert reply.status == 200, await reply.text()
    return (await reply.json())["result"]["data"]


async def error_of(reply: ClientResponse) -> Any:
    """Return what an answer in our own shape says about its error."""
    return (await reply.json())["error"]
