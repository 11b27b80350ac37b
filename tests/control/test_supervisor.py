"""The processes of `gateway serve`, started for real: births, deaths and an orderly end."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import psutil
import pytest

from tests.doubles.serving import (
    ANY_PORTS,
    PATIENCE,
    accepting_again,
    get,
    serving,
    start,
    until,
)


async def test_the_ready_line_names_the_real_ports_the_workers_and_the_rules(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as gateway:
        answer = await gateway.get("/")
        readiness = await gateway.readiness()

    listen, admin = gateway.listen[1], gateway.admin[1]
    assert gateway.ready_line == (
        f"gateway: ready on http://127.0.0.1:{listen} (2 workers, "
        f"admin http://127.0.0.1:{admin}, rules {tmp_path / 'rules.yaml'})"
    )
    assert answer.status == 200
    assert readiness.ready
    assert [worker.state for worker in readiness.workers] == ["accepting", "accepting"]


@pytest.mark.parametrize("flag", ["--listen", "--admin"])
async def test_a_port_in_use_is_named_with_the_flag_that_changes_it(
    tmp_path: Path, flag: str
) -> None:
    (tmp_path / "rules.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        process = await start(
            *("--rules", str(tmp_path / "rules.yaml"), "--state-dir", str(tmp_path / "state")),
            *(*ANY_PORTS, flag, taken),
        )
        output, errors = await process.communicate()

    assert process.returncode == 1
    assert output == b""
    assert errors.decode() == (
        f"gateway: {taken} is in use by another program; choose another with {flag}\n"
    )


async def test_a_second_gateway_does_not_join_the_port_of_the_first(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        listen = f"127.0.0.1:{first.listen[1]}"
        second = await start(
            *("--rules", str(tmp_path / "rules.yaml"), "--state-dir", str(tmp_path / "state")),
            *(*ANY_PORTS, "--listen", listen),
        )
        _, errors = await second.communicate()

    assert second.returncode == 1
    assert f"{listen} is in use by another program" in errors.decode()


async def test_what_a_worker_cannot_begin_with_ends_the_start_with_its_words(
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("bad")

    process = await start(
        *("--rules", str(rules), "--state-dir", str(tmp_path / "state")),
        *(*ANY_PORTS, "--workers", "2"),
    )
    output, errors = await process.communicate()

    assert process.returncode == 1
    assert output == b""
    assert errors.decode() == f"gateway: {rules}:1:1: bad rules\n"


async def test_a_killed_worker_is_replaced_while_the_other_answers(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        killed, other = (worker.pid for worker in (await gateway.readiness()).workers)
        os.kill(killed, signal.SIGSTOP)
        # The kernel hands about half of these to a worker that will never accept them.
        waiting = [asyncio.ensure_future(gateway.get("/")) for _ in range(40)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

        os.kill(killed, signal.SIGKILL)
        answers = await asyncio.gather(*waiting)
        after = await gateway.readiness_when(accepting_again(restarts=1))

    assert [answer.status for answer in answers] == [200] * 40
    pids = {worker.pid for worker in after.workers}
    assert other in pids
    assert killed not in pids
    assert [worker.restarts for worker in after.workers] == [1, 0]


async def test_a_worker_told_to_end_from_outside_finishes_while_its_successor_accepts(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "--workers", "1") as gateway:
        (worker,) = (await gateway.readiness()).workers
        reader, writer = await asyncio.open_connection(*gateway.listen)
        writer.write(b"GET /never HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        os.kill(worker.pid, signal.SIGTERM)
        await gateway.readiness_when(accepting_again(1, workers=1))
        answer = await gateway.get("/")
        still_there = psutil.pid_exists(worker.pid)
        writer.close()

    assert answer.status == 200
    assert still_there


async def test_sigterm_lets_a_running_exchange_finish_and_exits_0(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.listen)
        writer.write(b"GET /held HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        gateway.signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            body = await reader.read()
        status = await gateway.ended()
        writer.close()

    assert body.endswith(b"-done")
    assert status == 0


async def test_while_draining_it_is_not_ready_and_takes_no_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        reader, writer = await asyncio.open_connection(*gateway.listen)
        writer.write(b"GET /never HTTP/1.1\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")

        gateway.signal(signal.SIGTERM)
        await gateway.readiness_when(lambda seen: seen.stage == "draining")
        not_ready = await get(gateway.admin, "/readyz")
        alive = await get(gateway.admin, "/healthz")
        # Both workers have closed their sockets as soon as the idle one has ended.
        await gateway.readiness_when(
            lambda seen: sorted(worker.state for worker in seen.workers) == ["draining", "ended"]
        )
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*gateway.listen)
        gateway.signal(signal.SIGTERM)
        status = await gateway.ended()
        writer.close()

    assert (not_ready.status, alive.status) == (503, 200)
    # The second signal cut the exchange off, and the status says so.
    assert status == 1


async def test_ctrl_c_ends_it_as_sigterm_does(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        workers = [worker.pid for worker in (await gateway.readiness()).workers]
        gateway.signal(signal.SIGINT)
        status = await gateway.ended()
        errors = await gateway.errors()

    assert status == 0
    assert not any(psutil.pid_exists(pid) for pid in workers)
    assert "Traceback" not in errors


async def test_a_killed_supervisor_leaves_no_workers(tmp_path: Path) -> None:
    async with serving(tmp_path) as gateway:
        workers = psutil.Process(gateway.process.pid).children()
        gateway.signal(signal.SIGKILL)
        await gateway.ended()

        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, PATIENCE)

    assert len(workers) == 2
    assert alive == []


async def test_counters_do_not_go_backwards_when_a_worker_dies(tmp_path: Path) -> None:
    answered = 'gateway_requests_total{cache="HIT",route="pages",status_class="2xx"}'
    async with serving(tmp_path) as gateway:
        for _ in range(20):
            await gateway.get("/")
        before = await gateway.count(answered)
        origin = await gateway.count('gateway_origin_response_seconds_count{origin="hub"}')
        for worker in (await gateway.readiness()).workers:
            os.kill(worker.pid, signal.SIGKILL)
        await gateway.readiness_when(accepting_again(restarts=2))
        await gateway.get("/")
        after = await gateway.count(answered)
        origin_after = await gateway.count('gateway_origin_response_seconds_count{origin="hub"}')
        restarts = await gateway.count("gateway_worker_restarts_total")
        running = await gateway.count("gateway_exchanges_running")

    assert (before, after) == (20, 21)
    assert (origin, origin_after) == (20, 21)
    assert restarts == 2
    assert running == 0


async def test_a_request_that_crashes_its_worker_again_and_again_does_not_end_the_gateway(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, "--workers", "1") as gateway:
        for deaths in (1, 2, 3):
            await gateway.get("/crash")
            await gateway.readiness_when(accepting_again(deaths, workers=1))
        answer = await gateway.get("/")
        gateway.signal(signal.SIGTERM)
        await gateway.ended()
        errors = await gateway.errors()

    assert answer.status == 200
    assert "worker 1 (pid " in errors
    assert "ended with exit status 3; another takes its place at once" in errors
    assert "ended with exit status 3; another takes its place in 0." in errors


async def test_the_access_log_goes_on_in_a_new_file_after_sighup(tmp_path: Path) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    async with serving(tmp_path, "--access-log", str(log)) as gateway:
        await gateway.get("/first")
        log.rename(rotated)
        gateway.signal(signal.SIGHUP)
        await until(log.exists)
        # A new file may belong to one worker while the other still writes to the old one;
        # both together hold every line.
        await gateway.get("/second")
        gateway.signal(signal.SIGTERM)
        await gateway.ended()

    assert '"target":"/first"' in rotated.read_text()
    assert '"target":"/second"' in rotated.read_text() + log.read_text()
