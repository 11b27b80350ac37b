"""The line that each request leaves."""

import json
import tempfile
from pathlib import Path

from gateway.control.access_log import AccessLogFile
from gateway.counters import Counters
from tests.doubles.origin import ok, scripted_origin
from tests.doubles.world import gateway_before


async def test_every_request_leaves_one_line_whichever_way_it_went() -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "access.log"
        log = AccessLogFile(str(file), Counters())
        async with (
            scripted_origin(a=ok(b"12345", max_age=60)) as origin,
            gateway_before(origin, access_log=log) as world,
        ):
            client = await world.connect()
            for _ in range(5):
                await client.get("/a?q=1", user_agent="test/1", referer="http://x/")
            await client.get("/nothing", "DELETE")
        await log.close()
        lines = [json.loads(line) for line in file.read_text().splitlines()]

    assert [line.get("cache") for line in lines] == ["MISS", *["HIT"] * 4, "BYPASS"]
    assert {line["target"] for line in lines[:5]} == {"/a?q=1"}
    assert {line["status"] for line in lines[:5]} == {200}
    assert {line["user_agent"] for line in lines[:5]} == {"test/1"}
    assert (lines[5]["method"], lines[5]["status"]) == ("DELETE", 404)
    assert 0 < lines[0]["seconds"] < 5
