import pytest

from gateway.policy import vary
from tests.policy.messages import bare, fields, request, stored


def nominated_by(value: str, *asked: tuple[str, str]) -> object:
    return vary.nominated(fields(*asked), fields(("Vary", value)))


@pytest.mark.parametrize("value", ["*", "*, *", ", *", "*, Foo", "Foo, *", "Foo Bar", "Foo;x"])
def test_a_vary_that_cannot_be_matched_nominates_nothing_usable(value: str) -> None:
    assert nominated_by(value, ("Foo", "1")) is None


def test_every_field_is_nominated_once_in_lower_case() -> None:
    assert nominated_by("Foo, BAR,, foo", ("foo", "1")) == ((b"foo", b"1"), (b"bar", None))


def test_without_vary_every_request_matches() -> None:
    assert vary.nominated(fields(("Foo", "1")), fields()) == ()
    assert vary.matches(bare(), fields(("Foo", "1")))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        pytest.param("Foo", ["1, 2"], ["1", "2"], id="lines-combined"),
        pytest.param("Foo", ["1,2"], ["1 ,  2"], id="white-space-about-commas"),
        pytest.param("Accept-Language", ["en, de"], ["de, en"], id="language-order"),
        pytest.param("Accept-Language", ["en-GB"], ["EN-gb"], id="language-case"),
        pytest.param("Accept-Language", ["en, de;q=0.5"], ["de; q=0.50,en;q=1.0"], id="weights"),
        pytest.param("Accept-Encoding", ["gzip, br"], ["BR,gzip"], id="encodings"),
        pytest.param("Accept-Encoding", ["gzip;q=0"], ["gzip; q=0.000"], id="weight-zero"),
    ],
)
def test_differences_that_mean_nothing_match(name: str, one: list[str], other: list[str]) -> None:
    kept = stored(
        ("Cache-Control", "max-age=60"),
        ("Vary", name),
        asked=request(*((name, value) for value in one)),
    )

    assert vary.matches(kept, fields(*((name, value) for value in other)))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        pytest.param("Foo", "1", "2", id="value"),
        pytest.param("Foo", "a", "A", id="case"),
        pytest.param("Foo", "1, 2", "2, 1", id="order"),
        pytest.param("Foo", '"a, b"', '"a,b"', id="inside-quotes"),
        pytest.param("User-Agent", "x, y", "x,y", id="no-list"),
        pytest.param("Cookie", "a=1,2", "a=1, 2", id="cookie"),
        pytest.param("Accept-Language", "en;q=0.5", "en;q=0.6", id="weight"),
        pytest.param("Accept-Language", "en;q=0", "en", id="refused"),
        pytest.param("Accept-Language", "en;q=1, en;q=0", "en;q=0, en;q=1", id="twice"),
        pytest.param("Accept-Language", "en;x=1, de", "de, en;x=1", id="beyond-the-grammar"),
        pytest.param("Foo", "x" * 300, "y" * 300, id="long"),
    ],
)
def test_differences_that_may_mean_something_do_not_match(name: str, one: str, other: str) -> None:
    kept = stored(("Cache-Control", "max-age=60"), ("Vary", name), asked=request((name, one)))

    assert not vary.matches(kept, fields((name, other)))
    assert vary.matches(kept, fields((name, one)))


def test_presence_and_absence_do_not_match() -> None:
    pairs = ("Cache-Control", "max-age=60"), ("Vary", "Foo")
    without = stored(*pairs)
    empty = stored(*pairs, asked=request(("Foo", "")))

    assert vary.matches(without, fields())
    assert not vary.matches(without, fields(("Foo", "1")))
    assert not vary.matches(without, fields(("Foo", "")))
    assert not vary.matches(empty, fields())
