"""Lines over time as SVG, drawn here so that a page needs nothing from elsewhere."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 960, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 28
_MOST_POINTS = 480
"""More would lie within one pixel of one another."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart, one value a second."""

    name: str
    colour: str
    values: Sequence[float]


def chart(lines: Sequence[Line], unit: str) -> Markup:
    """Return a picture of *lines*; of seconds that share a pixel the highest value is drawn."""
    seconds = max((len(line.values) for line in lines), default=0)
    top = _round_up(max((value for line in lines for value in line.values), default=0.0))
    parts = [*_axes(seconds, top, unit)]
    for line in lines:
        points = " ".join(
            f"{_x(at, seconds):.1f},{_y(value, top):.1f}" for at, value in _thinned(line.values)
        )
        parts.append(
            f'<polyline fill="none" stroke="{line.colour}" stroke-width="1.6" points="{points}"/>'
        )
    title = ", ".join(line.name for line in lines)
    return Markup(
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)} over time">'
        f"{''.join(parts)}</svg>"
    )


def _axes(seconds: int, top: float, unit: str) -> Iterator[str]:
    for step in range(5):
        value = top * step / 4
        y = _y(value, top)
        yield (
            f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    yield f'<text x="{_LEFT + 4}" y="{_TOP + 10}">{escape(unit)}</text>'
    for step in range(5):
        at = seconds * step / 4
        x = _x(at, seconds)
        yield f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{at:.0f} s</text>'


def _thinned(values: Sequence[float]) -> Iterator[tuple[int, float]]:
    step = max(1, math.ceil(len(values) / _MOST_POINTS))
    for at in range(0, len(values), step):
        yield at, max(values[at : at + step])


def _x(at: float, seconds: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (at / max(1, seconds))


def _y(value: float, top: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - value / top)


def _round_up(value: float) -> float:
    """Return the next number of the kind 1, 2, 4 or 10 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 10) if factor * power >= value)
