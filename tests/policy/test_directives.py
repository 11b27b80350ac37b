import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.directives import (
    FOREVER,
    RequestDirectives,
    ResponseDirectives,
    parse_request,
    parse_response,
)
from tests.policy.messages import fields


def said(value: str) -> ResponseDirectives:
    return parse_response(fields(("Cache-Control", value)))


def asked(value: str) -> RequestDirectives:
    return parse_request(fields(("Cache-Control", value)))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        pytest.param("max-age=3600", 3600, id="plain"),
        pytest.param("MaX-aGe=3600", 3600, id="any-case"),
        pytest.param('max-age="3600"', 3600, id="quoted"),
        pytest.param("max-age=003600", 3600, id="leading-zeros"),
        pytest.param("foobar, max-age=3600, x=y", 3600, id="among-unknown-ones"),
        pytest.param(",, max-age=3600 ,", 3600, id="empty-elements"),
        pytest.param("max-age=2147483647", 2147483647, id="31-bits"),
        pytest.param("max-age=2147483649", FOREVER, id="beyond-31-bits"),
        pytest.param("max-age=" + "9" * 5000, FOREVER, id="thousands-of-digits"),
        pytest.param("max-age=" + "0" * 5000, 0, id="thousands-of-zeros"),
        pytest.param("max-age=-3600", 0, id="negative"),
        pytest.param("max-age=+3600", 0, id="plus"),
        pytest.param("max-age=3600.5", 0, id="decimal"),
        pytest.param("max-age=a3600", 0, id="letter-in-front"),
        pytest.param("max-age=3600a", 0, id="letter-behind"),
        pytest.param("max-age='3600'", 0, id="single-quotes"),
        pytest.param("max-age =3600", 0, id="space-before-equals"),
        pytest.param("max-age= 3600", 0, id="space-after-equals"),
        pytest.param("max-age", 0, id="no-argument"),
        pytest.param("max-age=", 0, id="empty-argument"),
        pytest.param("max-age=1800, max-age=1", 1, id="the-shorter-second"),
        pytest.param("max-age=1, max-age=1800", 1, id="the-shorter-first"),
        pytest.param("max-age=1800, max-age=x", 0, id="one-unreadable"),
        pytest.param('extension="max-age=3600", max-age=1', 1, id="in-a-quoted-string-before"),
        pytest.param('max-age=1, extension="max-age=3600"', 1, id="in-a-quoted-string-behind"),
        pytest.param('extension="max-age=3600"', None, id="only-in-a-quoted-string"),
        pytest.param(r'x="a\", max-age=3600"', None, id="behind-an-escaped-quote"),
        pytest.param("x-max-age=3600", None, id="another-name"),
    ],
)
def test_max_age_is_read_so_that_nothing_is_fresher_than_it_was_meant(
    value: str, seconds: int | None
) -> None:
    assert said(value).max_age == seconds


def test_lines_of_cache_control_are_one_list() -> None:
    both = parse_response(fields(("Cache-Control", "max-age=60"), ("Cache-Control", "no-store")))

    assert both.max_age == 60
    assert both.no_store


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        pytest.param("no-cache", ResponseDirectives(no_cache=True), id="whole"),
        pytest.param(
            'no-cache="A, b"',
            ResponseDirectives(no_cache_fields=frozenset({b"a", b"b"})),
            id="qualified",
        ),
        pytest.param(
            "no-cache=a", ResponseDirectives(no_cache_fields=frozenset({b"a"})), id="as-token"
        ),
        pytest.param('no-cache=""', ResponseDirectives(no_cache=True), id="by-nothing"),
        pytest.param('no-cache="a b"', ResponseDirectives(no_cache=True), id="by-no-field"),
        pytest.param("no-cache =a", ResponseDirectives(no_cache=True), id="malformed"),
        pytest.param(
            'private="set-cookie"',
            ResponseDirectives(private_fields=frozenset({b"set-cookie"})),
            id="private",
        ),
        pytest.param("no-store=yes", ResponseDirectives(no_store=True), id="needless-argument"),
        pytest.param("public=yes", ResponseDirectives(), id="argument-on-what-grants"),
        pytest.param(
            "public, must-revalidate, proxy-revalidate, immutable, no-transform",
            ResponseDirectives(
                public=True,
                must_revalidate=True,
                proxy_revalidate=True,
                immutable=True,
                no_transform=True,
            ),
            id="flags",
        ),
        pytest.param(
            "max-age=1, stale-while-revalidate=5, stale-if-error=9",
            ResponseDirectives(max_age=1, stale_while_revalidate=5, stale_if_error=9),
            id="stale-windows",
        ),
        pytest.param("no-cache, no-cache=a", None, id="whole-beside-qualified"),
    ],
)
def test_directives_are_read(value: str, directives: ResponseDirectives | None) -> None:
    if directives is None:
        assert said(value).no_cache
    else:
        assert said(value) == directives


