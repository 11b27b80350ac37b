import pytest

from gateway.policy import invalidation
from gateway.wire.target import origin_form
from tests.policy.messages import request, response


def invalidated(
    *pairs: tuple[str, str], method: str = "POST", status: int = 200, target: str = "/a/b?c"
) -> list[str]:
    head = response(*pairs, status=status)
    found = invalidation.targets(request(method=method, target=target), head)
    return [item.encode().decode() for item in found]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "get"])
@pytest.mark.parametrize("status", [200, 201, 204, 303])
def test_a_write_that_succeeds_invalidates_its_target(method: str, status: int) -> None:
    assert invalidated(method=method, status=status) == ["/a/b?c"]


@pytest.mark.parametrize("status", [100, 400, 404, 500, 999])
def test_a_write_that_fails_invalidates_nothing(status: int) -> None:
    assert invalidated(status=status) == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE"])
def test_safe_methods_invalidate_nothing(method: str) -> None:
    assert invalidated(("Location", "/x"), method=method) == []


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        pytest.param("/x", "/x", id="path"),
        pytest.param("x", "/a/x", id="relative"),
        pytest.param("../x?y=1", "/x?y=1", id="dot-segments"),
        pytest.param("?d", "/a/b?d", id="query"),
        pytest.param("/x#y", "/x", id="fragment"),
        pytest.param("/%7Ex", "/~x", id="normalised"),
        pytest.param("http://hub.example/x", "/x", id="absolute"),
        pytest.param("https://HUB.example:443/x", "/x", id="another-spelling-of-the-host"),
        pytest.param("//hub.example", "/", id="no-scheme"),
        pytest.param("/x?", "/x?", id="empty-query"),
    ],
)
def test_location_and_content_location_at_the_same_host_are_invalidated(
    reference: str, target: str
) -> None:
    assert invalidated(("Location", reference)) == ["/a/b?c", target]
    assert invalidated(("Content-Location", reference)) == ["/a/b?c", target]


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("http://other.example/x", id="another-host"),
        pytest.param("http://hub.example:8080/x", id="another-port"),
        pytest.param("http://user@hub.example/x", id="user-information"),
        pytest.param("ftp://hub.example/x", id="another-scheme"),
        pytest.param("http://[/x", id="nonsense"),
        pytest.param("/x%2Fy", id="a-path-that-is-refused"),
        pytest.param("", id="empty"),
    ],
)
def test_no_other_host_is_invalidated_and_nothing_that_could_not_be_a_key(reference: str) -> None:
    assert invalidated(("Location", reference)) == ["/a/b?c"]


def test_a_host_with_its_default_port_is_the_same_host() -> None:
    asked = request(method="PUT")
    here = asked.__class__(asked.method, asked.target, 1, b"hub.example:80", asked.fields)

    found = invalidation.targets(here, response(("Location", "http://hub.example/x")))

    assert found == [asked.target, origin_form(b"/x")]
