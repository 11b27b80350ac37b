"""What a worker process runs: the gateway, on the rules of its settings."""

import gc
import os
import sys
from pathlib import Path

from gateway.config.build import load
from gateway.control import worker
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings
from gateway.counters import Counters
from gateway.edge.gateway import Gateway

_COLLECTED_AFTER = (50_000, 50, 100)
"""Containers made and not freed, before the collector looks at the young ones, and so on.
A request leaves no cycles behind, so looking often finds nothing; and a look at everything
that is stored would hold up each request meanwhile."""


def build(settings: Settings, counters: Counters, access_log: AccessLogFile | None) -> Gateway:
    """Return the gateway that the rules describe; raises ConfigurationError."""
    snapshot = load(Path(settings.rules), os.environ, settings.origin)
    gateway = Gateway(snapshot, counters, access_log)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    return gateway


if __name__ == "__main__":
    sys.exit(worker.main(build))
