import pytest

from gateway.policy import reuse, storing, validation, vary
from gateway.policy.reuse import Deliver
from gateway.policy.rules import OBEY_ORIGIN, CacheRules, Scope
from gateway.policy.stored import StoredResponse
from tests.policy.messages import NOON, arrival, bare, date, fields, request, response, stored

LATER = NOON + 100
BASE = ("Cache-Control", "max-age=60"), ("ETag", '"a"'), ("Content-Type", "text/plain")


def freshened(
    kept: StoredResponse, *pairs: tuple[str, str], rules: CacheRules = OBEY_ORIGIN
) -> StoredResponse:
    head = response(*pairs, ("Date", date(100)), status=304)
    return validation.freshen(kept, head, rules, arrival(head, at=LATER))


def test_our_validators_take_the_place_of_the_clients_conditions() -> None:
    kept = bare(("ETag", 'W/"a"'), ("Last-Modified", date(-9)))
    asked = fields(
        ("Accept", "x"),
        ("If-None-Match", '"b"'),
        ("If-Modified-Since", date(0)),
        ("If-Match", "*"),
        ("If-Unmodified-Since", date(0)),
        ("If-Range", '"b"'),
        ("Range", "bytes=0-1"),
    )

    assert validation.conditional(kept, asked) == fields(
        ("Accept", "x"), ("If-None-Match", 'W/"a"'), ("If-Modified-Since", date(-9))
    )


def test_without_validators_the_request_is_unconditional() -> None:
    asked = fields(("Accept", "x"), ("If-None-Match", '"b"'))

    assert validation.conditional(bare(), asked) == fields(("Accept", "x"))


