import pytest

from gateway.policy.downstream import NEVER, fields_for_client, for_a_moment
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Scope
from gateway.wire.fields import Fields, line
from tests.policy.messages import date, fields

YEAR = 31536000.0
HOUR = CacheRules(scope=Scope.PUBLIC, lifetime=3600.0)
STATIC = CacheRules(scope=Scope.PUBLIC, lifetime=YEAR, browser_lifetime=YEAR, immutable=True)


def told(
    said: list[tuple[str, str]], rules: CacheRules, lifetime: float | None, status: int = 200
) -> dict[str, str]:
    sent = fields_for_client(fields(*said), rules, lifetime, status)
    return {name.decode(): value.decode() for name, value in sent.index().items()}


def test_without_routes_the_origins_word_leaves_as_it_came() -> None:
    came = fields(("Cache-Control", "max-age=1"), ("CDN-Cache-Control", "foo"), ("Expires", "0"))

    assert fields_for_client(came, OBEY_ORIGIN, 60.0) is came


def test_where_the_cache_is_off_nobody_keeps_anything() -> None:
    rules = CacheRules(enabled=False, scope=Scope.SHARED)

    assert told(
        [("Cache-Control", "public, max-age=9"), ("CDN-Cache-Control", "max-age=9"), ("A", "1")],
        rules,
        None,
    ) == {"cache-control": NEVER.decode(), "a": "1"}


@pytest.mark.parametrize("scope", [Scope.USER, Scope.ORG])
@pytest.mark.parametrize(
    ("said", "browser", "lifetime", "status", "expected"),
    [
        pytest.param(None, None, 60.0, 200, "private, no-cache", id="silent-and-stored"),
        pytest.param(
            "public, s-maxage=60", None, 60.0, 200, "private, no-cache", id="public-and-stored"
        ),
        pytest.param(
            "public, max-age=60", 10.0, 60.0, 200, "private, max-age=10", id="browser-lifetime"
        ),
        pytest.param("private, max-age=5", 10.0, None, 200, "private, max-age=5", id="private"),
        pytest.param("no-store", 10.0, None, 200, "no-store", id="no-store"),
        pytest.param("public, no-store", None, None, 200, "no-store", id="public-no-store"),
        pytest.param(
            "private, s-maxage=5, max-age=5", None, None, 200, "private, max-age=5", id="mixed"
        ),
        pytest.param("public, max-age=60", 10.0, None, 200, "private, max-age=60", id="not-stored"),
        pytest.param(None, 10.0, None, 200, "private", id="silent-and-not-stored"),
        pytest.param("public, max-age=9", 10.0, 9.0, 404, "private, max-age=9", id="error"),
        pytest.param("no-cache", 10.0, 60.0, 200, "private, no-cache", id="no-cache"),
    ],
)
def test_what_belongs_to_somebody_leaves_as_private(
    scope: Scope,
    said: str | None,
    browser: float | None,
    lifetime: float | None,
    status: int,
    expected: str,
) -> None:
    rules = CacheRules(scope=scope, lifetime=60.0, browser_lifetime=browser)
    pairs = [("CDN-Cache-Control", "max-age=9"), ("Surrogate-Control", "max-age=9")]
    if said is not None:
        pairs.append(("Cache-Control", said))

    assert told(pairs, rules, lifetime, status) == {"cache-control": expected}


@pytest.mark.parametrize(
    ("rules", "said", "expected"),
    [
        pytest.param(HOUR, [], ("public, s-maxage=3600", "max-age=3600"), id="silent"),
        pytest.param(
            HOUR,
            [("Cache-Control", "max-age=1, stale-while-revalidate=86400"), ("Expires", date(1))],
            (
                "public, s-maxage=3600, stale-while-revalidate=86400",
                "max-age=3600, stale-while-revalidate=86400",
            ),
            id="keeps-stale-while-revalidate",
        ),
        pytest.param(
            CacheRules(scope=Scope.PUBLIC, lifetime=3600.0, browser_lifetime=60.0),
            [("CDN-Cache-Control", "max-age=1")],
            ("public, max-age=60, s-maxage=3600", "max-age=3600"),
            id="browser-lifetime",
        ),
    ],
)
def test_a_public_route_tells_caches_after_us_its_lifetime(
    rules: CacheRules, said: list[tuple[str, str]], expected: tuple[str, str]
) -> None:
    cache_control, targeted = expected

    assert told(said, rules, 3600.0) == {
        "cache-control": cache_control,
        "cdn-cache-control": targeted,
    }


def test_static_files_leave_with_the_text_that_their_route_promises() -> None:
    assert told([], STATIC, YEAR) == {
        "cache-control": "public, max-age=31536000, immutable",
        "cdn-cache-control": "max-age=31536000",
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param(None, None, id="silent"),
        pytest.param("public, max-age=31536000", "no-cache", id="claims-to-be-fresh"),
        pytest.param("no-store", "no-store", id="no-store"),
        pytest.param("private, max-age=5", "private, max-age=5", id="private"),
    ],
)
def test_an_error_never_leaves_with_a_routes_lifetime(
    said: str | None, expected: str | None
) -> None:
    pairs = [] if said is None else [("Cache-Control", said)]

    answer = told(pairs, STATIC, 10.0, 404)

    assert answer.get("cache-control") == expected
    assert "cdn-cache-control" not in answer


def test_what_only_a_targeted_field_lets_us_keep_nobody_else_may() -> None:
    said = [("Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=9")]

    assert told(said, HOUR, 3600.0)["cache-control"] == "no-store"


def test_an_error_takes_no_targeted_freshness_along() -> None:
    said = [("Cache-Control", "private"), ("CDN-Cache-Control", "max-age=9")]

    assert told(said, STATIC, None, 404) == {"cache-control": "private"}
    assert told(said[1:], STATIC, None, 404) == {"cache-control": "no-cache"}


@pytest.mark.parametrize(
    ("rules", "said", "lifetime"),
    [
        pytest.param(HOUR, "private", None, id="not-stored"),
        pytest.param(HOUR, "no-cache", 3600.0, id="to-be-validated"),
        pytest.param(CacheRules(scope=Scope.PUBLIC), "max-age=5", 5.0, id="obeying-the-origin"),
    ],
)
def test_a_public_route_leaves_alone_what_it_does_not_decide(
    rules: CacheRules, said: str, lifetime: float | None
) -> None:
    assert told([("Cache-Control", said)], rules, lifetime) == {"cache-control": said}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"public, max-age=31536000, immutable", b"public, max-age=60"),
        (b"max-age=30, s-maxage=99999", b"max-age=30, s-maxage=60"),
        (b"private, no-cache", b"private, no-cache"),
        (b"no-store", b"no-store"),
        (b"max-age=900, stale-while-revalidate=60", b"max-age=60"),
        (None, b"no-cache"),
    ],
)
def test_what_stands_in_for_something_better_lasts_a_minute(
    said: bytes | None, expected: bytes
) -> None:
    sent = Fields([line(b"Expires", b"Thu, 01 Jan 2099 00:00:00 GMT")])
    if said is not None:
        sent = sent.plus(line(b"Cache-Control", said))

    told = for_a_moment(sent)

    assert told.get(b"cache-control") == expected
    assert b"expires" not in told
