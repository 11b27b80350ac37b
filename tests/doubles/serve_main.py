"""`gateway serve` with `SmallPlane` in its workers; takes the same flags."""

import argparse
import sys
from pathlib import Path

import msgspec

from gateway.cli import serve
from gateway.control.channel import Settings
from gateway.control.rules_file import Judged
from gateway.errors import ConfigurationError


def judge(settings: Settings) -> Judged:
    text = settings.rules_text or b""
    if text.startswith(b"wrong"):
        raise ConfigurationError(f"{settings.rules}:1:1: error: wrong rules")
    return Judged(text.decode().splitlines(), {})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="gateway serve")
    serve.add_arguments(parser)
    settings = serve.settings_of(parser.parse_args())
    text = Path(settings.rules).read_bytes()
    sys.exit(
        serve.serve(
            msgspec.structs.replace(
                settings, worker_module="tests.doubles.worker_main", rules_text=text
            ),
            judge,
        )
    )
