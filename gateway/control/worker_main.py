"""What a worker process runs: the gateway, on the rules of its settings."""

import os
import sys
from pathlib import Path

from gateway.config.build import load
from gateway.control import worker
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings
from gateway.counters import Counters
from gateway.edge.gateway import Gateway


def build(settings: Settings, counters: Counters, access_log: AccessLogFile | None) -> Gateway:
    """Return the gateway that the rules describe; raises ConfigurationError."""
    snapshot = load(Path(settings.rules), os.environ, settings.origin)
    return Gateway(snapshot, counters, access_log)


if __name__ == "__main__":
    sys.exit(worker.main(build))
