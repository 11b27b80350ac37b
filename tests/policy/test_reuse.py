import pytest

from gateway.policy import reuse
from gateway.policy.reuse import (
    Deliver,
    DeliverStale,
    Fetch,
    Forward,
    Forwarded,
    Refuse,
    Validate,
    Verdict,
)
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
        pytest.param(OBEY_ORIGIN, "GET", [("Range", "bytes=0-1")], None, id="range"),
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
        case Deliver(until=until) | DeliverStale(until=until):
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
    assert not isinstance(verdict(MINUTE, first.until - NOON + 0.01, asked), Deliver)


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


GRACE = "max-age=60, stale-while-revalidate=30"


@pytest.mark.parametrize(
    ("said", "asked", "after", "until"),
    [
        pytest.param(GRACE, None, 59, None, id="fresh"),
        pytest.param(GRACE, None, 60, 90, id="just-stale"),
        pytest.param(GRACE, "no-store", 89, 90, id="nearly-too-stale"),
        pytest.param("max-age=0, stale-while-revalidate=30", None, 1, 30, id="never-fresh"),
        pytest.param(GRACE, "only-if-cached", 80, 90, id="only-if-cached"),
        pytest.param(GRACE, "max-stale=10", 65, 70, id="the-client-names-less"),
        pytest.param(GRACE, "max-stale=100", 65, 90, id="the-client-names-more"),
        pytest.param(GRACE, "max-stale=100, max-age=80", 65, 80, id="the-client-names-an-age"),
    ],
)
def test_what_is_a_little_stale_is_sent_while_it_is_refreshed(
    said: str, asked: str | None, after: float, until: float | None
) -> None:
    kept = stored(("Cache-Control", said), ("ETag", '"a"'))

    found = verdict(kept, after, asked)

    if until is None:
        assert isinstance(found, Deliver)
        return
    assert found == DeliverStale(kept, float(after), NOON + until, refresh=True)


@pytest.mark.parametrize(
    ("said", "asked", "after"),
    [
        pytest.param(GRACE, None, 90, id="too-stale"),
        pytest.param(GRACE + ", must-revalidate", None, 70, id="must-revalidate"),
        pytest.param(GRACE + ", proxy-revalidate", None, 70, id="proxy-revalidate"),
        pytest.param(GRACE + ", no-cache", None, 0, id="no-cache"),
        pytest.param("s-maxage=60, stale-while-revalidate=30", None, 70, id="s-maxage"),
        pytest.param(GRACE, "no-cache", 70, id="the-client-says-no-cache"),
        pytest.param(GRACE, "max-age=1000", 70, id="the-client-names-an-age"),
        pytest.param(GRACE, "min-fresh=0", 70, id="the-client-wants-it-fresh"),
        pytest.param(GRACE, "max-stale=5", 70, id="the-client-names-less"),
        pytest.param("max-age=60, stale-while-revalidate=x", None, 60, id="unreadable"),
    ],
)
def test_what_is_stale_is_validated_where_somebody_objects(
    said: str, asked: str | None, after: float
) -> None:
    kept = stored(("Cache-Control", said), ("ETag", '"a"'))

    assert verdict(kept, after, asked) == Validate(kept, Forwarded.STALE)


def test_what_is_sent_beyond_its_grace_because_the_client_takes_it_is_not_refreshed() -> None:
    kept = stored(("Cache-Control", GRACE), ("ETag", '"a"'))

    assert verdict(kept, 100, "max-stale=60") == DeliverStale(
        kept, 100.0, NOON + 120, refresh=False
    )


def test_a_route_grants_grace_to_successes_in_place_of_the_origin() -> None:
    rules = CacheRules(lifetime=60.0, stale_while_revalidate=10.0, status_lifetimes={404: 60.0})
    granted = stored(("Cache-Control", GRACE), rules=rules)
    missing = stored(("Cache-Control", "max-age=60"), rules=rules, status=404)

    assert verdict(granted, 69, rules=rules) == DeliverStale(granted, 69.0, NOON + 70, refresh=True)
    assert isinstance(verdict(granted, 70, rules=rules), Validate)
    assert isinstance(verdict(missing, 61, rules=rules), Validate), "errors inherit nothing"


def test_s_maxage_forbids_stale_use_only_where_it_gives_the_lifetime() -> None:
    """A route that gives the lifetime overrules s-maxage, and so what s-maxage implies."""
    said = ("Cache-Control", "public, s-maxage=60, stale-while-revalidate=300")
    ours = CacheRules(lifetime=60.0)
    theirs = CacheRules()

    assert isinstance(verdict(stored(said, rules=ours), 61, rules=ours), DeliverStale)
    kept = stored(said, ("ETag", '"a"'), rules=theirs)
    assert isinstance(verdict(kept, 61, rules=theirs), Validate)


FAILING = stored(("Cache-Control", "max-age=60, stale-if-error=30"), ("ETag", '"a"'))


@pytest.mark.parametrize("status", [None, 500, 502, 503, 504])
def test_what_is_stale_stands_in_for_an_error(status: int | None) -> None:
    covered = reuse.in_place_of_error(FAILING, request(), CacheRules(), NOON + 80, status)

    assert covered == DeliverStale(FAILING, 80.0, NOON + 90, refresh=False)


