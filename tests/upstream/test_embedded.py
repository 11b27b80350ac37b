"""The PostgreSQL that the hub brings along: it lives as long as we do, its data longer."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.upstream.world import directory, survivors
from upstream.embedded import EmbeddedPostgres
from upstream.errors import StartFailed
from upstream.pool import connect
from upstream.settings import PoolSettings


def ask(server: EmbeddedPostgres, statement: str) -> object:
    async def answer() -> object:
        connection = await connect(server.address, PoolSettings())
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(answer())


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    with directory() as folder:
        yield folder / "postgres"


@pytest.fixture
def folder() -> Iterator[Path]:
    with directory() as path:
        yield path


@pytest.fixture
def orphan(data: Path) -> Iterator[psutil.Process]:
    """Lend a server whose hub was killed without a chance to stop it."""
    abandon = (
        "import sys, os, signal, upstream.embedded as e\n"
        "e._stop_with_parent = lambda: None\n"
        "from pathlib import Path\n"
        "server = e.EmbeddedPostgres(Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", abandon, str(data)], stdout=subprocess.PIPE, text=True, check=False
    )
    process = psutil.Process(int(killed.stdout))
    yield process
    if survivors([process], patience=0.0):
        process.terminate()


def test_data_outlive_the_server(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    with EmbeddedPostgres(data) as server:
        assert ask(server, "SELECT answer FROM kept") == 42


def test_nobody_can_reach_the_server_over_the_network(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        assert ask(server, "SHOW listen_addresses") == ""
        listening = psutil.Process(server.pid).net_connections("inet")
        sockets = Path(server.address.host)

    assert listening == []
    assert sockets.stat().st_mode & 0o077 == 0


def test_stopping_leaves_no_process_behind(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        postmaster = psutil.Process(server.pid)
        family = [postmaster, *postmaster.children(recursive=True)]

    assert len(family) > 1
    assert survivors(family) == []
    assert server.pid is None


def test_a_server_left_behind_by_a_killed_hub_is_stopped_and_replaced(
    data: Path, orphan: psutil.Process
) -> None:
    assert orphan.name() == "postgres"

    with EmbeddedPostgres(data) as server:
        assert server.pid != orphan.pid
        assert ask(server, "SELECT 1") == 1

    assert survivors([orphan]) == []


def test_a_stale_note_of_a_dead_server_is_no_obstacle(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        note = (data / "postmaster.pid").read_text()
        assert server.pid is not None
        os.kill(server.pid, 9)
        assert survivors([psutil.Process(server.pid)]) == []
    (data / "postmaster.pid").write_text(note)

    with EmbeddedPostgres(data) as server:
        assert ask(server, "SELECT 1") == 1


def test_a_number_that_belongs_to_a_stranger_by_now_is_left_alone(data: Path) -> None:
    with EmbeddedPostgres(data):
        pass
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n")
        try:
            with EmbeddedPostgres(data) as server:
                assert ask(server, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_long_path_only_moves_the_socket(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)

    with EmbeddedPostgres(deep) as server:
        sockets = Path(server.address.host)
        assert ask(server, "SELECT 1") == 1

    assert not sockets.is_relative_to(deep)
    assert not sockets.exists()


def test_data_that_no_server_can_read_are_named(folder: Path) -> None:
    broken = folder / "postgres"
    broken.mkdir()
    (broken / "PG_VERSION").write_text("9\n")

    with pytest.raises(StartFailed, match="embedded PostgreSQL did not start"):
        EmbeddedPostgres(broken).start()


def test_a_directory_that_holds_something_else_is_not_overwritten(folder: Path) -> None:
    holiday = folder / "postgres"
    holiday.mkdir()
    (holiday / "photo.jpg").write_bytes(b"beach")

    with pytest.raises(StartFailed, match="not empty"):
        EmbeddedPostgres(holiday).start()

    assert (holiday / "photo.jpg").read_bytes() == b"beach"
