"""The flags of `gateway serve`, and what they are turned into."""

import argparse
import os
from pathlib import Path

import pytest

from gateway.cli import serve
from gateway.control.addresses import Address
from gateway.control.channel import Settings


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="gateway serve")
    serve.add_arguments(made)
    return made


def test_rules_alone_serve_on_loopback_with_a_worker_for_each_core() -> None:
    assert serve.settings_of(parser().parse_args(["--rules", "r.yaml"])) == Settings(
        rules="r.yaml",
        listen=Address("127.0.0.1", 8080),
        admin=Address("127.0.0.1", 8081),
        workers=serve.available_cores(),
        origin=None,
        state_dir=".state",
        access_log=None,
    )


def test_no_more_workers_are_started_than_there_are_cores() -> None:
    assert 1 <= serve.available_cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "the following arguments are required: --rules"),
        (["--rules", "r", "--workers", "0"], 'from 1 to 1024, got "0"'),
        (["--rules", "r", "--workers", "two"], 'from 1 to 1024, got "two"'),
        (["--rules", "r", "--listen", "8080"], 'such as 127.0.0.1:8080 or [::1]:8080, got "8080"'),
        (["--rules", "r", "--admin", "h:99999"], 'a port from 0 to 65535 after the colon, got "h:'),
    ],
)
def test_a_bad_flag_is_named_with_what_was_expected(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parser().parse_args(flags)

    assert raised.value.code == 2
    assert said in capsys.readouterr().err


def test_a_state_directory_that_cannot_be_made_is_named_with_its_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    settings = Settings("r.yaml", state_dir=str(tmp_path / "file" / "state"))

    assert serve.serve(settings, serve.judge) == 1
    assert capsys.readouterr().err == (
        f"gateway: cannot make the state directory {tmp_path}/file/state: Not a directory; "
        "choose another with --state-dir\n"
    )
