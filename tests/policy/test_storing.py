import pytest

from gateway.policy import storing
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Scope
from gateway.policy.stored import StoredResponse
from gateway.policy.storing import Pass, Store, Unstorable
from gateway.wire.message import RequestHead
from tests.policy.messages import NOON, date, decision, fields, request, response, stored

PUBLIC = CacheRules(scope=Scope.PUBLIC, lifetime=60.0, status_lifetimes={404: 10.0})
USER = CacheRules(scope=Scope.USER, lifetime=60.0)
FRESH = ("Cache-Control", "max-age=60")
BEARER = ("Authorization", "Bearer x")


@pytest.mark.parametrize(
    ("status", "pairs", "why"),
    [
        pytest.param(200, [FRESH], None, id="fresh"),
        pytest.param(200, [], Unstorable.USELESS, id="silent"),
        pytest.param(200, [("ETag", '"a"')], None, id="silent-with-etag"),
        pytest.param(200, [("Last-Modified", date(-9))], None, id="silent-with-last-modified"),
        pytest.param(200, [("Cache-Control", "no-store")], Unstorable.NO_STORE, id="no-store"),
        pytest.param(
            200, [("Cache-Control", "no-store, max-age=60")], Unstorable.NO_STORE, id="and-fresh"
        ),
        pytest.param(200, [("Cache-Control", "private")], Unstorable.PRIVATE, id="private"),
        pytest.param(200, [("Cache-Control", 'private="a", max-age=60')], None, id="private-field"),
        pytest.param(
            200, [("Cache-Control", "no-cache, max-age=60")], Unstorable.USELESS, id="no-cache"
        ),
        pytest.param(
            200, [("Cache-Control", "no-cache"), ("ETag", '"a"')], None, id="no-cache-with-etag"
        ),
        pytest.param(200, [FRESH, ("Vary", "*")], Unstorable.VARY, id="vary-any"),
        pytest.param(200, [FRESH, ("Set-Cookie", "a=b")], None, id="set-cookie"),
        pytest.param(
            200,
            [("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store")],
            None,
            id="targeted-over-no-store",
        ),
        pytest.param(
            200,
            [("CDN-Cache-Control", "private"), FRESH],
            Unstorable.PRIVATE,
            id="targeted-private",
        ),
        pytest.param(
            200, [("Cache-Control", "no-store, must-understand, max-age=9")], None, id="understood"
        ),
        pytest.param(
            599,
            [("Cache-Control", "no-store, must-understand, max-age=9")],
            Unstorable.NOT_UNDERSTOOD,
            id="not-understood",
        ),
        pytest.param(103, [FRESH], Unstorable.INTERIM, id="interim"),
        pytest.param(206, [FRESH], Unstorable.PARTIAL, id="partial"),
        pytest.param(304, [FRESH], Unstorable.NOT_MODIFIED, id="not-modified"),
        pytest.param(302, [FRESH], None, id="redirect-fresh"),
        pytest.param(302, [("ETag", '"a"')], Unstorable.STATUS, id="redirect-silent"),
        pytest.param(
            302, [("Cache-Control", "public"), ("ETag", '"a"')], None, id="redirect-public"
        ),
        pytest.param(299, [FRESH], None, id="unknown-status"),
        pytest.param(503, [FRESH], None, id="error-fresh"),
        pytest.param(404, [("ETag", '"a"')], Unstorable.ERROR, id="error-silent"),
        pytest.param(
            503,
            [("Expires", date(-5000)), ("Last-Modified", date(-9))],
            Unstorable.ERROR,
            id="error-stale",
        ),
    ],
)
def test_a_shared_cache_stores_what_the_specification_lets_it(
    status: int, pairs: list[tuple[str, str]], why: Unstorable | None
) -> None:
    decided = decision(response(*pairs, status=status))

    assert isinstance(decided, Store) if why is None else decided == Pass(why)


