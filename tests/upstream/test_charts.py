"""Numbers become lines that stay inside their box."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upstream.charts import line, round_above, share


def test_a_line_goes_from_edge_to_edge_and_its_area_along_the_bottom() -> None:
    drawn = line([0, 5, 10], width=100, height=50, top=10)

    assert drawn.points == "0,50 50,25 100,0"
    assert drawn.area == "0,50 0,50 50,25 100,0 100,50"
    assert (drawn.highest, drawn.ticks) == (10, ("7.5", "5", "2.5"))


@given(st.lists(st.integers(0, 10**9), max_size=90))
def test_no_point_leaves_the_box(values: list[int]) -> None:
    drawn = line(values, width=720, height=220)

    points = [tuple(map(float, point.split(","))) for point in drawn.points.split()]
    assert len(points) == len(values)
    assert all(0 <= x <= 720 and 0 <= y <= 220 for x, y in points)


@pytest.mark.parametrize(
    ("number", "above"), [(0, 1), (1, 1.2), (9, 10), (10, 12), (30, 32), (99, 100), (100, 120)]
)
def test_an_axis_ends_on_a_number_that_people_like(number: int, above: float) -> None:
    assert round_above(number) == pytest.approx(above)


def test_a_share_of_nothing_is_nothing() -> None:
    assert (share(1, 4), share(3, 0)) == (25.0, 0.0)
