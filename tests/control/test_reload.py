"""Rules that change while the gateway serves: processes started for real."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.doubles.serving import PATIENCE, Serving, accepting_again, serving


async def rules_told(gateway: Serving, wanted: str, *, times: int = 8) -> None:
    """Wait until each of *times* answers in a row tells the rules *wanted*."""
    async with asyncio.timeout(PATIENCE):
        seen = 0
        while seen < times:
            seen = seen + 1 if (await gateway.get("/rules")).body == wanted else 0
            await asyncio.sleep(0.01)


async def test_a_changed_file_comes_into_force_in_every_worker(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        before = await gateway.readiness()
        (tmp_path / "rules.yaml").write_text("version: 2\n")
        await rules_told(gateway, "version: 2\n")
        after = await gateway.readiness()

        assert await gateway.count("gateway_rules_current") == 1
        assert [worker.pid for worker in after.workers] == [worker.pid for worker in before.workers]


async def test_a_file_that_is_replaced_by_a_link_is_noticed(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "rules.yaml").write_text("version: 3\n")
        (tmp_path / "new").symlink_to(tmp_path / "data" / "rules.yaml")
        (tmp_path / "new").replace(tmp_path / "rules.yaml")

        await rules_told(gateway, "version: 3\n")


@pytest.mark.parametrize("text", ["wrong\n", "refused by a worker\n"])
async def test_a_file_that_cannot_be_used_changes_nothing_and_is_told_once(
    tmp_path: Path, text: str
) -> None:
    async with serving(tmp_path) as gateway:
        (tmp_path / "rules.yaml").write_text(text)
        await gateway.count_is("gateway_rules_current", 0)
        gateway.signal(signal.SIGHUP)
        await rules_told(gateway, "version: 1\n")
        readiness = await gateway.readiness()
        (tmp_path / "rules.yaml").write_text("version: 1\n")
        await gateway.count_is("gateway_rules_current", 1)
        gateway.signal(signal.SIGTERM)
        errors = await gateway.errors()
        await gateway.ended()

    assert readiness.ready
    assert errors.count("the rules stay as they are") == 1


async def test_a_worker_that_takes_anothers_place_goes_by_the_rules_in_force(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as gateway:
        (tmp_path / "rules.yaml").write_text("version: 2\n")
        await rules_told(gateway, "version: 2\n")
        (tmp_path / "rules.yaml").write_text("wrong\n")
        await gateway.count_is("gateway_rules_current", 0)
        readiness = await gateway.readiness()
        for worker in readiness.workers:
            os.kill(worker.pid, signal.SIGKILL)
        await gateway.readiness_when(accepting_again(2))

        await rules_told(gateway, "version: 2\n")
