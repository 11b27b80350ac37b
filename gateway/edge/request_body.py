"""The body of a request as it arrives: told apart from what follows it, and handed on."""

from gateway.errors import MalformedMessage, MalformedRequest
from gateway.origin.upload import Upload
from gateway.wire.framing import ChunkDecoder, Framing, Sized


class RequestBody:
    """Takes the bytes after a head until the body that it announced is complete."""

    __slots__ = ("_decoder", "_missing", "ended", "rest", "upload")

    def __init__(self, framing: Framing, upload: Upload) -> None:
        self.upload = upload
        """Where the body goes."""
        self.ended = False
        self.rest = b""
        """What came after the end of the body."""
        self._decoder: ChunkDecoder | None = None
        self._missing = 0
        if isinstance(framing, Sized):
            self._missing = framing.length
        else:
            self._decoder = ChunkDecoder()

    def feed(self, data: bytes) -> None:
        """Take more bytes; look at `ended` afterwards, then tell `upload` of its end.

        Raises:
            MalformedRequest: the chunks broke their framing.

        """
        decoder = self._decoder
        if decoder is None:
            piece = data[: self._missing]
            self.rest = data[self._missing :]
            self._missing -= len(piece)
            self.ended = self._missing == 0
            if piece:
                self.upload.feed(piece)
            return
        try:
            pieces = decoder.feed(data)
        except MalformedMessage as error:
            raise MalformedRequest(f"the body broke its framing: {error}") from error
        for piece in pieces:
            self.upload.feed(piece)
        self.ended = decoder.done
        self.rest = decoder.rest
