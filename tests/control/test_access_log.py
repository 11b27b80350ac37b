"""The access log against real files and pipes."""

import json
import os
from pathlib import Path

import pytest

from gateway.control.access_log import AccessLogFile
from gateway.counters import Counters
from gateway.errors import ConfigurationError
from tests.doubles.data_plane import an_entry
from tests.doubles.serving import until


async def test_a_line_tells_one_request_and_leaves_out_what_is_empty(tmp_path: Path) -> None:
    log = AccessLogFile(str(tmp_path / "log"), Counters())
    log.write(an_entry(b"/a?b=1", agent=b"curl/8"))
    await log.close()

    assert json.loads((tmp_path / "log").read_text()) == {
        "time": "2023-11-14T22:13:20.250Z",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/a?b=1",
        "host": "hub.test",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 10,
        "seconds": 0.001,
        "route": "pages",
        "cache": "HIT",
        "origin": "hub",
        "user_agent": "curl/8",
    }


async def test_an_entry_is_written_without_waiting_for_others(tmp_path: Path) -> None:
    log = AccessLogFile(str(tmp_path / "log"), Counters())
    log.write(an_entry())

    await until(lambda: (tmp_path / "log").stat().st_size > 0)
    await log.close()


async def test_many_entries_are_written_in_batches_and_in_order(tmp_path: Path) -> None:
    log = AccessLogFile(str(tmp_path / "log"), Counters())
    for number in range(2000):
        log.write(an_entry(b"/%d" % number))
    await log.close()

    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["target"] for line in lines] == [f"/{n}" for n in range(2000)]


async def test_no_byte_of_a_client_reaches_a_terminal_raw(tmp_path: Path) -> None:
    log = AccessLogFile(str(tmp_path / "log"), Counters())
    log.write(an_entry(agent=b'\x1b[2J"\r\n\xc2\x9b31m{"forged": 1}'))
    await log.close()

    written = (tmp_path / "log").read_bytes()
    assert written.isascii()
    assert written.count(b"\n") == 1
    assert not any(byte < 0x20 for byte in written.rstrip(b"\n"))
    assert json.loads(written)["user_agent"].startswith("\x1b[2J")


async def test_a_reader_that_hangs_costs_lines_not_time(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    counters = Counters()
    log = AccessLogFile(str(pipe), counters)
    entries = 60_000

    for _ in range(entries):
        log.write(an_entry(b"/" + b"x" * 200))
    dropped = counters.log_lines_dropped
    os.close(reader)
    await log.close()

    assert 0 < dropped < entries
    # Closing the pipe fails the rest; those lines are counted as well.
    assert counters.log_lines_dropped == pytest.approx(entries, abs=1500)


async def test_lines_in_a_pipe_are_written_whole(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLogFile(str(pipe), Counters())
    for number in range(100):
        log.write(an_entry(b"/%d" % number))
    # Longer than a pipe takes in one piece.
    log.write(an_entry(b"/" + b"y" * 5000))
    await log.close()

    read = b""
    while piece := os.read(reader, 1 << 20):
        read += piece
    os.close(reader)
    targets = [json.loads(line)["target"] for line in read.splitlines()]
    assert targets == [*(f"/{number}" for number in range(100)), "/" + "y" * 5000]


async def test_a_log_that_cannot_be_written_is_named_with_its_flag(tmp_path: Path) -> None:
    name = str(tmp_path / "missing" / "log")

    with pytest.raises(ConfigurationError) as raised:
        AccessLogFile(name, Counters())

    assert str(raised.value) == (
        f"cannot write the access log {name}: No such file or directory; "
        "choose another with --access-log"
    )
