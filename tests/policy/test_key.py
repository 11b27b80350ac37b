import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.key import cache_key, narrowed
from gateway.policy.rules import CacheRules, QueryRules
from gateway.wire.fields import Fields
from gateway.wire.message import Target

EXACT = QueryRules()
TIDY = QueryRules(sort=True, ignore=("utm_*", "gclid"))

adversarial = st.text(alphabet="a1:,?&/", max_size=6).map(str.encode)
requests = st.tuples(adversarial, adversarial, adversarial, st.one_of(st.none(), adversarial))


def key(path: str, rules: QueryRules = EXACT, *, partition: bytes = b"") -> bytes:
    bare, mark, query = path.encode().partition(b"?")
    return cache_key(partition, b"hub.example", Target(bare, query if mark else None), rules)


@given(requests, requests)
def test_two_requests_share_a_key_only_if_they_are_the_same(
    one: tuple[bytes, bytes, bytes, bytes | None], other: tuple[bytes, bytes, bytes, bytes | None]
) -> None:
    keys = [cache_key(p, h, Target(path, query), EXACT) for p, h, path, query in (one, other)]

    assert (keys[0] == keys[1]) == (one == other)


@given(st.lists(adversarial.filter(lambda b: b and b"&" not in b), max_size=4), st.randoms())
def test_sorting_keeps_every_parameter_and_the_order_of_its_values(
    parameters: list[bytes], random: object
) -> None:
    sorting = QueryRules(sort=True)
    by_name = sorted(parameters, key=lambda parameter: parameter.partition(b"=")[0])

    assert cache_key(b"", b"", Target(b"/", b"&".join(parameters)), sorting) == cache_key(
        b"", b"", Target(b"/", b"&".join(by_name) or None), EXACT
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/a", "/a?", id="empty-query"),
        pytest.param("/a?b=1&c=2", "/a?c=2&b=1", id="order"),
        pytest.param("/a?b", "/a?b=", id="equals-sign"),
        pytest.param("/a?b", "/a?%62", id="escape"),
        pytest.param("/a?B", "/a?b", id="case"),
    ],
)
def test_without_rules_every_difference_counts(one: str, other: str) -> None:
    assert key(one) != key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/a?c=2&b=1", "/a?b=1&c=2", id="order"),
        pytest.param("/a?utm_source=x&b=1&gclid=2", "/a?b=1", id="ignored"),
        pytest.param("/a?%75tm_source=x&b=1", "/a?b=1", id="ignored-though-escaped"),
        pytest.param("/a?utm_source=x", "/a", id="nothing-left"),
        pytest.param("/a?", "/a", id="empty-query"),
        pytest.param("/a?b=1&&c=2&", "/a?b=1&c=2", id="empty-parameters"),
    ],
)
def test_rules_make_one_of_what_the_operator_says_is_one(one: str, other: str) -> None:
    assert key(one, TIDY) == key(other, TIDY)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("/a?b=1&b=2", "/a?b=2&b=1", id="values-of-a-name-keep-their-order"),
        pytest.param("/a?b=utm_source", "/a", id="globs-are-for-names"),
        pytest.param("/a?xutm_source=1", "/a", id="globs-fit-from-the-start"),
        pytest.param("/a?gclid2=1", "/a", id="globs-fit-to-the-end"),
    ],
)
def test_rules_change_no_more_than_they_say(one: str, other: str) -> None:
    assert key(one, TIDY) != key(other, TIDY)


def test_an_allow_list_keeps_what_it_names_and_ignores_win_over_it() -> None:
    rules = QueryRules(only=("filter[*]", "page"), ignore=("filter[x]",))

    assert key("/a?page=1&filter%5Ba%5D=2&filter[x]=3&z=4", rules) == key(
        "/a?page=1&filter%5Ba%5D=2", rules
    )
    assert key("/a?page=1", rules) != key("/a?page=2", rules)


def test_a_query_too_long_to_remember_is_brought_in_form_too() -> None:
    assert key("/a?utm_" + "x" * 1000, TIDY) == key("/a", TIDY)


def test_partitions_never_meet() -> None:
    assert key("/a", partition=b"org:a") != key("/a", partition=b"org:b")


values = st.one_of(st.none(), st.text(alphabet="a1:-; \n", max_size=5).map(str.encode))


@given(adversarial, values, values, adversarial, values, values)
def test_header_fields_in_the_key_keep_every_difference(
    one: bytes,
    a: bytes | None,
    b: bytes | None,
    other: bytes,
    c: bytes | None,
    d: bytes | None,
) -> None:
    rules = CacheRules(key_headers=(b"x-a", b"x-b"))

    def partition(base: bytes, first: bytes | None, second: bytes | None) -> bytes:
        pairs = [(b"X-A", first), (b"X-B", second)]
        return narrowed(base, Fields.of(*((n, v) for n, v in pairs if v is not None)), rules)

    same = partition(one, a, b) == partition(other, c, d)
    assert same == ((one, a, b) == (other, c, d))


@pytest.mark.parametrize(
    ("cookie", "like"),
    [
        (b"lang=de", b"a=1; lang=de; b=2"),
        (b"lang=de", b"lang=de;theme="),
        (b"", b"language=de"),
        (b"lang=a; lang=b", b"x=1; lang=a; lang=b"),
    ],
)
def test_cookies_in_the_key_count_and_no_others(cookie: bytes, like: bytes) -> None:
    rules = CacheRules(key_cookies=(b"lang",))

    assert narrowed(b"", Fields.of((b"Cookie", cookie)), rules) == narrowed(
        b"", Fields.of((b"Cookie", like)), rules
    )
    assert narrowed(b"", Fields.of((b"Cookie", cookie)), rules) != narrowed(
        b"", Fields.of((b"Cookie", b"lang=fr")), rules
    )


def test_a_key_without_header_fields_is_as_it_was() -> None:
    fields = Fields.of((b"X-A", b"1"))

    assert narrowed(b"org:a", fields, CacheRules()) == b"org:a"
