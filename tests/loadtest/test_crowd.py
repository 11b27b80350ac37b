"""The parts of the client that holds very many connections."""

import asyncio
import itertools
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from loadtest.crowd.__main__ import SPARE_FILES, open_files, processes_for
from loadtest.crowd.answer import Answer, Broken
from loadtest.crowd.conduct import share, with_connections
from loadtest.crowd.messages import Orders, Second, add_up
from loadtest.crowd.wheel import Wheel
from loadtest.place import ROOT
from loadtest.record import RunError

LENGTH = b"HTTP/1.1 200 OK\r\nX-Cache: HIT\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 304 Not Modified\r\nX-Cache: REVALIDATED\r\n\r\n"


@pytest.mark.parametrize(
    ("raw", "status", "cached"),
    [
        pytest.param(LENGTH, 200, True, id="length"),
        pytest.param(CHUNKED, 200, False, id="chunked"),
        pytest.param(EMPTY, 304, False, id="no-body"),
    ],
)
def test_an_answer_ends_where_it_should_however_it_is_cut(
    raw: bytes, status: int, *, cached: bool
) -> None:
    for cut in range(1, len(raw)):
        answer = Answer()
        assert not answer.feed(raw[:cut])
        assert answer.feed(raw[cut:])
        assert (answer.status, answer.cached) == (status, cached)

    byte_by_byte = Answer()
    ends = [byte_by_byte.feed(raw[at : at + 1]) for at in range(len(raw))]
    assert ends == [False] * (len(raw) - 1) + [True]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(LENGTH + b"!", id="more-than-its-length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", id="no-framing"),
        pytest.param(b"nonsense\r\n\r\n", id="no-status"),
    ],
)
def test_what_is_no_answer_is_told(raw: bytes) -> None:
    with pytest.raises(Broken):
        Answer().feed(raw)


def test_the_wheel_gives_back_what_is_due_and_nothing_else() -> None:
    wheel: Wheel[str] = Wheel(tick=0.01, turn=10, now=100.0)
    wheel.add(100.5, "later")
    wheel.add(100.02, "soon")
    wheel.add(99.0, "past")

    first = [item for _, item in wheel.due(100.1)]
    second = list(wheel.due(100.6))

    assert sorted(first) == ["past", "soon"]
    assert [item for _, item in second] == ["later"]
    assert second[0][0] == pytest.approx(100.5, abs=0.011)
    assert list(wheel.due(109)) == []


def test_the_wheel_refuses_what_lies_beyond_its_turn() -> None:
    with pytest.raises(ValueError, match="10"):
        Wheel[str](tick=0.01, turn=10, now=0).add(11, "too late")


def test_the_wheel_turns_for_ever() -> None:
    wheel: Wheel[int] = Wheel(tick=0.01, turn=1, now=0)
    seen = []
    for step in range(500):
        wheel.add(step * 0.1 + 0.05, step)
        seen += [item for _, item in wheel.due((step + 1) * 0.1 + 0.001)]

    assert seen == list(range(500))


def test_shares_come_to_the_whole() -> None:
    for whole, parts in itertools.product((1, 7, 100_000), (1, 3, 8)):
        shares = [share(whole, parts, number) for number in range(parts)]
        assert sum(shares) == whole
        assert max(shares) - min(shares) <= 1


def test_users_are_spread_where_a_process_may_not_open_enough_files() -> None:
    assert processes_for(100_000, 200_000) == 1
    assert processes_for(100_000, SPARE_FILES + 18_000) == 6
    with pytest.raises(RunError, match="ulimit"):
        processes_for(100_000, SPARE_FILES)


def test_asking_for_fewer_files_than_allowed_changes_nothing() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert open_files(1) == before[0]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_the_shipped_rules_can_be_given_more_connections() -> None:
    rules = (ROOT / "rules.yaml").read_text()

    changed = with_connections(rules, 7000)

    assert changed.replace("    connections: {max: 7000, waiting: 7000}\n", "") == rules


@asynccontextmanager
async def listening(answers: list[bytes]) -> AsyncIterator[int]:
    """Answer each question with the next of *answers*, over and over; empty ones hang up."""
    turn = itertools.cycle(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = next(turn)
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def crowd(port: int, **changes: object) -> list[Second]:
    orders = Orders(
        host="127.0.0.1",
        port=port,
        sources=("127.0.1.1", "127.0.1.2"),
        a_source=10,
        users=20,
        live=0,
        ramp=0.2,
        settle=0.1,
        patience=0.5,
        hold=1.0,
        think=0.1,
        rate=0.0,
        people=("a=1", "b=2"),
        weights=(1.0, 3.0),
        questions=((1.0, "/a"), (2.0, "/b")),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "loadtest.crowd.client"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    line = msgspec.json.encode(msgspec.structs.replace(orders, **changes)) + b"\n"
    async with asyncio.timeout(60):
        output, _ = await process.communicate(line)
    assert process.returncode == 0
    return [msgspec.json.decode(each, type=Second) for each in output.splitlines()]


async def test_users_ask_think_and_ask_again() -> None:
    async with listening([LENGTH]) as port:
        seconds = await crowd(port)

    measured = [second for second in seconds if second.measured]
    assert {second.connected for second in measured} == {20}
    assert sum(second.requests for second in measured) > 80
    assert sum(second.cached for second in measured) == add_up(measured).count
    assert not any(second.errors for second in seconds)


async def test_a_rate_is_kept_whatever_the_answers_do() -> None:
    async with listening([LENGTH]) as port:
        seconds = await crowd(port, rate=300.0, hold=2.0)

    asked = sum(second.requests for second in seconds if second.measured)
    assert asked == pytest.approx(600, abs=30)


async def test_users_that_are_hung_up_on_are_counted_and_come_back() -> None:
    async with listening([LENGTH, LENGTH, LENGTH, b""]) as port:
        seconds = await crowd(port, hold=2.5)

    assert sum(second.errors.get("closed before the answer", 0) for second in seconds) > 5
    assert sum(second.requests for second in seconds) > 20


async def test_answers_that_are_no_success_are_errors_by_status() -> None:
    busy = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    async with listening([busy, LENGTH]) as port:
        seconds = await crowd(port)

    answered = sum(second.requests for second in seconds)
    failed = sum(second.errors.get("status 503", 0) for second in seconds)
    assert failed == pytest.approx(answered / 2, abs=2)
