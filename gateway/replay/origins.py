"""What the origin would have answered, as far as a log tells.

A line tells what the origin said when it was asked. Where it wasn't, because the cache answered,
it would have said what it said the last time: about this URL, else about its neighbours, the
URLs that the log's own rules treat alike; and where nobody ever heard it, nothing.
"""

from dataclasses import dataclass

import msgspec

from gateway.policy.outcome import Word
from gateway.replay.reading import Request
from gateway.wire.fields import Fields
from gateway.wire.message import ResponseHead

_MOST_URLS = 500_000
_SHORTEST_SECONDS = 0.001
_SMOOTHING = 0.1


@dataclass(slots=True)
class Answer:
    """What the origin answers."""

    head: ResponseHead
    bytes: int
    seconds: float
    """How long it takes."""
    validates: bool = True
    """Whether it says 304 to one who has the same already."""


class Origins:
    """What is known so far, from the lines that were read."""

    def __init__(self) -> None:
        self._fields: dict[bytes, Fields] = {}
        self._heads: dict[tuple[int, bytes], ResponseHead] = {}
        self._urls: dict[tuple[str, str], Answer] = {}
        self._folders: dict[tuple[str, str], Answer] = {}
        self._seconds = 0.02
        self._decoder = msgspec.json.Decoder(dict[str, str])
        self.guessed = 0
        """Requests about whose answer nothing was known."""

    def answer(self, request: Request) -> Answer:
        """Return what the origin answers to *request*; learns from what its line tells."""
        url = (request.host, request.target)
        known = self._urls.get(url)
        if request.origin_status and request.origin_status != 304:
            return self._learn(request, url)
        if known is not None:
            return known
        folder = self._folders.get(_folder(request))
        if folder is None and not request.origin_status:
            self.guessed += 1
        status = request.status if request.status not in (206, 304, 416) else 200
        if folder is not None and status == folder.head.status:
            head = folder.head
        else:
            head = self._head(status, b"")
        known = Answer(head, request.origin_bytes or request.sent_bytes, self._seconds)
        self._keep(url, known)
        return known

    def _learn(self, request: Request, url: tuple[str, str]) -> Answer:
        seconds = max(_SHORTEST_SECONDS, request.seconds)
        self._seconds += _SMOOTHING * (seconds - self._seconds)
        size = request.origin_bytes or request.sent_bytes
        answer = Answer(self._head(request.origin_status, request.said), size, seconds)
        known = self._urls.get(url)
        if known is not None:
            # A whole answer again, although what we had was the same.
            same = known.head is answer.head and b"etag" in answer.head.fields
            answer.validates = known.validates and not (same and request.word == Word.EXPIRED)
        whole = request.method == "GET" and request.origin_status not in (206, 416)
        if whole:
            self._keep(url, answer)
            if request.origin_status < 300:
                self._folders[_folder(request)] = answer
        return answer

    def _keep(self, url: tuple[str, str], answer: Answer) -> None:
        if len(self._urls) >= _MOST_URLS:
            self._urls.pop(next(iter(self._urls)))
        self._urls[url] = answer

    def _head(self, status: int, said: bytes) -> ResponseHead:
        head = self._heads.get((status, said))
        if head is None:
            head = ResponseHead(status, b"", self._said(said))
            self._heads[status, said] = head
        return head

    def _said(self, said: bytes) -> Fields:
        fields = self._fields.get(said)
        if fields is None:
            told = self._decoder.decode(said) if said else {}
            fields = Fields.of(
                *(
                    (name.encode(), value.encode("latin-1", "replace"))
                    for name, value in told.items()
                )
            )
            self._fields[said] = fields
        return fields


def _folder(request: Request) -> tuple[str, str]:
    return request.host, request.target.partition("?")[0].rpartition("/")[0]