@pytest.mark.parametrize(
    ("said", "scope", "storable"),
    [
        pytest.param("max-age=60", Scope.SHARED, False, id="nothing-allows-it"),
        pytest.param("max-age=60, public", Scope.SHARED, True, id="public"),
        pytest.param("max-age=60, must-revalidate", Scope.SHARED, True, id="must-revalidate"),
        pytest.param("s-maxage=60", Scope.SHARED, True, id="s-maxage"),
        pytest.param("max-age=60", Scope.USER, True, id="partitioned-by-user"),
        pytest.param("max-age=60", Scope.ORG, True, id="partitioned-by-organisation"),
        pytest.param("max-age=60", Scope.PUBLIC, True, id="stripped-before-the-fetch"),
    ],
)
def test_answers_to_credentials_are_stored_where_that_is_authorised(
    said: str, scope: Scope, *, storable: bool
) -> None:
    head = response(("Cache-Control", said))

    decided = decision(head, request(BEARER), CacheRules(scope=scope))

    assert isinstance(decided, Store) if storable else decided == Pass(Unstorable.AUTHORIZATION)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        pytest.param(request(method="POST"), Unstorable.METHOD, id="post"),
        pytest.param(request(method="HEAD"), Unstorable.METHOD, id="head"),
        pytest.param(
            request(("Cache-Control", "no-store")), Unstorable.REQUEST_NO_STORE, id="no-store"
        ),
    ],
)
def test_some_requests_leave_nothing(asked: RequestHead, why: Unstorable) -> None:
    assert decision(response(FRESH), asked) == Pass(why)


@pytest.mark.parametrize(
    ("status", "pairs", "expected"),
    [
        pytest.param(200, [], 60.0, id="silent-success"),
        pytest.param(200, [("Cache-Control", "max-age=0")], 60.0, id="overridden"),
        pytest.param(200, [("Cache-Control", "no-store")], Unstorable.NO_STORE, id="no-store"),
        pytest.param(200, [("Cache-Control", "private")], Unstorable.PRIVATE, id="private"),
        pytest.param(200, [("Set-Cookie", "a=b")], Unstorable.SET_COOKIE, id="set-cookie"),
        pytest.param(
            200,
            [("Set-Cookie", "a=b"), ("Cache-Control", 'no-cache="Set-Cookie"')],
            60.0,
            id="set-cookie-that-is-left-out",
        ),
        pytest.param(302, [], Unstorable.STATUS, id="silent-redirect"),
        pytest.param(404, [], 10.0, id="error-with-a-lifetime"),
        pytest.param(404, [("Cache-Control", "no-store")], Unstorable.NO_STORE, id="and-no-store"),
        pytest.param(500, [FRESH, ("ETag", '"a"')], Unstorable.ERROR, id="error-without"),
    ],
)
def test_a_route_stores_by_its_own_lifetimes_within_what_is_safe(
    status: int, pairs: list[tuple[str, str]], expected: float | Unstorable
) -> None:
    match decision(response(*pairs, status=status), rules=PUBLIC):
        case Store(lifetime=lifetime):
            assert lifetime == expected
        case Pass(why=why):
            assert why is expected


def test_nothing_is_stored_where_the_cache_is_off() -> None:
    assert decision(response(FRESH), rules=CacheRules(enabled=False)) == Pass(Unstorable.OFF)


def test_a_public_response_does_not_depend_on_credentials_that_its_origin_never_saw() -> None:
    head = response(("Vary", "Cookie, Accept"))
    asked = request(("Cookie", "session=1"), ("Accept", "x"))

    public, user = decision(head, asked, PUBLIC), decision(head, asked, USER)

    assert isinstance(public, Store)
    assert isinstance(user, Store)
    assert public.nominated == ((b"accept", b"x"),)
    assert user.nominated == ((b"cookie", b"session=1"), (b"accept", b"x"))


def test_every_reason_names_its_section() -> None:
    assert all(why.section for why in Unstorable)
    assert Unstorable.AUTHORIZATION.section == "RFC 9111 section 3.5"
    assert f"{Unstorable.NO_STORE}" == "no-store"


