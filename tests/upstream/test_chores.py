import asyncio
import contextlib

import pytest

from upstream import chores
from upstream.chores import end, meanwhile


async def test_work_goes_on_meanwhile_and_ends_with_it() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            said.append("begun")
            await asyncio.Event().wait()
        finally:
            said.append("ended")

    async with meanwhile(work()):
        await asyncio.sleep(0)
        assert said == ["begun"]

    assert said == ["begun", "ended"]


async def test_who_lost_the_word_to_end_hears_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chores, "OBEYED_SECONDS", 0.01)

    async def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end(task)

    assert task.cancelled()


@pytest.mark.parametrize(
    ("error", "told"), [(ValueError("broken"), True), (ConnectionResetError("gone"), False)]
)
async def test_what_failed_on_its_own_is_logged_at_its_end_and_clients_that_left_are_not(
    error: Exception, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        raise error

    async with meanwhile(work()):
        await asyncio.sleep(0)

    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == (
        [error] if told else []
    )
