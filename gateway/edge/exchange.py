"""One request that isn't a fresh hit, from its verdict to the last byte of its answer.

It takes the origin's response itself when the request passes the cache by (`relay.py`), or
reads along with a `Fetch` that others may wait for too. Everything happens where bytes come
in or a buffer empties: there is no task, so nothing to cancel.
"""

from dataclasses import replace
from http import HTTPStatus
from typing import assert_never

from gateway.edge import asking, compress, forwarding, images, shelving
from gateway.edge.answer import Client
from gateway.edge.asked import Asking, Bypassing, Cacheable, Settled
from gateway.edge.collapse import Fetch
from gateway.edge.encoding import Encoding
from gateway.edge.refreshing import Refreshes
from gateway.edge.select import select, wants_range
from gateway.edge.site import Site
from gateway.edge.stored_answer import StoredAnswer
from gateway.errors import GatewayError
from gateway.origin.upload import Upload
from gateway.policy import downstream, negotiation, reuse, staleness
from gateway.policy.negotiation import Coding
from gateway.policy.outcome import Word
from gateway.policy.reuse import Deliver, DeliverStale, Forward, Forwarded, Refuse, Validate
from gateway.policy.reuse import Fetch as FetchVerdict
from gateway.policy.stored import StoredResponse
from gateway.wire.fields import NONE
from gateway.wire.framing import CHUNKED, Framing, Sized
from gateway.wire.message import RequestHead, ResponseHead

_NEVER = float("inf")
_FLUSHED_BYTES = 8 * 1024


