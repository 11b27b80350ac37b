"""What the benchmark starts, it stops; what isn't installed has no version."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import peers

PARENT = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
child = subprocess.Popen(sleep, start_new_session=True)
print(child.pid, flush=True)
time.sleep(60)
"""


def is_running(pid: int) -> bool:
    return any(member.pid == pid for member in peers.processes())


def test_stopping_a_server_ends_workers_that_have_sessions_of_their_own() -> None:
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    assert {member.pid for member in peers.family(process.pid)} == {process.pid, worker}

    peers.stop(process)
    process.stdout.close()

    deadline = time.monotonic() + 10
    while is_running(worker) and time.monotonic() < deadline:
        os.sched_yield()
    assert not is_running(worker)
    assert process.returncode is not None


def test_what_is_not_installed_has_no_version_and_does_not_start(tmp_path: Path) -> None:
    ghost = peers.Server("ghost", "no-such-program", ("-v",), lambda _: [])

    assert ghost.read_version() is None
    with (
        pytest.raises(peers.DidNotStart, match="no-such-program is not installed"),
        peers.serving(ghost, origin_port=1, core=0, folder=tmp_path / "ghost"),
    ):
        pass


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    script = "import sys; sys.exit('rules.yaml:3:1: unknown key')"
    broken = peers.Server("broken", sys.executable, ("-V",), lambda _: ["-c", script])
    core = min(os.sched_getaffinity(0))

    with (
        pytest.raises(peers.DidNotStart, match=r"ended with status 1: rules\.yaml:3:1: unknown"),
        peers.serving(broken, origin_port=1, core=core, folder=tmp_path / "broken"),
    ):
        pass