def test_what_holds_for_one_connection_or_was_withheld_is_not_stored() -> None:
    kept = storing.stored_fields(
        fields(
            ("Connection", "A, close"),
            ("a", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Authenticate", "x"),
            ("Proxy-Authentication-Info", "x"),
            ("Proxy-Connection", "x"),
            ("TE", "x"),
            ("Trailer", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "x"),
            ("b", "2"),
            ("c", "3"),
            ("Cache-Control", 'max-age=9, no-cache="B", private="C"'),
            ("Content-Foo", "4"),
            ("ETag", '"a"'),
        )
    )

    assert [name for _, name, _ in kept] == [b"Cache-Control", b"Content-Foo", b"ETag"]


@pytest.mark.parametrize("value", [None, "yesterday"])
def test_a_response_is_stored_with_the_date_it_came_at_when_it_has_none(value: str | None) -> None:
    kept = stored(FRESH, *([] if value is None else [("Date", value)]), at=NOON)

    assert kept.fields.every(b"date") == [date(0).encode()]


def test_a_newer_response_takes_the_place_of_the_one_selected_alike() -> None:
    varied = FRESH, ("Vary", "Foo")
    one = stored(*varied, asked=request(("Foo", "1")))
    two = stored(*varied, asked=request(("Foo", "2")))
    newer = stored(*varied, asked=request(("Foo", "1")), body=b"newer")

    assert storing.filed((one, two), newer) == (newer, two)


def test_variants_under_one_key_are_bounded() -> None:
    variants: tuple[StoredResponse, ...] = ()
    for number in range(100):
        new = stored(FRESH, ("Vary", "Foo"), asked=request(("Foo", str(number))))
        variants = storing.filed(variants, new)

    assert len(variants) == storing.VARIANTS_UNDER_ONE_KEY
    assert variants[0].nominated == ((b"foo", b"99"),)


def test_obeying_the_origin_is_the_rule_without_rules() -> None:
    assert decision(response(FRESH), rules=OBEY_ORIGIN) == decision(response(FRESH))


HERE = ("Content-Location", "/a")


@pytest.mark.parametrize(
    ("pairs", "rules", "kept"),
    [
        pytest.param([FRESH, HERE], OBEY_ORIGIN, True, id="says-that-it-is-the-target"),
        pytest.param(
            [FRESH, ("Content-Location", "http://hub.example/a")], OBEY_ORIGIN, True, id="in-full"
        ),
        pytest.param([FRESH], OBEY_ORIGIN, False, id="says-nothing"),
        pytest.param([FRESH, ("Content-Location", "/b")], OBEY_ORIGIN, False, id="elsewhere"),
        pytest.param(
            [FRESH, ("Content-Location", "http://other/a")], OBEY_ORIGIN, False, id="another-host"
        ),
        pytest.param([FRESH, HERE, HERE], OBEY_ORIGIN, False, id="twice"),
        pytest.param([HERE], OBEY_ORIGIN, False, id="no-freshness"),
        pytest.param([HERE, ("Last-Modified", date(-1e6))], OBEY_ORIGIN, False, id="a-guess"),
        pytest.param([HERE], USER, False, id="freshness-by-the-route-alone"),
    ],
)
def test_the_answer_to_a_post_is_kept_if_it_is_what_a_get_would_bring(
    pairs: list[tuple[str, str]], rules: CacheRules, kept: bool
) -> None:
    decided = decision(response(*pairs), request(method="POST"), rules)

    assert isinstance(decided, Store) is kept
    if not kept:
        assert decided == Pass(Unstorable.METHOD)


def test_no_other_write_is_kept_whatever_it_says() -> None:
    for method in ("PUT", "DELETE", "PATCH", "HEAD"):
        decided = decision(response(FRESH, HERE), request(method=method))
        assert decided == Pass(Unstorable.METHOD)
    created = decision(response(FRESH, HERE, status=201), request(method="POST"))
    assert created == Pass(Unstorable.METHOD)


def test_what_is_never_fresh_is_kept_for_its_grace() -> None:
    graceful = response(("Cache-Control", "max-age=0, stale-while-revalidate=30"))

    assert isinstance(decision(graceful), Store)