class Exchange(StoredAnswer):
    """Answers one request of one client."""

    __slots__ = ("_fetch", "_refreshes", "deadline", "position", "watched_in")

    def __init__(
        self,
        site: Site,
        refreshes: Refreshes,
        client: Client,
        head: RequestHead,
        asked: Asking,
        *,
        persistent: bool,
    ) -> None:
        self._site = site
        self._client = client
        self.asked = asked
        self._why = None
        self._collapsed = False
        self._over = False
        self._upload = None
        self.head = head
        self.endless = False
        self.route = asked.route
        self.reply = client.reply(persistent=persistent)
        self.started = site.monotonic()
        self.word = Word.BYPASS
        self.error = ""
        self.origin_answer = None
        self.origin_bytes = 0
        self.explains = False
        self._fetches = refreshes.fetches
        self._tunnel = False
        self._forwarded = None
        self._again = None
        self._keeping = None
        self._kept_under = b""
        self._requested = 0.0
        self._encoder = None
        self._page = None
        self._trailers = NONE
        self._fetch: Fetch | Encoding | None = None
        self._refreshes = refreshes
        self.position = 0
        self.deadline = _NEVER
        self.watched_in = 0
        site.counters.exchanges_running += 1

    def start(self, raw: bytes, upload: Upload | None) -> None:
        """Begin to answer the request whose head is *raw*.

        *upload* is its body, None when there is none.
        """
        asked = self.asked
        self._upload = upload
        if isinstance(asked, Bypassing):
            self._why = asked.why
            self._relay(raw)
            return
        if isinstance(asked, Settled):
            self._settle(asked)
            return
        self._follow(raw, asked)

    def _follow(self, raw: bytes, asked: Cacheable) -> None:
        """Do what was decided."""
        match asked.verdict:
            case Deliver() as verdict:
                self._deliver(verdict.stored, Word.HIT)
            case DeliverStale() as verdict:
                self._deliver_stale(asked, verdict)
            case Refuse():
                self.word = Word.PASS
                self._answer_error(
                    HTTPStatus.GATEWAY_TIMEOUT, "only-if-cached", "nothing suitable is stored"
                )
            case Validate() as verdict:
                self._validate(raw, asked, verdict)
            case FetchVerdict() as verdict:
                self._join(raw, asked, None, verdict.why)
            case Forward() as verdict:
                self._why = verdict.why
                self.word = Word.PASS
                self._relay(raw)
            case _:
                assert_never(asked.verdict)

    def _deliver_stale(self, asked: Cacheable, verdict: DeliverStale) -> None:
        """Answer with what is no longer fresh, and see to it that something new comes."""
        word = Word.STALE
        if verdict.refresh:
            if self._fetches.find(asked.key, self.head) is not None:
                word = Word.UPDATING
            else:
                self._refreshes.begin(
                    asked.key,
                    self.head,
                    forwarding.for_fetch(self.head.fields, self.route.cache),
                    self.route,
                    verdict.stored,
                    self._client.address,
                )
        self._deliver(verdict.stored, word)

    def _validate(self, raw: bytes, asked: Cacheable, verdict: Validate) -> None:
        """Ask the origin about a stored response, with only so much patience."""
        now = self._site.clock()
        patience = reuse.patience(verdict.stored, self.head, self.route.cache, now)
        if patience is not None:
            if self._refreshes.failing(asked.key) and self._deliver_instead(None):
                return
            self._site.watch.set(self, self._site.monotonic() + patience)
        self._join(raw, asked, verdict.stored, verdict.why)

    def expire(self, now: float) -> None:  # noqa: ARG002
        """Wait no longer for an origin while something stale is at hand."""
        fetch = self._fetch
        if not isinstance(fetch, Fetch) or fetch.response is not None or self.reply.started:
            return
        asked = self.asked
        assert isinstance(asked, Cacheable)
        # The fetch goes on without us: what it brings is for the next.
        if self._deliver_instead(None):
            self._refreshes.adopt(fetch, asked.key, self.head)

    def _deliver_instead(self, status: int | None) -> bool:
        """Answer with something stale in place of an error, if there is and that may be.

        *status* is what the origin answered, None when it gave no answer.
        """
        asked = self.asked
        if not isinstance(asked, Cacheable) or not isinstance(asked.verdict, Validate):
            return False
        stored = asked.verdict.stored
        site = self._site
        verdict = reuse.in_place_of_error(stored, self.head, self.route.cache, site.clock(), status)
        if verdict is None or not shelving.holds(site, asked.key, stored):
            return False
        self._why = asked.verdict.why
        forwarded, self._forwarded = self._forwarded, None
        if forwarded is not None:
            forwarded.abandon()
        self._deliver(stored, Word.STALE, status)
        return True

    # Through the cache: the exchange reads along with a fetch.

    def _join(
        self,
        raw: bytes,
        asked: Cacheable,
        stored: StoredResponse | None,
        why: Forwarded,
        *,
        alone: bool = False,
    ) -> None:
        self._why = why
        fetches = self._fetches
        if self.head.method != b"GET" or fetches.apart(asked.key):
            # A response to HEAD has no body to store, and what was found unfit to be shared
            # goes side by side: both are asked for as they are.
            self.word = Word.PASS
            self._relay(raw)
            return
        self._hint()
        fetch = fetches.find(asked.key, self.head)
        if fetch is not None:
            self._collapsed = True
            self._site.counters.collapsed += 1
            self._fetch = fetch
            fetch.join(self)
            return
        # To be stored it has to come whole; whether this client has it already is for us to
        # find out.
        fetch = Fetch(
            self._site,
            fetches,
            asked.key,
            self.head,
            forwarding.for_fetch(self.head.fields, self.route.cache),
            self.route,
            stored,
        )
        self._fetch = fetch
        fetches.add(asked.key, fetch)
        fetch.join(self)
        fetch.start(self._client.address, alone=alone)

    def fetch_interim(self, head: ResponseHead) -> None:
        """Pass a 1xx response on."""
        self.take_interim(head)

    def fetch_head(self, fetch: Fetch) -> None:
        """Begin the answer with what the fetch brought."""
        response = fetch.response
        assert response is not None
        assert fetch.body is not None
        self.origin_answer = response
        stale = isinstance(self.asked, Cacheable) and isinstance(self.asked.verdict, Validate)
        rules = self.route.cache
        preview = fetch.preview()
        length = fetch.body.length if isinstance(fetch.body, Sized) else None
        coding = compress.coding_for(self.route, self.head, response, length)
        if preview is None:
            self.word = Word.PASS
            fields = downstream.fields_for_client(response.fields, rules, None, response.status)
        else:
            self.word = Word.EXPIRED if stale or self._why is Forwarded.STALE else Word.MISS
            if wants_range(self.head) and response.status == 200:
                # Which part, and whether there is such a part, shows once all of it is there.
                return
            if self._waits_for_whole(fetch, response):
                return
            if coding is not None:
                preview = replace(
                    preview,
                    fields=negotiation.streamed(preview.fields, coding),
                    coding=coding.value,
                )
            selected = select(self.head, preview, self.route)
            if selected.status == 304:
                self._leave()
                cache_status = self._cache_status(response.status, preview)
                self._start(304, selected.reason, selected.lines, None, cache_status)
                self.reply.end(NONE)
                self._finish()
                return
            fields = downstream.fields_for_client(
                response.fields, rules, preview.lifetime, response.status
            )
        body = fetch.body
        if coding is not None:
            fields = negotiation.streamed(fields, coding)
            body = CHUNKED
            self._read_encoded(fetch, coding)
        elif self.route.compression is not None:
            fields = compress.varied(fields, response, self.route.compression)
        kept = preview is not None
        fields = images.as_source(self.route, self.head, response, fields, kept=kept)
        self._start_reply(response, fields, body, preview)
        if not fetch.whole:
            # What came in one go leaves in one go: its body is handed over next.
            self.pump()

    def _waits_for_whole(self, fetch: Fetch, response: ResponseHead) -> bool:
        """Return whether to answer once the body is there, because it is now or must be.

        What came in one go is answered with its length; what is encoded in a way that this
        client can't read is decoded first.
        """
        if self.route.compression is None:
            return False
        return fetch.whole or not compress.readable(response, self.route, self.head)

    def _read_encoded(self, fetch: Fetch, coding: Coding) -> None:
        """Read along with what *fetch* brings, as *coding*, from now on."""
        encoding = fetch.encodings.get(coding)
        if encoding is None:
            asked = self.asked
            assert isinstance(asked, Cacheable)
            encoding = Encoding(self._site, fetch, asked.key, self.route, self.head, coding)
            fetch.encodings[coding] = encoding
        encoding.join(self)
        fetch.leave(self)
        self._fetch = encoding

    def fetch_validated(self, stored: StoredResponse) -> None:
        """Answer with the stored response, which is good again."""
        self._deliver(stored, Word.REVALIDATED)

    def fetch_found(self) -> None:
        """Look again: what was fetched elsewhere is in memory now."""
        asked = self.asked
        assert isinstance(asked, Cacheable)
        self._leave()
        self._why = None
        self._collapsed = False
        rules = self.route.cache
        now = self._site.clock()
        found = asking.find(self._site, asked.key, rules, self.head, now, waited=True)
        asked.shelf, verdict = found
        asked.verdict = verdict
        if isinstance(verdict, FetchVerdict | Validate):
            # It isn't for this request: another variant, or purged again by now.
            stored = verdict.stored if isinstance(verdict, Validate) else None
            self._join(b"", asked, stored, verdict.why, alone=True)
        else:
            self._follow(b"", asked)

    def fetch_released(self) -> None:
        """Ask again: what the fetch brought is for somebody else."""
        asked = self.asked
        assert isinstance(asked, Cacheable)
        assert self._why is not None
        self._fetch = None
        self._collapsed = False
        stored = asked.verdict.stored if isinstance(asked.verdict, Validate) else None
        self._join(b"", asked, stored, self._why)

    def fetch_erred(self, status: int) -> bool:
        """Answer with something stale in place of the origin's error, if that may be."""
        return not self.reply.started and self._deliver_instead(status)

    def fetch_failed(self, error: GatewayError) -> None:
        """Answer with something stale, else say what went wrong or break off what had begun."""
        self.take_failure(error)

    def take_failure(self, error: GatewayError) -> None:
        """Answer with something stale, else say what went wrong or break off what had begun."""
        self._forwarded = None
        self._drop_encoder()
        reason = self._tell(error)
        if self.reply.started or not self._deliver_instead(None):
            self._leave()
            self._give_up(error, reason)

    def take_head(self, head: ResponseHead, body: Framing) -> None:
        """Begin the answer, with something stale in place of an error if that may be."""
        failed = head.status >= 500 or head.status in staleness.GONE
        if failed and self._deliver_instead(head.status):
            return
        super().take_head(head, body)

    def pump(self) -> None:
        """Take what the fetch has, as far as the client has room."""
        fetch = self._fetch
        if fetch is None or fetch.response is None:
            return
        if not self.reply.started:
            if fetch.stored is not None:
                self.origin_answer = fetch.response
                self.origin_bytes = fetch.received
                self._deliver(fetch.stored, self.word, fetch.response.status)
            elif isinstance(fetch, Fetch) and fetch.preview() is None:
                # It became too large to be stored: the client gets all of it after all.
                self.fetch_head(fetch)
            return
        position = self.position
        while self._client.has_room and (piece := fetch.take(self.position)) is not None:
            self.position += 1
            self.reply.piece(piece)
            if len(piece) > _FLUSHED_BYTES:
                # Only what was written tells whether there is room for more.
                self.reply.flush()
        self.reply.flush()
        if self.position != position:
            fetch.taken()
        if fetch.ended and fetch.take(self.position) is None:
            self.origin_bytes = fetch.received
            self._note_wanted(fetch)
            self._end_reply(fetch.trailers)
            self._leave()
            self._finish()

    def _note_wanted(self, fetch: "Fetch | Encoding") -> None:
        """Have the rendition made that this client would have taken."""
        asked = self.asked
        if self.head.renditions and fetch.stored is not None and isinstance(asked, Cacheable):
            at_hand = self._site.representations.at_hand
            at_hand(asked.key, None, fetch.stored, self.route, self.head)

    # Its end.

    def room(self) -> None:
        """Go on: the client takes again."""
        super().room()
        self.pump()

    def _let_go(self) -> None:
        super()._let_go()
        self._leave()

    def _leave(self) -> None:
        if self.watched_in:
            self._site.watch.discard(self)
        fetch, self._fetch = self._fetch, None
        if fetch is not None:
            fetch.leave(self)
