"""Finds the end of an answer in the bytes that arrive.

Only what a load test needs: the status, and where the next answer would begin. The gateway's
answers are framed by Content-Length or in chunks (RFC 9112 section 6.3); anything else counts
as broken.
"""

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CHUNKED = b"\r\ntransfer-encoding: chunked"
_LAST_CHUNK = b"0\r\n\r\n"
_NO_BODY = frozenset({204, 304})


class Broken(Exception):
    """Bytes that are no answer."""


class Answer:
    """One answer while it arrives; feed() tells when it is complete."""

    __slots__ = ("_chunked", "_head", "_remaining", "_tail", "cached", "status")

    def __init__(self) -> None:
        self._head = b""
        self._remaining = -1
        """Bytes of the body that are missing; -1 while the head is."""
        self._chunked = False
        self._tail = b""
        self.status = 0
        self.cached = False
        """Whether it came from the cache, by its X-Cache field."""

    def feed(self, data: bytes) -> bool:
        """Take what arrived; return whether the answer is complete, or raise Broken."""
        if self._remaining < 0 and not self._chunked:
            if self._head:
                data = self._head + data
            end = data.find(_HEAD_END)
            if end < 0:
                self._head = data
                return False
            self._begin(data[: end + 2])
            data = data[end + 4 :]
        if self._chunked:
            # A body that ends like this before its end would need the same five bytes at the
            # end of a piece; nothing the hub sends has them.
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            return self._tail == _LAST_CHUNK
        self._remaining -= len(data)
        if self._remaining < 0:
            raise Broken("more bytes than the answer has")
        return self._remaining == 0

    def _begin(self, head: bytes) -> None:
        if not head.startswith(b"HTTP/1.1 ") or not head[9:12].isdigit():
            raise Broken("no status line")
        self.status = int(head[9:12])
        lowered = head.lower()
        self.cached = any(
            word in lowered for word in (b"\r\nx-cache: hit\r", b"\r\nx-cache: stale\r",
                                         b"\r\nx-cache: updating\r")
        )  # fmt: skip
        self._head = b""
        at = lowered.find(_LENGTH)
        if self.status in _NO_BODY:
            self._remaining = 0
        elif at >= 0:
            begin = at + len(_LENGTH)
            self._remaining = int(lowered[begin : lowered.index(b"\r", begin)])
        elif _CHUNKED in lowered:
            self._chunked = True
        else:
            raise Broken("neither a length nor chunks")
