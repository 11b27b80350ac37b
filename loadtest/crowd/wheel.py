"""A timer wheel: a hundred thousand alarms at the price of a list."""

from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Keeps items until their time, exact to one tick; later than one turn isn't possible."""

    def __init__(self, tick: float, turn: float, now: float) -> None:
        """Begin at *now*; *tick* and *turn* are seconds."""
        self._tick = tick
        self._slots: list[list[Item]] = [[] for _ in range(round(turn / tick))]
        self._at = int(now / tick)

    def add(self, when: float, item: Item) -> None:
        """Give *item* back at *when*; what is past comes with the next tick."""
        slot = max(int(when / self._tick), self._at)
        if slot - self._at >= len(self._slots):
            raise ValueError(f"the wheel turns in {len(self._slots) * self._tick} seconds")
        self._slots[slot % len(self._slots)].append(item)

    def due(self, now: float) -> Iterator[tuple[float, Item]]:
        """Return what was to come until *now*, each with the end of its tick.

        That, not the time asked for, is when it should have come: a caller that looks in time
        isn't late.
        """
        while self._at < int(now / self._tick):
            place = self._at % len(self._slots)
            ready, self._slots[place] = self._slots[place], []
            self._at += 1
            for item in ready:
                yield self._at * self._tick, item
