import pytest

from gateway.policy import groups
from tests.policy.messages import fields, request, response


@pytest.mark.parametrize(
    ("pairs", "carried"),
    [
        pytest.param([], (), id="none"),
        pytest.param([("Cache-Groups", '"a", "b"')], (b"a", b"b"), id="list"),
        pytest.param([("Cache-Groups", '"a"'), ("Cache-Groups", '"b"')], (b"a", b"b"), id="lines"),
        pytest.param([("Cache-Groups", '"a";x=1, "a"')], (b"a",), id="parameters-and-repeats"),
        pytest.param([("Cache-Groups", '"A", "a"')], (b"A", b"a"), id="names-have-case"),
        pytest.param([("Cache-Groups", '"a, b", "c\\"d"')], (b"a, b", b'c"d'), id="quoted"),
        pytest.param([("Cache-Groups", '"a", b')], (), id="a-token-among-them"),
        pytest.param([("Cache-Groups", '"a", ("b" "c")')], (), id="an-inner-list-among-them"),
        pytest.param([("Cache-Groups", '"a", "b')], (), id="malformed"),
        pytest.param([("Cache-Groups", '"a",')], (), id="a-comma-too-many"),
        pytest.param([("Cache-Groups", '""')], (), id="nameless"),
        pytest.param([("Cache-Groups", f'"{"x" * 257}", "a"')], (b"a",), id="too-long-a-name"),
        pytest.param([("Surrogate-Key", "a  b")], (b"a", b"b"), id="surrogate-key"),
        pytest.param([("Cache-Tag", "a, b c ,")], (b"a", b"b c"), id="cache-tag"),
        pytest.param(
            [("Cache-Tag", "c"), ("Surrogate-Key", "b a"), ("Cache-Groups", '"a"')],
            (b"a", b"b", b"c"),
            id="all-three",
        ),
    ],
)
def test_a_response_names_the_groups_it_is_in(
    pairs: list[tuple[str, str]], carried: tuple[bytes, ...]
) -> None:
    assert groups.carried(fields(*pairs)) == carried


def test_a_response_is_in_no_more_groups_than_can_be_looked_after() -> None:
    many = ", ".join(f'"{number}"' for number in range(500))

    assert len(groups.carried(fields(("Cache-Groups", many)))) == groups.MOST_GROUPS


@pytest.mark.parametrize(
    ("method", "status", "invalidated"),
    [
        pytest.param("POST", 200, (b"a", b"b"), id="write"),
        pytest.param("M-SEARCH", 204, (b"a", b"b"), id="a-method-nobody-knows"),
        pytest.param("DELETE", 303, (b"a", b"b"), id="redirect"),
        pytest.param("PUT", 409, (b"a", b"b"), id="an-error-that-says-so"),
        pytest.param("GET", 200, (), id="get"),
        pytest.param("HEAD", 200, (), id="head"),
        pytest.param("OPTIONS", 200, (), id="options"),
    ],
)
def test_only_the_answer_to_an_unsafe_request_invalidates_groups(
    method: str, status: int, invalidated: tuple[bytes, ...]
) -> None:
    answer = response(("Cache-Group-Invalidation", '"a", "b"'), status=status)

    assert groups.invalidated(request(method=method), answer) == invalidated


def test_a_list_of_groups_that_cannot_be_read_invalidates_nothing() -> None:
    written = request(method="POST")

    assert groups.invalidated(written, response(("Cache-Group-Invalidation", "a b"))) == ()
    assert groups.invalidated(written, response()) == ()
