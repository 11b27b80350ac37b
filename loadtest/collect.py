"""Adds up what k6 and k9 measure, sample by sample, while they measure it.

Both write one JSON object a line (`--out json=...`) and both scripts put the endpoint, the word
of X-Cache and the status on each sample of `answer_duration`. What is kept grows with the
seconds of a run, not with its requests.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from loadtest.definition import Definition
from loadtest.distribution import Distribution
from loadtest.record import Failure, Group, Second, Times


class _Values(msgspec.Struct):
    time: datetime | None = None
    value: float = 0.0
    tags: dict[str, str] | None = None


class _Sample(msgspec.Struct):
    metric: str
    type: str
    data: _Values


_DECODER = msgspec.json.Decoder(_Sample)


@dataclass(slots=True)
class Tally:
    """Answers that have something in common."""

    times: Distribution = field(default_factory=Distribution)
    errors: int = 0
    served: int = 0
    asked: int = 0
    origin: int = 0

    def group(self, name: str) -> Group:
        """Return it as it is kept."""
        return Group(name, Times.of(self.times), self.errors, self.served, self.asked)


class Collection:
    """What has been measured so far."""

    def __init__(self, definition: Definition) -> None:
        self._served = frozenset(definition.served_from_cache)
        self._stale = frozenset(definition.stale_words)
        self._not_asked = frozenset((*definition.not_asked_words, "none"))
        self.total = Tally()
        self.stale = 0
        self.dropped = 0
        self.visits = 0
        self.recent = Tally()
        """Since the display last took it."""
        self._seconds: dict[int, Tally] = {}
        self._endpoints: dict[str, Tally] = {}
        self._words: dict[str, Tally] = {}
        self._failures: Counter[tuple[str, str]] = Counter()

    def feed(self, line: bytes) -> None:
        """Take one line; what isn't a sample of interest is passed over."""
        sample = _DECODER.decode(line)
        if sample.type != "Point":
            return
        match sample.metric:
            case "answer_duration":
                self._answered(sample.data)
            case "http_reqs":
                self._asked(sample.data.tags or {})
            case "error_rate" if sample.data.value:
                self._failed(sample.data)
            case "dropped_iterations":
                self.dropped += round(sample.data.value)
            case "iterations":
                self.visits += round(sample.data.value)
            case _:
                pass

    def _answered(self, data: _Values) -> None:
        tags = data.tags or {}
        word = tags.get("cache", "none")
        endpoint = tags.get("endpoint", "other")
        served = word in self._served
        asked = word not in self._not_asked
        self.stale += word in self._stale
        for tally in (
            self.total,
            self.recent,
            self._second(data),
            self._endpoints.setdefault(endpoint, Tally()),
            self._words.setdefault(word, Tally()),
        ):
            tally.times.add(data.value)
            tally.served += served
            tally.asked += asked
            tally.origin += not served

    def _asked(self, tags: dict[str, str]) -> None:
        """Note what an answer's status or its absence says; right or wrong is told elsewhere."""
        status = tags.get("status", "0")
        what = tags.get("error") or (f"status {status}" if status >= "400" else "")
        if what:
            self._failures[tags.get("endpoint") or tags.get("name", "other"), what] += 1

    def _failed(self, data: _Values) -> None:
        endpoint = (data.tags or {}).get("endpoint", "other")
        for tally in (
            self.total,
            self.recent,
            self._second(data),
            self._endpoints.setdefault(endpoint, Tally()),
        ):
            tally.errors += 1

    def _second(self, data: _Values) -> Tally:
        assert data.time is not None
        return self._seconds.setdefault(int(data.time.timestamp()), Tally())

    def take_recent(self) -> Tally:
        """Return what came since the last call."""
        recent, self.recent = self.recent, Tally()
        return recent

    @property
    def seconds(self) -> float:
        """How long answers came for."""
        return max(self._seconds) - min(self._seconds) + 1 if self._seconds else 0.0

    def series(self) -> tuple[Second, ...]:
        """Return the run second by second; seconds without an answer are there too."""
        if not self._seconds:
            return ()
        first, last = min(self._seconds), max(self._seconds)
        nothing = Tally()
        points = []
        for at in range(first, last + 1):
            tally = self._seconds.get(at, nothing)
            points.append(
                Second(
                    at=at - first,
                    times=Times.of(tally.times),
                    errors=tally.errors,
                    served=tally.served,
                    asked=tally.asked,
                    origin=tally.origin,
                )
            )
        return tuple(points)

    def endpoints(self) -> tuple[Group, ...]:
        """Return the answers by endpoint, the most frequent first."""
        return _groups(self._endpoints)

    def words(self) -> tuple[Group, ...]:
        """Return the answers by the word in X-Cache; `none` had no such field."""
        return _groups(self._words)

    def failures(self) -> tuple[Failure, ...]:
        """Return what went wrong, the most frequent first."""
        return tuple(
            Failure(endpoint, what, count)
            for (endpoint, what), count in self._failures.most_common()
        )


def _groups(tallies: dict[str, Tally]) -> tuple[Group, ...]:
    ordered = sorted(tallies.items(), key=lambda item: (-item[1].times.count, item[0]))
    return tuple(tally.group(name) for name, tally in ordered)
