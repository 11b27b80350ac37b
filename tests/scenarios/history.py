"""What happened in a scenario, and what of it may not have happened.

Clients write down every request; whoever purges writes down since when which version is the
oldest that may be seen. `faults` reads it all afterwards. Instants are monotonic seconds.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a request ended for its client."""

    ANSWERED = "a complete answer"
    FAILED = "an error that says so: 500 to 504"
    BROKEN = "the connection ended in the middle of an answer"
    UNANSWERED = "the connection ended before any answer"
    REFUSED = "no connection"
    HUNG = "nothing for a long time"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and what became of it."""

    begun: float
    ended: float
    client: str
    key: str
    outcome: Outcome
    fresh_connection: bool = True
    """Whether it was the first request of its connection, so that no idle limit met it."""
    word: str = ""
    """What X-Cache said."""
    version: int = 0
    """0 where an answer has none, such as to an upload."""
    fault: str | None = None
    """What is wrong with the answer itself."""


@dataclass(frozen=True, slots=True)
class Purged:
    """From *acknowledged* on, nobody who asks for one of *keys* may see an older version."""

    acknowledged: float
    keys: dict[str, int]


@dataclass(frozen=True, slots=True)
class Changed:
    """From *at* on, *key* is *version* at the origin."""

    at: float
    key: str
    version: int


@dataclass(slots=True)
class History:
    """Everything that was written down."""

    asked: list[Asked] = field(default_factory=list)
    purged: list[Purged] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    acts: Counter[str] = field(default_factory=Counter)
    """What was done to the gateway and its origins, and how often."""

    def outcomes(self) -> Counter[Outcome]:
        return Counter(each.outcome for each in self.asked)

    def words(self) -> Counter[str]:
        return Counter(each.word for each in self.asked if each.word)

    def told(self) -> str:
        """Return a few lines for a person."""
        counts = [f"{count} {name}" for name, count in self.outcomes().most_common()]
        words = [f"{count} {name}" for name, count in self.words().most_common()]
        acts = [f"{count} {name}" for name, count in sorted(self.acts.items())]
        return "\n".join(["; ".join(each) for each in (counts, words, acts)])


def faults(history: History, *, longest_stale: float) -> list[str]:
    """Return what no client should have got.

    *longest_stale* is how many seconds after its successor a version may still be sent, by
    what the rules say of lifetimes and staleness.
    """
    found = [f"{each.client} {each.key}: {each.fault}" for each in history.asked if each.fault]
    found += [
        f"{each.client} {each.key}: {each.outcome}"
        for each in history.asked
        if each.outcome is Outcome.HUNG
    ]
    purges, successors = _purges(history.purged), _successors(history.changed)
    for each in history.asked:
        if each.outcome is not Outcome.ANSWERED or not each.version:
            continue
        for acknowledged, oldest in purges.get(each.key, ()):
            if each.begun > acknowledged and each.version < oldest:
                late = each.begun - acknowledged
                found.append(
                    f"{each.client} {each.key}: version {each.version} ({each.word}) was purged"
                    f" {late:.3f} s before, in favour of {oldest}"
                )
        since = successors.get((each.key, each.version))
        if since is not None and each.begun - since > longest_stale:
            found.append(
                f"{each.client} {each.key}: version {each.version} ({each.word}) was replaced"
                f" {each.begun - since:.1f} s before"
            )
    return found


def lost(history: History) -> list[str]:
    """Return the requests that a client sent and got no complete answer to.

    A connection that was kept may be closed at any time between two requests (RFC 9112
    section 9.6), and the next may cross that on its way: its client repeats it. On a fresh
    connection there is no such excuse, and none once an answer has begun.
    """
    return [
        f"{each.client} {each.key}: {each.outcome}"
        for each in history.asked
        if each.outcome in (Outcome.BROKEN, Outcome.FAILED, Outcome.HUNG)
        or (each.outcome is Outcome.UNANSWERED and each.fresh_connection)
    ]


def _purges(purged: Iterable[Purged]) -> dict[str, list[tuple[float, int]]]:
    by_key: dict[str, list[tuple[float, int]]] = {}
    for each in purged:
        for key, oldest in each.keys.items():
            by_key.setdefault(key, []).append((each.acknowledged, oldest))
    return by_key


def _successors(changed: Iterable[Changed]) -> dict[tuple[str, int], float]:
    """Return since when each version of each key has had a successor."""
    return {(each.key, each.version - 1): each.at for each in changed}
