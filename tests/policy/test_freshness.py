import pytest

from gateway.policy.directives import parse_response
from gateway.policy.freshness import Lifetime, LifetimeSource, freshness_lifetime, is_anonymous
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Heuristic, Scope
from tests.policy.messages import arrival, date, fields, response

TEN_MINUTES = CacheRules(lifetime=600.0, status_lifetimes={404: 10.0})


def lifetime(
    *pairs: tuple[str, str], status: int = 200, rules: CacheRules = OBEY_ORIGIN
) -> Lifetime:
    head = response(*pairs, status=status)
    directives = parse_response(head.fields)
    return freshness_lifetime(status, head.fields, directives, rules, arrival(head))


@pytest.mark.parametrize(
    ("pairs", "seconds", "source"),
    [
        pytest.param([], 0, LifetimeSource.NONE, id="nothing"),
        pytest.param(
            [("Last-Modified", date(-10_000))], 1000, LifetimeSource.HEURISTIC, id="heuristic"
        ),
        pytest.param(
            [("Last-Modified", date(-1e6))], 3600, LifetimeSource.HEURISTIC, id="heuristic-capped"
        ),
        pytest.param(
            [("Last-Modified", date(10))], 0, LifetimeSource.HEURISTIC, id="changed-in-the-future"
        ),
        pytest.param([("Last-Modified", "x")], 0, LifetimeSource.NONE, id="changed-who-knows"),
        pytest.param(
            [("Last-Modified", date(-1e6)), ("Set-Cookie", "a=1")],
            0,
            LifetimeSource.NONE,
            id="heuristic-not-with-a-cookie",
        ),
        pytest.param(
            [("Last-Modified", date(-1e6)), ("Cache-Control", "max-age=5")],
            5,
            LifetimeSource.MAX_AGE,
            id="heuristic-not-against-the-origin",
        ),
        pytest.param([("Cache-Control", "max-age=5")], 5, LifetimeSource.MAX_AGE, id="max-age"),
        pytest.param(
            [("Cache-Control", "max-age=1, s-maxage=9")], 9, LifetimeSource.S_MAXAGE, id="s-maxage"
        ),
        pytest.param(
            [("Cache-Control", "max-age=9, s-maxage=x")],
            0,
            LifetimeSource.S_MAXAGE,
            id="unreadable",
        ),
        pytest.param([("Expires", date(30))], 30, LifetimeSource.EXPIRES, id="expires"),
        pytest.param([("Expires", date(-30))], 0, LifetimeSource.EXPIRES, id="expired"),
        pytest.param([("Expires", "0")], 0, LifetimeSource.EXPIRES, id="expires-zero"),
        pytest.param(
            [("Expires", date(30)), ("Date", date(40))], 0, LifetimeSource.EXPIRES, id="before-date"
        ),
        pytest.param(
            [("Expires", date(30)), ("Date", "foo")], 30, LifetimeSource.EXPIRES, id="bad-date"
        ),
        pytest.param(
            [("Expires", date(30)), ("Expires", date(20))], 20, LifetimeSource.EXPIRES, id="two"
        ),
        pytest.param(
            [("Expires", date(30)), ("Expires", "x")], 0, LifetimeSource.EXPIRES, id="one-of-two"
        ),
        pytest.param(
            [("Expires", date(30)), ("Cache-Control", "max-age=0")],
            0,
            LifetimeSource.MAX_AGE,
            id="max-age-over-expires",
        ),
        pytest.param(
            [("Cache-Control", "max-age=9"), ("CDN-Cache-Control", "max-age=1")],
            1,
            LifetimeSource.TARGETED,
            id="targeted",
        ),
        pytest.param(
            [("Expires", date(30)), ("CDN-Cache-Control", "must-revalidate")],
            0,
            LifetimeSource.NONE,
            id="targeted-hides-expires",
        ),
    ],
)
def test_the_origins_word_is_obeyed(
    pairs: list[tuple[str, str]], seconds: float, source: LifetimeSource
) -> None:
    assert lifetime(*pairs) == Lifetime(seconds, source)


@pytest.mark.parametrize(
    ("status", "said", "seconds"),
    [
        pytest.param(200, None, 600, id="silent-success"),
        pytest.param(200, "max-age=5", 600, id="success-that-speaks"),
        pytest.param(301, None, 600, id="permanent-redirect"),
        pytest.param(302, None, 0, id="silent-redirect"),
        pytest.param(302, "max-age=5", 5, id="redirect-that-speaks"),
        pytest.param(404, None, 10, id="error-with-a-lifetime"),
        pytest.param(404, "max-age=31536000", 10, id="error-with-a-lifetime-that-speaks"),
        pytest.param(410, None, 0, id="error-without"),
        pytest.param(500, "max-age=31536000", 0, id="error-without-that-speaks"),
    ],
)
def test_a_route_decides_for_successes_and_for_the_errors_it_names(
    status: int, said: str | None, seconds: float
) -> None:
    pairs = [] if said is None else [("Cache-Control", said)]

    assert lifetime(*pairs, status=status, rules=TEN_MINUTES).seconds == seconds


def test_a_route_that_obeys_the_origin_obeys_it_about_errors_too() -> None:
    rules = CacheRules(status_lifetimes={404: 10.0})

    assert lifetime(("Cache-Control", "max-age=5"), status=410, rules=rules).seconds == 5
    assert lifetime(("Cache-Control", "max-age=5"), status=404, rules=rules).seconds == 10


@pytest.mark.parametrize(
    ("status", "pairs", "guessed"),
    [
        pytest.param(200, [], True, id="cacheable-by-default"),
        pytest.param(202, [], False, id="not-cacheable-by-default"),
        pytest.param(202, [("Cache-Control", "public")], True, id="said-to-be-public"),
        pytest.param(404, [], True, id="error-cacheable-by-default"),
        pytest.param(503, [], False, id="error"),
    ],
)
def test_a_guess_is_made_only_about_what_may_be_kept_unasked(
    status: int, pairs: list[tuple[str, str]], guessed: bool
) -> None:
    old = ("Last-Modified", date(-10_000))

    assert (lifetime(old, *pairs, status=status).seconds > 0) is guessed


def test_a_route_guesses_only_when_it_says_so_and_never_about_errors() -> None:
    old = ("Last-Modified", date(-10_000))
    guessing = CacheRules(heuristic=Heuristic(fraction=0.5, most=600.0))

    assert lifetime(old, rules=CacheRules()).source is LifetimeSource.NONE
    assert lifetime(old, rules=guessing) == Lifetime(600.0, LifetimeSource.HEURISTIC)
    assert lifetime(old, status=404, rules=guessing).source is LifetimeSource.NONE
    assert lifetime(old, rules=TEN_MINUTES).source is LifetimeSource.ROUTE


@pytest.mark.parametrize("name", ["Cookie", "Authorization"])
def test_nothing_is_guessed_about_what_one_client_was_told(name: str) -> None:
    head = response(("Last-Modified", date(-10_000)))
    asked = fields((name, "a"))

    assert not is_anonymous(asked, OBEY_ORIGIN)
    assert is_anonymous(asked, CacheRules(scope=Scope.USER)), "the key keeps users apart"
    said = parse_response(head.fields)
    guess = freshness_lifetime(
        200,
        head.fields,
        said,
        OBEY_ORIGIN,
        arrival(head),
        anonymous=is_anonymous(asked, OBEY_ORIGIN),
    )
    assert guess.source is LifetimeSource.NONE
