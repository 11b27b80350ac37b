import pytest

from gateway.policy.outcome import Word, cache_status
from gateway.policy.reuse import Forwarded
from gateway.policy.structured import parse_dictionary


@pytest.mark.parametrize(
    ("made", "value"),
    [
        pytest.param(cache_status(ttl=35.9), b"gateway; hit; ttl=35", id="hit"),
        pytest.param(cache_status(ttl=-5.0), b"gateway; hit; ttl=-5", id="stale-hit"),
        pytest.param(
            cache_status(forwarded=Forwarded.URI_MISS, forwarded_status=200, stored=True, ttl=60.0),
            b"gateway; fwd=uri-miss; fwd-status=200; stored; ttl=60",
            id="miss",
        ),
        pytest.param(
            cache_status(forwarded=Forwarded.STALE, forwarded_status=304, collapsed=True),
            b"gateway; fwd=stale; fwd-status=304; collapsed",
            id="revalidated",
        ),
        pytest.param(
            cache_status(forwarded=Forwarded.BYPASS, detail="cache-off"),
            b"gateway; fwd=bypass; detail=cache-off",
            id="detail",
        ),
        pytest.param(
            cache_status(forwarded=Forwarded.MISS, detail='say "x" \\ é'),
            rb'gateway; fwd=miss; detail="say \"x\" \\ ?"',
            id="detail-as-string",
        ),
    ],
)
def test_cache_status_is_a_structured_field(made: bytes, value: bytes) -> None:
    assert made == value
    assert parse_dictionary(made) == {b"gateway": True}


def test_words_are_printed_as_they_are() -> None:
    assert [f"{word}" for word in Word] == [word.name for word in Word]
