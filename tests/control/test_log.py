import io
import logging
import re
from collections.abc import Iterator

import pytest

from gateway.control import log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    log.configure("worker 1", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_has_time_level_process_and_text(stream: io.StringIO) -> None:
    logging.getLogger("gateway.test").warning("%d things", 3)

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING worker 1: 3 things\n", stream.getvalue()
    )


def test_a_failure_is_told_on_one_line_with_its_cause(stream: io.StringIO) -> None:
    def connect() -> None:
        raise ConnectionRefusedError("nobody listens")

    def ask() -> None:
        try:
            connect()
        except OSError as error:
            raise RuntimeError("the origin is down") from error

    try:
        ask()
    except RuntimeError:
        logging.getLogger("gateway.test").exception("an exchange failed")

    line = stream.getvalue()
    assert line.count("\n") == 1
    assert "an exchange failed: RuntimeError: the origin is down [test_log.py:" in line
    assert "; caused by ConnectionRefusedError: nobody listens [test_log.py:" in line
    assert " connect < test_log.py:" in line


def test_text_from_outside_forges_no_second_line(stream: io.StringIO) -> None:
    logging.getLogger("gateway.test").warning("got %s", "a\n2026 INFO gateway: fine\x1b[2J")

    assert stream.getvalue().count("\n") == 1
    assert r"a\n2026 INFO gateway: fine\x1b[2J" in stream.getvalue()
