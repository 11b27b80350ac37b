import asyncio
import contextlib
import gc

import pytest

from gateway import background
from gateway.background import Background


async def test_a_task_that_nobody_keeps_runs_to_its_end() -> None:
    held = Background()
    go, done = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        done.set()

    held.spawn(work(), name="work")
    await asyncio.sleep(0)
    gc.collect()
    go.set()
    await asyncio.wait_for(done.wait(), 5)

    assert len(held) == 0


async def test_a_failure_is_logged_once_with_the_name_of_the_task(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held = Background()

    async def work() -> None:
        raise ValueError("broken")

    task = held.spawn(work(), name="the work")
    await asyncio.wait([task])
    del task
    gc.collect()

    (record,) = caplog.records
    assert record.getMessage() == "background task the work failed"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_closing_ends_what_runs_and_waits_for_it(caplog: pytest.LogCaptureFixture) -> None:
    held = Background()
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("work")

    held.spawn(work(), name="work")
    await asyncio.sleep(0)
    await held.close()

    assert cleaned == ["work"]
    assert len(held) == 0
    assert caplog.records == []


async def test_closing_ends_even_who_lost_the_word_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "OBEYED_SECONDS", 0.01)
    held = Background()

    async def work() -> None:
        for _ in range(2):
            # As what is awaited may be done in the turn in which the cancellation comes.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = held.spawn(work(), name="work")
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await held.close()

    assert task.cancelled()
