"""What the edge asks of those above it."""

from typing import Protocol

LogEntry = tuple[
    float, str, bytes, bytes, bytes, int, int, int, float, str, str, str, str, bytes, bytes
]
"""(epoch seconds, client address, method, target, host, minor version, status, body bytes,
seconds, route, X-Cache word, origin, error, user agent, referer)."""


class AccessLog(Protocol):
    """Takes a line for every request; never blocks, and drops what it can't keep."""

    def write(self, entry: LogEntry) -> None:
        """Take one *entry*."""
