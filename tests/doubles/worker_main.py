"""What a worker process runs in tests of the supervisor: `SmallPlane` for the gateway.

A rules file that begins with ``bad`` is one that can't be used.
"""

import sys
from pathlib import Path

from gateway.control import worker
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings
from gateway.counters import Counters
from gateway.errors import ConfigurationError
from tests.doubles.data_plane import SmallPlane


def build(settings: Settings, counters: Counters, access_log: AccessLogFile | None) -> SmallPlane:
    if Path(settings.rules).read_text().startswith("bad"):
        raise ConfigurationError(f"{settings.rules}:1:1: bad rules")
    plane = SmallPlane(counters, access_log)
    plane.rules = settings.rules_text
    return plane


if __name__ == "__main__":
    sys.exit(worker.main(build))
