import pytest

from gateway.policy import reuse
from gateway.policy.reuse import Deliver, Fetch, Forwarded, Refuse, Validate, Verdict
from gateway.policy.rules import OBEY_ORIGIN, CacheRules
from gateway.policy.stored import StoredResponse
from tests.policy.messages import NOON, date, request, stored

MINUTE = stored(("Cache-Control", "max-age=60"), ("ETag", '"a"'))


def verdict(
    kept: StoredResponse, after: float, asked: str | None = None, rules: CacheRules = OBEY_ORIGIN
) -> Verdict:
    pairs = [] if asked is None else [("Cache-Control", asked)]
    return reuse.decide((kept,), request(*pairs), rules, NOON + after)


@pytest.mark.parametrize(
    ("rules", "method", "pairs", "why"),
    [
        pytest.param(OBEY_ORIGIN, "GET", [], None, id="get"),
        pytest.param(OBEY_ORIGIN, "HEAD", [], None, id="head"),
        pytest.param(CacheRules(enabled=False), "GET", [], Forwarded.BYPASS, id="cache-off"),
        pytest.param(OBEY_ORIGIN, "POST", [], Forwarded.METHOD, id="post"),
        pytest.param(OBEY_ORIGIN, "get", [], Forwarded.METHOD, id="methods-have-case"),
        pytest.param(OBEY_ORIGIN, "GET", [("Range", "bytes=0-1")], Forwarded.BYPASS, id="range"),
        pytest.param(OBEY_ORIGIN, "HEAD", [("Range", "bytes=0-1")], None, id="range-of-head"),
        pytest.param(OBEY_ORIGIN, "GET", [("If-Match", "*")], Forwarded.BYPASS, id="if-match"),
        pytest.param(
            OBEY_ORIGIN,
            "GET",
            [("If-Unmodified-Since", date(0))],
            Forwarded.BYPASS,
            id="if-unmodified-since",
        ),
    ],
)
def test_what_the_cache_cannot_answer_does_not_ask_it(
    rules: CacheRules, method: str, pairs: list[tuple[str, str]], why: Forwarded | None
) -> None:
    assert reuse.bypasses(request(*pairs, method=method), rules) is why


def test_a_fresh_response_is_delivered_until_it_is_stale() -> None:
    assert verdict(MINUTE, 20) == Deliver(MINUTE, 20.0, NOON + 60)
    assert verdict(MINUTE, 59.5) == Deliver(MINUTE, 59.5, NOON + 60)
    assert verdict(MINUTE, 60) == Validate(MINUTE, Forwarded.STALE)


def test_a_head_is_answered_from_what_a_get_left() -> None:
    asked = request(method="HEAD")

    assert isinstance(reuse.decide((MINUTE,), asked, OBEY_ORIGIN, NOON), Deliver)


def test_what_a_cache_before_us_aged_is_stale_sooner() -> None:
    kept = stored(("Cache-Control", "max-age=60"), ("Age", "50"))

    assert verdict(kept, 5) == Deliver(kept, 55.0, NOON + 10)
    assert verdict(kept, 10) == Validate(kept, Forwarded.STALE)


