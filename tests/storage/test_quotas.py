"""Buckets in a table of bounded size that several processes spend from."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.policy.rate import RateLimit
from gateway.storage import quotas
from gateway.storage.quotas import Quotas

LIMIT = RateLimit("api", 100, 3600.0, 100)

SPENDER = """
import sys, time
from gateway.policy.rate import RateLimit
from gateway.storage.quotas import Quotas
limit = RateLimit("api", 100, 3600.0, 100)
table = Quotas(int(sys.argv[1]))
mark = table.mark(limit, b"somebody")
print("ready", flush=True)
sys.stdin.readline()
passed = sum(table.spend(mark, time.monotonic(), limit)[0] for _ in range(int(sys.argv[2])))
print(passed, flush=True)
"""


@pytest.fixture
def table() -> Iterator[Quotas]:
    made = Quotas()
    yield made
    made.close()


def spend(table: Quotas, subject: bytes, times: int, now: float = 1000.0) -> int:
    mark = table.mark(LIMIT, subject)
    return sum(table.spend(mark, now, LIMIT)[0] for _ in range(times))


def test_everybody_has_a_bucket_of_their_own(table: Quotas) -> None:
    assert [spend(table, b"ada", 70), spend(table, b"ben", 70)] == [70, 70]
    assert [spend(table, b"ada", 70), spend(table, b"ben", 70)] == [30, 30]


def test_limits_of_different_names_count_apart(table: Quotas) -> None:
    other = RateLimit("login", 100, 3600.0, 100)
    spend(table, b"ada", 100)

    assert table.spend(table.mark(other, b"ada"), 1000.0, other)[0]


def test_what_is_given_back_can_be_spent_again(table: Quotas) -> None:
    mark = table.mark(LIMIT, b"ada")
    spend(table, b"ada", 100)
    assert spend(table, b"ada", 1) == 0

    table.give_back(mark, LIMIT)

    assert [spend(table, b"ada", 1), spend(table, b"ada", 1)] == [1, 0]


def test_what_others_spent_elsewhere_is_missing_here(table: Quotas) -> None:
    table.shift(table.mark(LIMIT, b"ada"), 1000.0, 98 * LIMIT.interval)

    assert spend(table, b"ada", 5) == 2


def test_a_flood_of_addresses_takes_no_more_room_and_full_buckets_go_first(table: Quotas) -> None:
    spend(table, b"ada", 100)
    for number in range(200_000):
        # Each spends one of a hundred, so each bucket is nearer to being full than ada's.
        spend(table, b"flood %d" % number, 1)

    assert table.displaced > 100_000
    assert spend(table, b"ada", 1) == 0
    assert len(table._table) == quotas.TABLE_BYTES


@pytest.mark.parametrize("spenders", [1, 3])
def test_processes_spend_from_one_bucket_exactly_what_is_in_it(spenders: int) -> None:
    descriptor = quotas.new_table()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDER, str(descriptor), "5000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[descriptor],
        )
        for _ in range(spenders)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    passed = [int(process.communicate("go\n", timeout=60)[0]) for process in processes]
    os.close(descriptor)

    assert sum(passed) == 100


HOLDER = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_stands_still_holds_up_nobody() -> None:
    descriptor = quotas.new_table()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(descriptor)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[descriptor],
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.send_signal(signal.SIGSTOP)
    table = Quotas(descriptor)

    began = time.monotonic()
    passed = spend(table, b"ada", 3)
    lasted = time.monotonic() - began

    holder.kill()
    holder.communicate()
    assert passed == 3
    assert lasted < 2.0
    assert spend(table, b"ada", 100) == 97
    table.close()
