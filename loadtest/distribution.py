"""A distribution that takes the same memory for a thousand values and for a billion.

Values fall into buckets that grow by one percent, so a percentile is that exact. The largest
value is kept as it was.
"""

import math
from collections.abc import Mapping

GROWTH = 1.01
_LOG = math.log(GROWTH)
_SMALLEST = 0.001
"""What is less counts as this; in milliseconds that is a microsecond."""


class Distribution:
    """Counts positive values, such as milliseconds."""

    __slots__ = ("_buckets", "count", "largest", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count *value*."""
        place = int(math.log(max(value, _SMALLEST)) / _LOG // 1)
        self._buckets[place] = self._buckets.get(place, 0) + 1
        self.count += 1
        self.total += value
        self.largest = max(self.largest, value)

    def merge(self, other: "Distribution") -> None:
        """Count everything that *other* has counted."""
        self.absorb(other.buckets, other.total, other.largest)

    def absorb(self, buckets: Mapping[int, int], total: float, largest: float) -> None:
        """Count what another process has counted: its buckets, their sum, the largest value."""
        for place, count in buckets.items():
            self._buckets[place] = self._buckets.get(place, 0) + count
            self.count += count
        self.total += total
        self.largest = max(self.largest, largest)

    @property
    def buckets(self) -> Mapping[int, int]:
        """How many values fell into each bucket."""
        return self._buckets

    @property
    def mean(self) -> float:
        """The mean; 0 when there are no values."""
        return self.total / self.count if self.count else 0.0

    def percentile(self, percent: float) -> float:
        """Return what *percent* of the values don't exceed; 0 when there are none."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for place in sorted(self._buckets):
            seen += self._buckets[place]
            if seen >= wanted:
                # The middle of the bucket, but nothing larger than was ever seen.
                return min(math.exp((place + 0.5) * _LOG), self.largest)
        return 0.0
