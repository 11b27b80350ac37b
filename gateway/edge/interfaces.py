"""What the edge asks of those above it."""

from typing import Final, NamedTuple, Protocol


class Context(NamedTuple):
    """What a line of the log has beside the request; empty where there is nothing to tell."""

    user: str = ""
    """A digest that tells users apart."""
    org: str = ""
    """The organisation that a valid token named."""
    asked: str = ""
    """The request's Cache-Control."""
    variant: str = ""
    """A digest of what told apart this answer from others to the same URL."""
    origin_status: int = 0
    """What the origin answered; 0 when it wasn't asked or gave no answer."""
    origin: dict[str, str] | None = None
    """What it said, of the fields that decide whether it is kept."""
    origin_bytes: int = 0
    """Of its body, as it came."""


NOTHING: Final = Context()


LogEntry = tuple[
    float, str, bytes, bytes, bytes, int, int, int, float, str, str, str, str, bytes, bytes, Context
]
"""(epoch seconds, client address, method, target, host, minor version, status, body bytes,
seconds, route, X-Cache word, origin, error, user agent, referer, context)."""


class AccessLog(Protocol):
    """Takes a line for every request; never blocks, and drops what it can't keep."""

    def write(self, entry: LogEntry) -> None:
        """Take one *entry*."""
