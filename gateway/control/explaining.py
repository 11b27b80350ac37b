"""Explaining requests for a running gateway: its rules in force, and what its workers have stored.

``GET /-/explain`` takes ``method``, ``target``, and as often as need be ``header``
(``Name: value``), ``response`` (the same, of the origin's answer) and ``as`` (``org=a``), also
``status``. The answer is the explanation under those rules, and for each worker what lies under
the cache key: docs/rules.md shows it.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gateway.config.build import Examined, examine
from gateway.config.rehearsal import identity
from gateway.control import explained
from gateway.control.channel import Settings, Variant
from gateway.control.explain import Explanation, Question, explain
from gateway.control.process import WorkerProcess
from gateway.errors import ConfigurationError, RequestRefused
from gateway.routing.identity import Identity

_ANSWER_LIMIT = 1.0


class BadQuestion(ValueError):
    """The request can't be explained; the text says what to send instead."""


class StoredIn(msgspec.Struct, frozen=True):
    """What one worker has stored."""

    name: str
    answered: bool
    """False when it said nothing within a second."""
    variants: list[Variant]


def question(pairs: Iterable[tuple[str, str]]) -> Question:
    """Return what the parameters *pairs* of a query ask; raises BadQuestion."""
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in ("method", "target", "header", "response", "as", "status"):
            raise BadQuestion(
                f'there is no parameter "{name}"; known: method, target, header, response, as, '
                "status"
            )
        given.setdefault(name, []).append(value)
    method, target = given.get("method", ["GET"])[-1], given.get("target", [""])[-1]
    if not method.isascii() or not method.replace("-", "").isalpha():
        raise BadQuestion("method has to be a method such as GET")
    if not target.startswith("/"):
        raise BadQuestion("target has to be a path such as /blog/a, with its query if any")
    status = given.get("status", ["200"])[-1]
    if len(status) != 3 or not status.isdigit() or not 200 <= int(status) <= 599:
        raise BadQuestion("status has to be from 200 to 599")
    return Question(
        method,
        target,
        _fields(given.get("header", ())),
        _who(given.get("as", ())),
        int(status),
        _fields(given.get("response", ())),
    )


def _fields(texts: Iterable[str]) -> list[tuple[str, str]]:
    found = []
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name or " " in name or not text.isprintable():
            raise BadQuestion("header and response are written as Name: value")
        found.append((name, value.strip(" \t")))
    return found


def _who(texts: Sequence[str]) -> Identity | None:
    if not texts:
        return None
    known: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if name not in ("org", "user") or not equals or not value:
            raise BadQuestion("as is written as org=NAME or user=NAME")
        known[name] = value
    return identity(known.get("user"), known.get("org"))


class Explainer:
    """Explains under the rules in force, which it reads once for each change of them."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._examined: Examined | None = None

    async def answer(
        self, asked: Question, settings: Settings, workers: Iterable[WorkerProcess]
    ) -> dict[str, Any]:
        """Return what ``GET /-/explain`` tells.

        Raises BadQuestion for a request that would be refused, whatever the rules say.
        """
        if self._examined is None or self._settings is not settings:
            # In a thread: a long file takes longer to read than others should wait.
            self._examined = await asyncio.to_thread(
                examine,
                Path(settings.rules),
                os.environ,
                settings.origin,
                settings.rules_text,
                settings.included,
            )
            self._settings = settings
        explanation = _explained(self._examined, asked)
        stored = []
        if explanation.cache_key:
            stored = await asyncio.gather(
                *(_peeked(worker, explanation.cache_key) for worker in workers)
            )
        return {
            "explanation": explanation.as_json(),
            "text": explained.text(explanation),
            "workers": sorted(stored, key=lambda each: each.name),
        }


def _explained(examined: Examined, asked: Question) -> Explanation:
    if examined.snapshot is None:
        # What the rules refer to, such as keys in the environment, has gone since.
        raise ConfigurationError("the rules in force can't be read again")
    places = {
        each.route.name: str(each.place) for each in examined.routes if each.place is not None
    }
    try:
        return explain(examined.snapshot, asked, places)
    except RequestRefused as error:
        raise BadQuestion(f"the request would be refused: {error}") from error


async def _peeked(worker: WorkerProcess, key: bytes) -> StoredIn:
    variants = await worker.peek(key, _ANSWER_LIMIT)
    return StoredIn(worker.name, variants is not None, variants or [])
