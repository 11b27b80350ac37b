"""``python -m upstream serve`` as whoever types it meets it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

from tests.upstream.world import directory, survivors
from upstream.embedded import EmbeddedPostgres
from upstream.settings import DatabaseAddress

READY = re.compile(
    r"hub: ready on (http://127\.0\.0\.1:\d+) \(([\d,]+) rows, (embedded )?PostgreSQL 18\.\d+\)\n"
)
PATIENCE = 60.0

pytestmark = pytest.mark.usefixtures("no_database_named")


@pytest.fixture
def no_database_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("DATABASE_", "DB_POOL_")):
            monkeypatch.delenv(name)


@dataclass
class Running:
    process: "subprocess.Popen[str]"
    url: str
    rows: int
    embedded: bool

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


def command(state: Path, *more: str, listen: str = "127.0.0.1:0") -> list[str]:
    return [
        sys.executable,
        *("-m", "upstream", "serve", "--listen", listen, "--state-dir", str(state)),
        *more,
    ]


@contextmanager
def running(state: Path, *more: str, **environ: str) -> Iterator[Running]:
    process = subprocess.Popen(
        command(state, *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            ready = READY.fullmatch(line)
            assert ready, line or process.communicate()[1]
            yield Running(process, ready[1], int(ready[2].replace(",", "")), bool(ready[3]))
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(PATIENCE)


def refused(state: Path, *more: str, listen: str = "127.0.0.1:0", **environ: str) -> str:
    """Return the only line on stderr of a hub that doesn't start."""
    ended = subprocess.run(
        command(state, *more, listen=listen),
        capture_output=True,
        text=True,
        env=os.environ | environ,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    return ended.stderr


def get(url: str) -> str:
    with urlopen(url, timeout=PATIENCE) as reply:
        return str(reply.read().decode())


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """Lend a state directory that these tests hand on to one another."""
    with directory() as folder:
        yield folder / "state"


def login(url: str) -> Request:
    return Request(
        f"{url}/api/auth/login",
        data=b'{"email":"ada@acme.test","password":"demo-password"}',
        headers={"Content-Type": "application/json"},
    )


def test_a_first_start_seeds_serves_and_leaves_nothing_running(state: Path) -> None:
    with running(state) as hub:
        assert hub.embedded
        assert 45_000 < hub.rows < 55_000
        health = json.loads(get(f"{hub.url}/api/health"))
        keys = json.loads(get(f"{hub.url}/.well-known/jwks.json"))
        family = hub.family()

        assert hub.stop(signal.SIGINT) == 0

    assert health["status"] == "ok"
    assert json.loads((state / "jwks.json").read_text()) == keys
    assert len(family) > 1
    assert survivors(family) == []


def test_a_second_start_keeps_data_and_keys_and_is_quick(state: Path) -> None:
    with running(state) as hub:
        with urlopen(login(hub.url), timeout=PATIENCE) as reply:
            cookies = [value.partition(";")[0] for value in reply.headers.get_all("Set-Cookie")]
        keys = get(f"{hub.url}/.well-known/jwks.json")
        rows = json.loads(get(f"{hub.url}/api/health"))
        hub.stop()
    started = time.monotonic()
    with running(state) as hub:
        took = time.monotonic() - started
        who = urlopen(
            Request(f"{hub.url}/api/auth/session", headers={"Cookie": "; ".join(cookies)}),
            timeout=PATIENCE,
        )
        with who:
            session = json.load(who)
        assert get(f"{hub.url}/.well-known/jwks.json") == keys

    assert rows["status"] == "ok"
    assert session["user"]["email"] == "ada@acme.test"
    assert took < 10.0


def test_the_private_key_and_the_secrets_are_for_nobody_else(state: Path) -> None:
    with running(state):
        secrets = [*(state / "keys").iterdir(), state / "stripe_webhook_secret"]

    assert [file.stat().st_mode & 0o777 for file in secrets] == [0o600, 0o600]
    assert (state / "keys").stat().st_mode & 0o077 == 0


def test_a_killed_hub_takes_its_database_along_and_the_next_start_recovers(state: Path) -> None:
    with running(state) as hub:
        family = hub.family()
        hub.stop(signal.SIGKILL)
    if sys.platform == "linux":
        assert survivors(family) == []

    with running(state) as hub:
        assert json.loads(get(f"{hub.url}/api/health"))["status"] == "ok"


def test_a_database_that_dies_is_started_again(state: Path) -> None:
    with running(state) as hub:
        postmaster = next(each for each in hub.family() if each.ppid() == hub.process.pid)
        postmaster.kill()
        postmaster.wait(10)

        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with socket.create_connection(hub.url.removeprefix("http://").split(":")) as client:  # type: ignore[arg-type]
                client.sendall(
                    b"GET /api/health HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n"
                )
                if b" 200 " in client.recv(64):
                    break
        else:
            pytest.fail("the hub never recovered")


def test_a_running_request_is_finished_before_the_hub_ends(state: Path) -> None:
    with running(state) as hub:
        host, port = hub.url.removeprefix("http://").split(":")
        body = b'{"email":"ada@acme.test","password":"demo-password"}'
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
            client.sendall(
                b"POST /api/auth/login HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
                b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
            assert client.recv(100).startswith(b"HTTP/1.1 100")  # the handler has begun
            hub.process.send_signal(signal.SIGTERM)
            client.sendall(body)
            assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert hub.process.wait(PATIENCE) == 0


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(tmp_path, listen=f"127.0.0.1:{port}")

    assert f"cannot listen on 127.0.0.1:{port}: the port is already in use" in line
    assert "--listen" in line


def test_a_second_hub_on_the_same_state_is_refused(state: Path) -> None:
    with running(state) as hub:
        line = refused(state)
        assert json.loads(get(f"{hub.url}/api/health"))["status"] == "ok"

    assert "another hub is using" in line


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        pytest.param({"DB_POOL_MAX": "lots"}, "DB_POOL_MAX: expected", id="pool"),
        pytest.param(
            {"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"},
            "cannot reach PostgreSQL at me@127.0.0.1:1/x",
            id="unreachable",
        ),
        pytest.param({"DATABASE_HOST": "no-such-host.invalid"}, "no-such-host.invalid", id="name"),
    ],
)
def test_what_keeps_the_hub_from_starting_is_said_in_one_line(
    tmp_path: Path, environ: dict[str, str], words: str
) -> None:
    line = refused(tmp_path, **environ)

    assert words in line
    assert "hunter2" not in line


def test_a_wrong_listen_address_is_said_in_one_line(tmp_path: Path) -> None:
    assert "--listen" in refused(tmp_path, listen="nowhere")


def test_a_real_server_is_used_and_seeded_only_when_asked_to(
    empty_database: DatabaseAddress, tmp_path: Path
) -> None:
    url = f"postgresql:///{empty_database.name}?host={empty_database.host}"

    with running(tmp_path, DATABASE_URL=url) as hub:
        assert not hub.embedded
        assert hub.rows == 0
    with running(tmp_path, "--seed", "yes", DATABASE_URL=url) as hub:
        assert hub.rows > 45_000

    assert not (tmp_path / "postgres").exists()


def test_a_database_that_doesnt_exist_is_said_in_one_line(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = f"postgresql:///missing?host={postgres.address.host}"

    assert 'database "missing" does not exist' in refused(tmp_path, DATABASE_URL=url)