def test_pragma_in_a_response_means_nothing() -> None:
    assert parse_response(fields(("Pragma", "no-cache"))) == ResponseDirectives()


@pytest.mark.parametrize(
    ("value", "directives"),
    [
        pytest.param("max-age=5", RequestDirectives(max_age=5), id="max-age"),
        pytest.param("max-age=x", RequestDirectives(max_age=0), id="max-age-unreadable"),
        pytest.param("min-fresh=5, min-fresh=9", RequestDirectives(min_fresh=9), id="min-fresh"),
        pytest.param("max-stale", RequestDirectives(max_stale=FOREVER), id="max-stale-any"),
        pytest.param("max-stale, max-stale=5", RequestDirectives(max_stale=5), id="max-stale-two"),
        pytest.param("max-stale=x", RequestDirectives(), id="max-stale-unreadable"),
        pytest.param(
            "nothing-to-see-here, no-cache", RequestDirectives(no_cache=True), id="no-cache"
        ),
        pytest.param(
            "only-if-cached, no-store",
            RequestDirectives(only_if_cached=True, no_store=True),
            id="only-if-cached",
        ),
        pytest.param("stale-if-error=5", RequestDirectives(stale_if_error=5), id="stale-if-error"),
        pytest.param("x" * 1000, RequestDirectives(), id="too-long-to-remember"),
    ],
)
def test_request_directives_are_read(value: str, directives: RequestDirectives) -> None:
    assert asked(value) == directives


def test_pragma_asks_only_where_cache_control_is_silent() -> None:
    pragma = ("Pragma", "foo, No-Cache")

    assert parse_request(fields(pragma)).no_cache
    assert not parse_request(fields(pragma, ("Cache-Control", "foo"))).no_cache
    assert not parse_request(fields(("Pragma", "foo"))).no_cache
    assert parse_request(fields()) == RequestDirectives()


@pytest.mark.parametrize(
    ("targeted", "directives"),
    [
        pytest.param("max-age=60", ResponseDirectives(max_age=60, targeted=True), id="valid"),
        pytest.param("foo", ResponseDirectives(targeted=True), id="unknown-directive"),
        pytest.param(
            "max-age=99999999999", ResponseDirectives(max_age=FOREVER, targeted=True), id="forever"
        ),
        pytest.param("max-age=-1", ResponseDirectives(max_age=0, targeted=True), id="negative"),
        pytest.param(
            'private="A", no-store=?0, s-maxage=5',
            ResponseDirectives(private_fields=frozenset({b"a"}), s_maxage=5, targeted=True),
            id="typed",
        ),
        pytest.param(
            "no-store, no-cache=1",
            ResponseDirectives(no_store=True, no_cache=True, targeted=True),
            id="flags",
        ),
        pytest.param("", None, id="empty"),
        pytest.param("max-age =60", None, id="malformed"),
        pytest.param("Max-Age=60", None, id="upper-case"),
        pytest.param('max-age="60"', None, id="string-for-integer"),
        pytest.param("max-age=60.5", None, id="decimal-for-integer"),
        pytest.param("max-age", None, id="boolean-for-integer"),
    ],
)
def test_a_targeted_field_speaks_instead_of_cache_control_when_it_is_valid(
    targeted: str, directives: ResponseDirectives | None
) -> None:
    both = fields(("Cache-Control", "no-store"), ("CDN-Cache-Control", targeted))

    assert parse_response(both) == (directives or ResponseDirectives(no_store=True))


@given(st.binary(max_size=60))
def test_any_bytes_can_be_read_as_directives(value: bytes) -> None:
    text = value.decode("latin-1")

    assert isinstance(said(text), ResponseDirectives)
    assert isinstance(asked(text), RequestDirectives)


@given(st.text(alphabet='abz=,"\\ ', max_size=30))
def test_no_store_in_the_open_is_always_seen(noise: str) -> None:
    assert said("no-store, " + noise).no_store
