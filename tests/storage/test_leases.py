"""One worker fetches, the others wait: by marks in shared memory."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from gateway.storage.leases import Answer, Leases, new_table


@pytest.fixture
def descriptor() -> Iterator[int]:
    descriptor = new_table()
    yield descriptor
    os.close(descriptor)


def another(descriptor: int, then: str = "input()") -> "subprocess.Popen[str]":
    """Start a process that takes the lease of ``key`` at 100 for 5 seconds."""
    program = textwrap.dedent(
        f"""
        from gateway.storage.leases import Leases
        leases = Leases({descriptor})
        print(leases.acquire(b"key", 100.0, 5.0).value, flush=True)
        {then}
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        pass_fds=(descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ours\n"
    return process


def test_what_another_process_holds_is_anothers_until_it_ends(descriptor: int) -> None:
    process = another(descriptor)
    leases = Leases(descriptor)

    assert leases.acquire(b"key", 101.0, 5.0) is Answer.ANOTHERS
    assert leases.held(b"key", 101.0)
    assert leases.acquire(b"another key", 101.0, 5.0) is Answer.OURS
    assert not leases.held(b"key", 106.0)
    assert leases.acquire(b"key", 106.0, 5.0) is Answer.OURS

    process.communicate("\n")


def test_what_was_given_back_is_free(descriptor: int) -> None:
    process = another(descriptor, 'input(); leases.release(b"key"); print("done", flush=True)')
    leases = Leases(descriptor)
    assert leases.held(b"key", 101.0)

    assert process.communicate("\n")[0] == "done\n"

    assert not leases.held(b"key", 101.0)
    assert leases.acquire(b"key", 101.0, 5.0) is Answer.OURS


def test_the_lease_of_a_process_that_was_killed_is_free_at_once(descriptor: int) -> None:
    process = another(descriptor)
    leases = Leases(descriptor)
    assert leases.held(b"key", 101.0)

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert not leases.held(b"key", 101.0)
    assert leases.acquire(b"key", 101.0, 5.0) is Answer.OURS


def test_a_table_that_another_has_locked_is_no_answer_and_no_release(descriptor: int) -> None:
    locks = "import fcntl; fcntl.lockf(%d, fcntl.LOCK_EX); print(1, flush=True); input()"
    process = another(descriptor, f"input(); {locks % descriptor}")
    assert process.stdin is not None
    assert process.stdout is not None
    leases = Leases(descriptor)
    assert leases.acquire(b"ours", 101.0, 5.0) is Answer.OURS
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "1\n"

    assert leases.acquire(b"free", 101.0, 5.0) is Answer.UNKNOWN
    assert not leases.release(b"ours")

    process.communicate("\n")
    assert leases.acquire(b"free", 101.0, 5.0) is Answer.OURS
    assert leases.release(b"ours")


def test_our_own_lease_keeps_us_from_nothing(descriptor: int) -> None:
    leases = Leases(descriptor)

    assert leases.acquire(b"key", 100.0, 5.0) is Answer.OURS
    assert leases.acquire(b"key", 100.0, 5.0) is Answer.OURS
    assert not leases.held(b"key", 100.0)


def test_a_table_that_is_full_gives_no_lease_and_stops_nobody(descriptor: int) -> None:
    leases = Leases(descriptor)
    answers = [leases.acquire(b"%d" % number, 100.0, 5.0) for number in range(60_000)]

    assert Answer.NONE in answers
    assert answers.count(Answer.OURS) > 10_000
    assert leases.acquire(b"0", 106.0, 5.0) is Answer.OURS