@pytest.mark.parametrize(
    ("kept", "answer", "selected"),
    [
        pytest.param([("ETag", '"a"')], [("ETag", '"a"')], True, id="strong"),
        pytest.param([("ETag", '"a"')], [("ETag", '"b"')], False, id="strong-other"),
        pytest.param([("ETag", 'W/"a"')], [("ETag", '"a"')], False, id="strong-of-weak"),
        pytest.param([("Last-Modified", date(0))], [("ETag", '"a"')], False, id="strong-of-none"),
        pytest.param([("ETag", '"a"')], [("ETag", 'W/"a"')], True, id="weak-of-strong"),
        pytest.param([("ETag", 'W/"a"')], [("ETag", 'W/"b"')], False, id="weak-other"),
        pytest.param(
            [("Last-Modified", date(0))], [("Last-Modified", date(0))], True, id="last-modified"
        ),
        pytest.param(
            [("Last-Modified", date(0))], [("Last-Modified", date(1))], False, id="modified-since"
        ),
        pytest.param(
            [("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
            [("Last-Modified", "Sunday, 06-Nov-94 08:49:37 GMT")],
            True,
            id="last-modified-in-another-form",
        ),
        pytest.param([("ETag", '"a"')], [], True, id="silent"),
    ],
)
def test_a_304_selects_what_has_its_validators(
    kept: list[tuple[str, str]], answer: list[tuple[str, str]], *, selected: bool
) -> None:
    assert validation.selects(bare(*kept), response(*answer, status=304)) is selected


def test_a_304_makes_what_is_stored_fresh_again() -> None:
    kept = stored(*BASE)

    fresh = freshened(kept)

    assert reuse.decide((fresh,), request(), OBEY_ORIGIN, LATER + 59) == Deliver(
        fresh, 59.0, LATER + 60
    )
    assert fresh.body == kept.body
    assert fresh.status == 200


def test_a_304_updates_fields_and_leaves_those_it_does_not_name() -> None:
    kept = stored(*BASE, ("Foo", "1"), ("Bar", "2"), ("Age", "7"), ("Content-Length", "4"))

    fresh = freshened(
        kept,
        ("Foo", "3"),
        ("Foo", "4"),
        ("Content-Type", "text/html"),
        ("Content-Length", "0"),
        ("Content-Encoding", "gzip"),
        ("Content-Range", "bytes 0-0/1"),
        ("Connection", "Bar"),
        ("Bar", "5"),
        ("Cache-Control", "max-age=10"),
    )

    index = fresh.fields.index()
    assert index[b"foo"] == b"3, 4"
    assert index[b"bar"] == b"2"
    assert index[b"content-type"] == b"text/html"
    assert index[b"content-length"] == b"4"
    assert b"content-encoding" not in index
    assert b"content-range" not in index
    assert b"age" not in index
    assert index[b"date"] == date(100).encode()
    assert fresh.lifetime == 10


def test_a_304_brings_no_cookie_to_a_route_of_the_rules() -> None:
    rules = CacheRules(scope=Scope.PUBLIC, lifetime=60.0)

    fresh = freshened(stored(*BASE, rules=rules), ("Set-Cookie", "a=b"), rules=rules)

    assert b"set-cookie" not in fresh.fields
    assert b"set-cookie" in freshened(stored(*BASE), ("Set-Cookie", "a=b")).fields


def test_a_304_may_take_the_leave_to_keep_it() -> None:
    fresh = freshened(stored(*BASE), ("Cache-Control", "no-store"))

    why = storing.forbidden(fresh.status, fresh.fields, fresh.directives, OBEY_ORIGIN)

    assert why is storing.Unstorable.NO_STORE


def test_a_304_without_a_date_is_dated_when_it_came() -> None:
    head = response(("Date", "x"), status=304)

    fresh = validation.freshen(stored(*BASE), head, OBEY_ORIGIN, arrival(head, at=LATER))

    assert fresh.fields.every(b"date") == [date(100).encode()]


def test_a_304_that_varies_on_more_is_matched_by_the_request_it_answered() -> None:
    kept = stored(*BASE)
    head = response(("Vary", "Foo"), status=304)
    asked = fields(("Foo", "1"))
    came = arrival(head, at=LATER)

    known = validation.freshen(kept, head, OBEY_ORIGIN, came, asked)
    unknown = validation.freshen(kept, head, OBEY_ORIGIN, came)

    assert vary.matches(known, asked)
    assert not vary.matches(known, fields(("Foo", "2")))
    assert not vary.matches(unknown, asked)
    assert not vary.matches(unknown, fields(("*", "x")))


def test_a_304_that_varies_on_everything_ends_reuse() -> None:
    head = response(("Vary", "*"), status=304)

    fresh = validation.freshen(
        stored(*BASE), head, OBEY_ORIGIN, arrival(head, at=LATER), fields(("Foo", "1"))
    )

    assert not vary.matches(fresh, fields(("Foo", "1")))


@pytest.mark.parametrize(
    ("status", "pairs", "lifetime"),
    [
        pytest.param(200, [("Cache-Control", "max-age=9")], 9, id="silent-about-validators"),
        pytest.param(
            200, [("Cache-Control", "max-age=9"), ("ETag", '"a"')], 9, id="same-validator"
        ),
        pytest.param(200, [("ETag", '"b"')], 0, id="other-validator"),
        pytest.param(
            200, [("Content-Length", "4"), ("Cache-Control", "max-age=9")], 9, id="same-length"
        ),
        pytest.param(200, [("Content-Length", "5")], 0, id="other-length"),
        pytest.param(200, [("Content-Length", "x")], 0, id="no-length"),
        pytest.param(410, [("Cache-Control", "max-age=9")], 60, id="another-status"),
    ],
)
def test_an_answer_to_head_updates_what_it_fits_and_ages_what_it_does_not(
    status: int, pairs: list[tuple[str, str]], lifetime: float
) -> None:
    head = response(*pairs, status=status)

    result = validation.freshened_by_head(stored(*BASE), head, OBEY_ORIGIN, arrival(head, at=LATER))

    assert result.lifetime == lifetime
