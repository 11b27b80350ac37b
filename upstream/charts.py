"""Lines for small pictures: numbers become the points that SVG draws.

A page's charts are drawn here rather than in the browser, so that they are there without
scripts and cost no library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

_ROUND_STEPS = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)


@dataclass(frozen=True, slots=True)
class Line:
    """One series within a box of *width* and *height*; y grows downwards."""

    width: int
    height: int
    highest: int
    """The largest number, however high the box reaches."""
    points: str
    """What a polyline takes."""
    area: str
    """What a polygon takes: the points, closed along the bottom."""
    lines: tuple[float, ...]
    """Heights of the lines that divide the box in quarters, from above."""
    ticks: tuple[str, ...]
    """The numbers that these lines stand for."""


def line(values: Sequence[int], *, width: int, height: int, top: float | None = None) -> Line:
    """Draw *values* from left to right; *top* is the number at the upper edge.

    None for *top* takes the next round number, so that the line stays inside.
    """
    highest = max(values, default=0)
    top = top or round_above(highest)
    step = width / max(1, len(values) - 1)
    placed = [
        (round(index * step, 1), round(height - value / top * height, 1))
        for index, value in enumerate(values)
    ]
    points = " ".join(f"{x:g},{y:g}" for x, y in placed)
    quarters = tuple(round(height * part / 4, 1) for part in range(1, 4))
    ticks = tuple(f"{top * part / 4:g}" for part in (3, 2, 1))
    area = f"0,{height} {points} {width},{height}"
    return Line(width, height, highest, points, area, quarters, ticks)


def round_above(number: float) -> float:
    """Return the next number that people like to read on an axis; 1 for nothing."""
    magnitude = 1.0
    while magnitude * 10 <= number:
        magnitude *= 10
    return next(
        (magnitude * step for step in _ROUND_STEPS if magnitude * step > number), magnitude * 10
    )


def share(part: float, whole: float) -> float:
    """Return *part* in per cent of *whole*; 0 of nothing."""
    return round(part / whole * 100, 1) if whole else 0.0
