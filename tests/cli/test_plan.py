"""`gateway plan`, as an operator runs it."""

import gzip
import json
from pathlib import Path

import pytest

from gateway.cli.main import main

OLD = """
version: 1
origins: {hub: {servers: ["http://127.0.0.1:3000"]}}
routes:
  - {name: pages, match: {path: /pages/*}, cache: {ttl: 10s, scope: public}}
"""
NEW = OLD.replace("10s", "1h")
SAID = {"cache-control": "public"}


def line(second: float, target: str, **more: object) -> str:
    whole = int(second)
    time = f"2026-11-24T{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
    time += f".{round(1000 * (second - whole)):03d}Z"
    entry: dict[str, object] = {
        "time": time, "client": "192.0.2.1", "method": "GET", "target": target, "host": "hub.test",
        "protocol": "HTTP/1.1", "status": 200, "bytes": 100, "seconds": 0.01, "route": "pages",
    }  # fmt: skip
    return json.dumps(entry | more) + "\n"


def every_minute(times: int = 60) -> str:
    told = {"cache": "MISS", "origin_status": 200, "origin_said": SAID, "origin_bytes": 100}
    return "".join(line(60 * number, "/pages/a", **told) for number in range(times))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    (tmp_path / "access.log").write_text(every_minute())
    return tmp_path


def plan(capsys: pytest.CaptureFixture[str], *flags: str, log: str = "access.log") -> str:
    assert main(["plan", "new.yaml", "--replay", log, *flags]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("folder")
def test_old_and_new_rules_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    rows = {
        row[:26].strip(): row[26:].split() for row in plan(capsys).splitlines() if len(row) > 26
    }

    # Asked for each minute: fresh for ten seconds it has to be asked about each time.
    assert rows["requests to the origin"] == ["60", "1", "-59"]
    assert rows["hit rate"] == ["0.0", "%", "98.3", "%", "+98.3", "%"]
    assert rows["identity crossings"] == ["0", "0"]


@pytest.mark.usefixtures("folder")
def test_json_has_the_same_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(plan(capsys, "--json"))

    assert (told["before"]["rules"], told["after"]["rules"]) == ("rules.yaml", "new.yaml")
    assert (told["before"]["origin_requests"], told["after"]["origin_requests"]) == (60, 1)
    assert told["after"]["routes"]["pages"]["words"] == {"HIT": 59, "MISS": 1}
    assert told["after"]["memory"]["objects"] == 1
    assert told["log"]["measured_hit_rate"] == 0.0
    assert told["log"]["first"] == "2026-11-23T23:59:59Z"


def test_a_packed_log_is_read_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "access.log.gz").write_bytes(gzip.compress(every_minute().encode()))

    assert "60 requests of access.log.gz" in plan(capsys, log="access.log.gz")


def test_lines_that_are_no_requests_are_named_and_the_rest_is_replayed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = every_minute(3) + 'so what\n{"time": 1}\n{"half\n\n' + line(400, "no-path")
    (folder / "access.log").write_text(text)

    said = plan(capsys)

    assert said.startswith("3 requests of access.log")
    assert "3 lines couldn't be read" in said
    assert "access.log:4: this is neither a JSON object nor nginx's combined format" in said
    assert "access.log:5: " in said
    assert "1 requests would be refused as malformed" in said


def test_nginx_logs_are_replayed_and_what_they_dont_tell_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "access.log").write_text(
        "".join(
            f'192.0.2.1 - - [24/Nov/2026:10:{minute:02d}:00 +0000] "GET /pages/a HTTP/1.1" 200 '
            '612 "-" "curl/8"\n'
            for minute in range(60)
        )
    )

    told = json.loads(plan(capsys, "--json"))

    assert (told["before"]["origin_requests"], told["after"]["origin_requests"]) == (60, 1)
    assert any("nginx's combined format" in note for note in told["notes"])
    assert told["log"]["measured_hit_rate"] is None


def test_requests_are_replayed_in_the_order_in_which_they_began(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"origin_status": 200, "origin_said": SAID}
    # The second one ended first: it came while the first was waiting for the origin.
    (folder / "access.log").write_text(
        line(12, "/pages/a", seconds=1.0, **told) + line(15, "/pages/a", seconds=5.0, **told)
    )

    side = json.loads(plan(capsys, "--json"))["after"]

    assert (side["origin_requests"], side["collapsed"]) == (1, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        pytest.param(None, "cannot read the access log access.log: No such file", id="missing"),
        pytest.param("", "access.log is empty", id="empty"),
        pytest.param("what\nelse\n", "access.log:1: this is neither", id="no-log"),
    ],
)
def test_a_log_that_cannot_be_used_is_an_error_that_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str], content: str | None, complaint: str
) -> None:
    (folder / "access.log").unlink()
    if content is not None:
        (folder / "access.log").write_text(content)

    assert main(["plan", "new.yaml", "--replay", "access.log"]) == 1
    assert complaint in capsys.readouterr().err


def test_rules_that_cannot_be_used_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "new.yaml").write_text(NEW.replace("1h", "1 h"))

    assert main(["plan", "new.yaml", "--replay", "access.log"]) == 1
    assert "new.yaml:5:" in capsys.readouterr().err