@pytest.mark.parametrize(
    ("said", "asked", "after", "expected"),
    [
        pytest.param("max-age=60", "no-cache", 0, Forwarded.REQUEST, id="no-cache"),
        pytest.param("max-age=60", "no-cache", 60, Forwarded.STALE, id="no-cache-of-the-stale"),
        pytest.param("max-age=60", "max-age=0", 0, Forwarded.REQUEST, id="reload"),
        pytest.param("max-age=60", "max-age=10", 9, 10, id="young-enough"),
        pytest.param("max-age=60", "max-age=10", 11, Forwarded.REQUEST, id="too-old"),
        pytest.param("max-age=60", "max-age=100", 9, 60, id="max-age-beyond-the-lifetime"),
        pytest.param("max-age=60", "max-age=junk", 9, Forwarded.REQUEST, id="max-age-unreadable"),
        pytest.param("max-age=60", "min-fresh=20", 39, 40, id="fresh-enough"),
        pytest.param("max-age=60", "min-fresh=20", 41, Forwarded.REQUEST, id="not-fresh-enough"),
        pytest.param("max-age=60", "max-stale", 1e6, 60 + 2**31, id="stale-at-any-age"),
        pytest.param("max-age=60", "max-stale=30", 80, 90, id="stale-within"),
        pytest.param("max-age=60", "max-stale=30", 91, Forwarded.STALE, id="stale-beyond"),
        pytest.param("max-age=60", "max-stale=30, max-age=70", 65, 70, id="stale-but-young"),
        pytest.param(
            "max-age=60", "max-stale=30, no-cache", 80, Forwarded.STALE, id="stale-but-asked"
        ),
        pytest.param(
            "max-age=60, must-revalidate", "max-stale", 80, Forwarded.STALE, id="must-revalidate"
        ),
        pytest.param(
            "max-age=60, proxy-revalidate", "max-stale", 80, Forwarded.STALE, id="proxy-revalidate"
        ),
        pytest.param("s-maxage=60", "max-stale", 80, Forwarded.STALE, id="s-maxage"),
        pytest.param("max-age=60, no-cache", None, 0, Forwarded.STALE, id="no-cache-response"),
        pytest.param(
            "max-age=60, no-cache", "max-stale", 0, Forwarded.STALE, id="no-cache-over-max-stale"
        ),
        pytest.param('max-age=60, no-cache="x"', None, 0, 60, id="qualified-no-cache"),
        pytest.param("max-age=60", "no-store", 0, 60, id="no-store-is-about-storing"),
        pytest.param("max-age=60", "nothing-to-see-here", 0, 60, id="unknown"),
        pytest.param("max-age=60, immutable", "max-age=0", 0, 60, id="immutable-reloaded"),
        pytest.param(
            "max-age=60, immutable", "no-cache", 0, Forwarded.REQUEST, id="immutable-forced"
        ),
        pytest.param(
            "max-age=60, immutable", "max-age=0", 61, Forwarded.STALE, id="immutable-stale"
        ),
        pytest.param("max-age=60", "only-if-cached", 0, 60, id="only-if-cached-and-it-is"),
        pytest.param("max-age=60", "only-if-cached", 60, None, id="only-if-cached-but-stale"),
        pytest.param("max-age=60", "only-if-cached, max-stale", 60, 60 + 2**31, id="or-stale"),
    ],
)
def test_directives_of_both_sides_decide(
    said: str, asked: str | None, after: float, expected: float | Forwarded | None
) -> None:
    """A number is the second until which it is delivered, a word why not, None a refusal."""
    kept = stored(("Cache-Control", said), ("ETag", '"a"'))

    match verdict(kept, after, asked):
        case Deliver(until=until):
            assert isinstance(expected, float | int)
            assert until == pytest.approx(NOON + expected)
        case Validate(why=why):
            assert why is expected
        case other:
            assert other == Refuse()
            assert expected is None


@pytest.mark.parametrize(
    "asked", ["no-cache", "max-age=10", "min-fresh=20", "max-stale=30", "nothing", None]
)
def test_a_verdict_holds_until_the_instant_it_names(asked: str | None) -> None:
    first = verdict(MINUTE, 1, asked)
    if not isinstance(first, Deliver):
        return

    assert isinstance(verdict(MINUTE, first.until - NOON - 0.01, asked), Deliver)
    assert isinstance(verdict(MINUTE, first.until - NOON + 0.01, asked), Validate)


def test_a_route_that_says_immutable_spares_the_origin_reloads() -> None:
    assert isinstance(verdict(MINUTE, 0, "max-age=0", CacheRules(immutable=True)), Deliver)


def test_pragma_forces_a_validation_only_without_cache_control() -> None:
    alone = request(("Pragma", "no-cache"))
    both = request(("Pragma", "no-cache"), ("Cache-Control", "foo"))

    assert reuse.decide((MINUTE,), alone, OBEY_ORIGIN, NOON) == Validate(MINUTE, Forwarded.REQUEST)
    assert isinstance(reuse.decide((MINUTE,), both, OBEY_ORIGIN, NOON), Deliver)


def test_nothing_stored_and_nothing_matching_are_different_misses() -> None:
    varied = stored(("Cache-Control", "max-age=60"), ("Vary", "Foo"))
    asked = request(("Foo", "1"))

    assert reuse.decide((), asked, OBEY_ORIGIN, NOON) == Fetch(Forwarded.URI_MISS)
    assert reuse.decide((varied,), asked, OBEY_ORIGIN, NOON) == Fetch(Forwarded.VARY_MISS)


def test_only_if_cached_is_refused_where_nothing_is_stored() -> None:
    asked = request(("Cache-Control", "only-if-cached"))

    assert reuse.decide((), asked, OBEY_ORIGIN, NOON) == Refuse()


def test_of_several_matching_variants_the_most_recent_by_date_is_chosen() -> None:
    older = stored(("Cache-Control", "max-age=600"), ("Date", date(-20)))
    newer = stored(("Cache-Control", "max-age=60"), ("Date", date(-10)))

    for variants in ((older, newer), (newer, older)):
        chosen = reuse.decide(variants, request(), OBEY_ORIGIN, NOON)
        assert isinstance(chosen, Deliver)
        assert chosen.stored is newer


def test_each_variant_answers_its_own_requests() -> None:
    pairs = ("Cache-Control", "max-age=60"), ("Vary", "Foo")
    one = stored(*pairs, asked=request(("Foo", "1")))
    two = stored(*pairs, asked=request(("Foo", "2")))

    chosen = reuse.decide((two, one), request(("Foo", "1")), OBEY_ORIGIN, NOON)

    assert isinstance(chosen, Deliver)
    assert chosen.stored is one
