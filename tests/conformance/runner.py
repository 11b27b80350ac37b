"""Runs the dialogues (`data/SCHEMA.md`, section 2), many side by side."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias
from uuid import uuid4

import msgspec

from tests.conformance import magic, suite
from tests.conformance.checks import Checking, Unmet
from tests.conformance.client import Client, Response
from tests.conformance.http import Lines, NoResponse
from tests.conformance.origin import Origin, Seen
from tests.conformance.suite import Case, Group, Step

AT_ONCE: Final = 64
"""Most of a dialogue is waiting, so many share the time."""
_PAUSE: Final = 3.0
_PATIENCE: Final = 10.0
_STARTING: Final = 30.0

Result: TypeAlias = tuple[str, str] | bool
"""True, or what kind of check didn't hold and which one."""


@asynccontextmanager
async def gateway(folder: Path, origin: str) -> AsyncIterator[tuple[str, int]]:
    """Run `gateway serve` with rules that name no routes; yield where it listens."""
    rules = folder / "rules.yaml"
    rules.write_text("version: 1\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--rules", str(rules)),
        *("--origin", origin, "--workers", "1", "--state-dir", str(folder / "state")),
        *("--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_STARTING):
            line = (await process.stdout.readline()).decode()
        port = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert port is not None, f"the gateway didn't start: {line!r}"
        yield "127.0.0.1", int(port[1])
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_PATIENCE):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()


async def run(groups: Sequence[Group], folder: Path) -> dict[str, Result]:
    """Return the result of every test by its id; *folder* takes the gateway's files."""
    async with Origin() as origin, gateway(folder, origin.url) as address:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(case: Case) -> tuple[str, Result]:
            async with places:
                return case.id, await dialogue(case, address)

        cases = [case for group in groups for case in group.tests]
        return dict(await asyncio.gather(*(one(case) for case in cases)))


async def dialogue(case: Case, address: tuple[str, int]) -> Result:
    """Return the result of one test."""
    client = Client(*address)
    try:
        await _converse(case, client)
    except Unmet as unmet:
        return ("Setup" if unmet.setup else "Assertion", str(unmet))
    except TimeoutError:
        return ("AbortError", f"nothing in {_PATIENCE:g} seconds")
    except (NoResponse, OSError) as error:
        return ("TypeError", str(error))
    finally:
        client.close()
    return True


async def _converse(case: Case, client: Client) -> None:
    uuid = str(uuid4())
    content = [("Content-Type", "application/json")]
    async with asyncio.timeout(_PATIENCE):
        told = await client.ask(
            "PUT", f"/config/{uuid}", content, suite.configuration(case), follow=False
        )
    if told.status != 201:
        raise Unmet(f"the configuration was answered {told.status}", setup=True)
    responses: list[Response] = []
    for number, step in enumerate(case.requests, 1):
        lines = _request_lines(case, step, number, responses)
        target = f"/test/{uuid}"
        if step.filename is not None:
            target += f"/{step.filename}"
        if step.query_arg is not None:
            target += f"?{step.query_arg}"
        body = None if step.request_body is None else step.request_body.encode("latin-1")
        async with asyncio.timeout(_PATIENCE):
            response = await client.ask(
                step.request_method, target, lines, body, follow=step.redirect != "manual"
            )
        responses.append(response)
        Checking(step, number, uuid).response(response)
        if step.pause_after:
            await asyncio.sleep(_PAUSE)
    async with asyncio.timeout(_PATIENCE):
        state = await client.ask("GET", f"/state/{uuid}", [], follow=False)
    seen = msgspec.json.decode(state.body, type=list[Seen]) if state.status == 200 else []
    remaining = iter(seen)
    for number, (step, response) in enumerate(zip(case.requests, responses, strict=True), 1):
        if step.expected_type != "cached":
            Checking(step, number, uuid).seen(next(remaining, None), response)


def _request_lines(case: Case, step: Step, number: int, responses: list[Response]) -> Lines:
    """Return the fields of a request, those of one name on one line."""
    before = float(responses[-1].get("server-now") or 0) if responses else 0.0
    given = [
        ("Pragma", "foo"),
        ("Cache-Control", "nothing-to-see-here"),
        *(
            (str(line[0]), magic.value(line, before, step.rfc850date))
            if step.magic_ims
            else (str(line[0]), str(line[1]))
            for line in step.request_headers
        ),
        ("Test-Name", case.name.encode("latin-1", "replace").decode("latin-1")),
        ("Test-ID", case.id),
        ("Req-Num", str(number)),
    ]
    if step.request_body is not None:
        given.append(("Content-Type", "text/plain;charset=UTF-8"))
    joined: dict[str, tuple[str, str]] = {}
    for name, value in given:
        lower = name.lower()
        if lower not in joined:
            joined[lower] = (name, value)
        elif lower != "content-type":
            joined[lower] = (joined[lower][0], f"{joined[lower][1]}, {value}")
    for name, value in (
        ("Accept", "*/*"),
        ("Accept-Language", "*"),
        ("Sec-Fetch-Mode", "cors"),
        ("User-Agent", "node"),
        ("Accept-Encoding", "gzip, deflate"),
    ):
        joined.setdefault(name.lower(), (name, value))
    return list(joined.values())