@pytest.mark.parametrize("status", [200, 304, 400, 401, 403, 404, 408, 410, 429, 501, 505, 599])
def test_an_answer_that_is_no_error_of_the_origin_is_sent_as_it_is(status: int) -> None:
    assert reuse.in_place_of_error(FAILING, request(), OBEY_ORIGIN, NOON + 61, status) is None


@pytest.mark.parametrize(
    ("said", "asked", "rules", "after", "covered"),
    [
        pytest.param("stale-if-error=30", None, CacheRules(), 90, False, id="too-stale"),
        pytest.param("foo", None, CacheRules(), 61, False, id="nobody-allows-it"),
        pytest.param("foo", None, OBEY_ORIGIN, 61, True, id="disconnected"),
        pytest.param("foo", None, OBEY_ORIGIN, 60 + 3600, False, id="disconnected-too-long"),
        pytest.param("stale-if-error=5", None, OBEY_ORIGIN, 66, False, id="the-origin-says-less"),
        pytest.param("stale-if-error=9000", None, OBEY_ORIGIN, 9000, True, id="the-origin-more"),
        pytest.param(
            "stale-if-error=5", None, CacheRules(stale_if_error_for=10), 66, True, id="the-route"
        ),
        pytest.param(
            "stale-if-error=30", None, CacheRules(stale_if_error_for=0), 61, False, id="route-off"
        ),
        pytest.param("foo", "stale-if-error=9", CacheRules(), 68, True, id="the-client"),
        pytest.param("foo", "stale-if-error=9", OBEY_ORIGIN, 70, False, id="the-client-less"),
        pytest.param("foo", "no-cache", OBEY_ORIGIN, 61, False, id="the-client-says-no-cache"),
        pytest.param("foo", "max-age=0", OBEY_ORIGIN, 61, True, id="a-reload"),
        pytest.param("foo", "max-age=0", CacheRules(), 10, True, id="a-reload-of-the-fresh"),
        pytest.param("must-revalidate", None, OBEY_ORIGIN, 61, False, id="must-revalidate"),
        pytest.param("proxy-revalidate", None, OBEY_ORIGIN, 61, False, id="proxy-revalidate"),
        pytest.param("s-maxage=60", None, OBEY_ORIGIN, 61, False, id="s-maxage"),
        pytest.param("no-cache", None, OBEY_ORIGIN, 1, False, id="no-cache"),
        pytest.param(
            "must-revalidate", "stale-if-error=9", OBEY_ORIGIN, 61, False, id="whoever-asks"
        ),
    ],
)
def test_a_stale_response_covers_errors_as_long_as_somebody_allows(
    said: str, asked: str | None, rules: CacheRules, after: float, covered: bool
) -> None:
    kept = stored(("Cache-Control", f"max-age=60, {said}"), ("ETag", '"a"'))
    asking = request() if asked is None else request(("Cache-Control", asked))

    found = reuse.in_place_of_error(kept, asking, rules, NOON + after, 503)

    assert (found is not None) is covered


def test_a_stored_error_of_the_origin_does_not_stand_in_for_its_next() -> None:
    kept = stored(("Cache-Control", "max-age=60"), status=503)

    assert reuse.in_place_of_error(kept, request(), OBEY_ORIGIN, NOON + 61, None) is None


def test_a_slow_origin_is_waited_for_as_long_as_the_route_says_if_something_is_at_hand() -> None:
    rules = CacheRules(lifetime=60.0, stale_if_error_for=100.0, stale_if_error_after=2.0)
    kept = stored(rules=rules)

    assert reuse.patience(kept, request(), rules, NOON + 61) == 2.0
    assert reuse.patience(kept, request(), rules, NOON + 159) is None, "too stale by then"
    endless = CacheRules(lifetime=60.0, stale_if_error_for=100.0)
    assert reuse.patience(kept, request(), endless, NOON + 61) is None


RANGE = ("Range", "bytes=0-1")


def test_a_range_of_what_is_not_there_is_asked_of_the_origin_alone() -> None:
    whole = CacheRules(whole_for_range=True)

    assert reuse.decide((), request(RANGE), OBEY_ORIGIN, NOON) == Forward(Forwarded.URI_MISS)
    assert reuse.decide((), request(RANGE), whole, NOON) == Fetch(Forwarded.URI_MISS)
    asked = request(RANGE, method="HEAD")
    assert reuse.decide((), asked, OBEY_ORIGIN, NOON) == Fetch(Forwarded.URI_MISS)


def test_a_range_of_what_is_stale_is_validated_if_a_304_can_spare_the_whole() -> None:
    plain = stored(("Cache-Control", "max-age=60"))
    later = NOON + 61

    asked = request(RANGE)
    assert isinstance(reuse.decide((plain,), asked, OBEY_ORIGIN, NOON), Deliver)
    assert reuse.decide((plain,), asked, OBEY_ORIGIN, later) == Forward(Forwarded.STALE)
    stale = Validate(MINUTE, Forwarded.STALE)
    assert reuse.decide((MINUTE,), asked, OBEY_ORIGIN, later) == stale
