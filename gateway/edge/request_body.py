"""The body of a request as it arrives: told apart from what follows it, and handed on."""

from gateway.errors import BodyTooLarge, MalformedMessage, MalformedRequest
from gateway.origin.upload import Upload
from gateway.wire.framing import ChunkDecoder, Framing, Sized


class RequestBody:
    """Takes the bytes after a head until the body that it announced is complete."""

    __slots__ = ("_decoder", "_limit", "_missing", "_taken", "ended", "rest", "upload")

    def __init__(self, framing: Framing, upload: Upload, limit: int | None = None) -> None:
        """*limit* is the most bytes of content taken; None takes any number."""
        self._limit = limit
        self._taken = 0
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
            BodyTooLarge: more came than is taken.

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
            self._taken += len(piece)
            if self._limit is not None and self._taken > self._limit:
                raise BodyTooLarge(self._limit)
            self.upload.feed(piece)
        self.ended = decoder.done
        self.rest = decoder.rest
