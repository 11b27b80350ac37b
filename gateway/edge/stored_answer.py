"""Answering with what is at hand: a stored response, or what the rules say to answer."""

from dataclasses import replace
from http import HTTPStatus

from gateway.edge import compress
from gateway.edge.asked import Cacheable, Settled
from gateway.edge.relay import Relay
from gateway.edge.select import select
from gateway.errors import OriginSpokeNonsense
from gateway.policy import outcome
from gateway.policy.age import current_age
from gateway.policy.outcome import Word
from gateway.policy.stored import Form, StoredResponse
from gateway.wire.fields import NONE, line

_NAMED = frozenset(int(status) for status in HTTPStatus)


class StoredAnswer(Relay):
    """The part of an exchange that needs nothing more from an origin."""

    __slots__ = ()

    def _leave(self) -> None:
        """Read along with nobody any more."""

    def _settle(self, asked: Settled) -> None:
        """Answer without cache and origin, as the route says."""
        response = asked.response
        fields = self.route.response_fields.apply(response.fields)
        reason = HTTPStatus(response.status).phrase.encode() if response.status in _NAMED else b""
        cache_status = outcome.cache_status(detail=asked.detail, generated=True)
        self._start(response.status, reason, fields.lines, len(response.body), cache_status)
        self.reply.piece(response.body)
        self.reply.end(NONE)
        self._finish()

    def _deliver(self, stored: StoredResponse, word: Word, answered: int | None = 304) -> None:
        """Answer with a stored response; *answered* is the origin's status, None for none."""
        self._leave()
        self.word = word
        asked = self.asked
        shelf = asked.shelf if isinstance(asked, Cacheable) else None
        if shelf is not None:
            shelf.visited = True
        if self.route.represents and isinstance(asked, Cacheable):
            at_hand = self._site.representations.at_hand
            made = at_hand(asked.key, None, stored, self.route, self.head)
            if made is None:
                self._wait_for_form(asked.key, stored, word, answered)
                return
            stored = made
        self._send_stored(stored, word, answered)

    def _wait_for_form(
        self, key: bytes, stored: StoredResponse, word: Word, answered: int | None
    ) -> None:
        """Answer with *stored* once it is encoded as this client wants it."""
        site = self._site

        def made(form: Form | None) -> None:
            if self._over:
                return
            if form is not None:
                formed = replace(stored, forms=(form,))
                found = site.representations.at_hand(key, None, formed, self.route, self.head)
                assert found is not None
                self._send_stored(found, word, answered)
            elif compress.readable(stored, self.route, self.head):
                self._send_stored(stored, word, answered)
            else:
                error = OriginSpokeNonsense("sent a body that isn't what its encoding says")
                self._give_up(error, self._tell(error))

        site.representations.make(key, stored, self.route, self.head, made)

    def _send_stored(self, stored: StoredResponse, word: Word, answered: int | None) -> None:
        selected = select(self.head, stored, self.route)
        now = self._site.clock()
        age = current_age(stored.arrival, now)
        lines = (*selected.lines, line(b"Age", b"%d" % age))
        if self._why is None:
            cache_status = outcome.cache_status(ttl=stored.lifetime - age)
        elif word is Word.STALE:
            cache_status = outcome.cache_status(
                forwarded=self._why,
                forwarded_status=answered,
                collapsed=self._collapsed,
                ttl=stored.lifetime - age,
                detail="stale-if-error",
            )
        else:
            cache_status = self._cache_status(answered or 304, stored)
        self._start(selected.status, selected.reason, lines, selected.length, cache_status)
        if self.route.hints is not None:
            self._site.hints.settled(self.route, self.head, stored)
        if self.head.method != b"HEAD":
            for piece in selected.pieces:
                self.reply.piece(piece)
        self.reply.end(NONE)
        self._finish()
