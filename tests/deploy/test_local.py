"""What `make run` starts: in order, told clearly, and nothing left behind."""

import asyncio
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy import local
from tests.doubles.serving import PATIENCE, start


@dataclass(slots=True)
class Run:
    process: asyncio.subprocess.Process
    diary: Path

    def read(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.exists() else []

    def tell(self, line: str) -> None:
        with self.diary.open("a") as diary:
            diary.write(f"{line}\n")

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    async def output_until(self, last: bytes) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readuntil(last)).decode()

    async def end(self) -> tuple[int, str]:
        async with asyncio.timeout(PATIENCE):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running(folder: Path, *, hub: str = "", gateway: str = "") -> AsyncIterator[Run]:
    process = await start(str(folder), hub, gateway, module="tests.doubles.local_main")
    run = Run(process, folder / "diary")
    try:
        yield run
    finally:
        if process.returncode is None:
            for child in run.children():
                child.kill()
            process.kill()
            await process.communicate()
        for line in run.read():
            if named := re.fullmatch(r"\w+ is (\d+)", line):
                assert not psutil.pid_exists(int(named[1])), line


async def test_the_gateway_gets_the_hub_s_address_and_keys_and_people_get_a_guide(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as run:
        output = await run.output_until(b"Ctrl-C ends everything")
        run.process.terminate()
        await run.end()

    assert "gateway has origin http://127.0.0.1:7777" in run.read()
    assert f"gateway has keys {tmp_path / 'jwks.json'}" in run.read()
    assert output.index("hub: ready") < output.index("gateway: ready")
    assert "curl -si http://127.0.0.1:7777/ | grep -i x-cache" in output
    assert "ada@acme.test" in output
    assert "curl -s http://127.0.0.1:7778/metrics" in output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_gateway_then_the_hub_and_exits_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with running(tmp_path) as run:
        await run.output_until(b"Ctrl-C ends everything")
        run.process.send_signal(number)
        status, errors = await run.end()

    assert (status, errors) == (0, "")
    assert run.read()[-2:] == ["gateway ends by SIGTERM", "hub ends by SIGTERM"]


async def test_a_hub_that_cannot_start_is_told_in_its_words_and_no_gateway_is_started(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, hub="--fails") as run:
        status, errors = await run.end()

    assert status == 1
    assert errors == (
        "hub: the moon is in the way\nrun: the hub ended with status 3 before it was ready\n"
    )
    assert not any(line.startswith("gateway") for line in run.read())


async def test_a_gateway_that_cannot_start_ends_the_hub_too(tmp_path: Path) -> None:
    async with running(tmp_path, gateway="--fails") as run:
        status, errors = await run.end()

    assert status == 1
    assert "run: the gateway ended with status 3 before it was ready" in errors
    assert run.read()[-1] == "hub ends by SIGTERM"


@pytest.mark.parametrize(("dying", "other"), [("hub", "gateway"), ("gateway", "hub")])
async def test_the_death_of_one_ends_the_other_and_says_so(
    tmp_path: Path, dying: str, other: str
) -> None:
    async with running(tmp_path, **{dying: "--dies"}) as run:
        await run.output_until(b"Ctrl-C ends everything")
        run.tell("die")
        status, errors = await run.end()

    assert status == 1
    assert errors == f"run: the {dying} ended with status 4; ending the rest\n"
    assert run.read()[-1] == f"{other} ends by SIGTERM"


async def test_children_end_even_when_the_script_is_killed(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        await run.output_until(b"Ctrl-C ends everything")
        children = run.children()
        run.process.kill()
        await run.process.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, PATIENCE)
        await run.end()

    assert len(children) == 2
    assert alive == []


@pytest.mark.parametrize(
    ("flag", "variable", "what"),
    [
        ("--gateway-listen", "GATEWAY_LISTEN", "gateway"),
        ("--gateway-admin", "GATEWAY_ADMIN", "gateway's admin port"),
        ("--hub-listen", "HUB_LISTEN", "hub"),
    ],
)
async def test_a_port_in_use_is_told_before_anything_is_started(
    tmp_path: Path, flag: str, variable: str, what: str
) -> None:
    places = [
        part
        for each in ("--gateway-listen", "--gateway-admin", "--hub-listen")
        for part in (each, "127.0.0.1:0")
    ]
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        process = await start(
            *("--state-dir", str(tmp_path / "state"), *places, flag, f"127.0.0.1:{port}"),
            module="deploy.local",
        )
        output, errors = await process.communicate()

    assert process.returncode == 1
    assert output == b""
    assert errors.decode() == (
        f"run: port {port} for the {what} (127.0.0.1:{port}) cannot be used: Address already in "
        f"use; stop that program, or choose another with {variable}=127.0.0.1:PORT make run\n"
    )
    assert not (tmp_path / "state").exists()


def test_the_environment_moves_the_ports_and_a_flag_wins() -> None:
    plan = local.read_plan(
        ["--hub-listen", "127.0.0.1:5"],
        {"HUB_LISTEN": "127.0.0.1:4", "GATEWAY_LISTEN": "127.0.0.1:6", "GATEWAY_ADMIN": ""},
    )

    assert [place.address for place in plan.places] == [
        "127.0.0.1:6",
        "127.0.0.1:8081",
        "127.0.0.1:5",
    ]
    assert plan.hub[-4:-2] == ("--listen", "127.0.0.1:5")


def test_an_address_that_is_none_is_refused_by_the_name_of_its_variable() -> None:
    with pytest.raises(local.StartFailed, match="HUB_LISTEN: expected HOST:PORT"):
        local.check(local.Place("hub", "3000x", "HUB_LISTEN", "--hub-listen"))
