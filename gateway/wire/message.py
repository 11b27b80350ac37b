"""The heads of requests and responses (RFC 9112 sections 3 and 4)."""

from dataclasses import dataclass

from gateway.wire.fields import Fields


@dataclass(slots=True, frozen=True)
class Target:
    """What a request is about: one path, the same for matching, key and origin."""

    path: bytes
    """Normalised (see `target.py`); ``*`` for OPTIONS on the whole server."""
    query: bytes | None
    """What follows the question mark, as it came; None without a question mark."""

    def encode(self) -> bytes:
        """Return the target in origin-form (RFC 9112 section 3.2.1)."""
        return self.path if self.query is None else b"%b?%b" % (self.path, self.query)


# Heads live for one exchange and are never changed, but not frozen: that would triple what
# building them costs.
@dataclass(slots=True)
class RequestHead:
    """A request line and its fields."""

    method: bytes
    target: Target
    minor: int
    """The minor version: 0 or 1 of HTTP/1."""
    host: bytes
    """The authority asked for, in lower case; empty when an HTTP/1.0 client names none."""
    fields: Fields
    secure: bool = False
    """Whether the client speaks https, to us or to a proxy that we trust."""
    renditions: tuple[str, ...] = ()
    """The renditions of a picture that will do, the best one first (`policy/images.py`)."""
    dictionary: str | None = None
    """What the client can get by the dictionary that it has (`policy/dictionaries.py`)."""


@dataclass(slots=True)
class ResponseHead:
    """A status line and its fields."""

    status: int
    reason: bytes
    fields: Fields
    minor: int = 1
