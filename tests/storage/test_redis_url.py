"""Which URLs name a Valkey, and what is said about those that don't."""

import pytest

from gateway.storage.redis_url import Address, BadUrl, parse


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://localhost", Address("redis", False, (("localhost", 6379),))),
        ("redis://h:7000/3", Address("redis", False, (("h", 7000),), db=3)),
        (
            "rediss://me:p%40ss@h:1",
            Address("redis", True, (("h", 1),), user="me", password="p@ss"),
        ),
        ("redis://:secret@[::1]:5", Address("redis", False, (("::1", 5),), password="secret")),
        ("unix:///run/v.sock?db=2", Address("unix", False, (), "/run/v.sock", db=2)),
        ("redis+cluster://a,b:2", Address("cluster", False, (("a", 6379), ("b", 2)))),
        (
            "rediss+sentinel://a,b:2/main/1",
            Address("sentinel", True, (("a", 26379), ("b", 2)), service="main", db=1),
        ),
    ],
)
def test_a_url_means(url: str, meant: Address) -> None:
    assert parse(url) == meant


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://h", "begin it with one of redis://"),
        ("localhost:6379", "begin it with one of redis://"),
        ("redis://", "name a host"),
        ("redis://h:port", "no host:port"),
        ("redis://a,b", "redis+cluster://"),
        ("redis://h/nodb", "no number of a database"),
        ("redis+cluster://h/1", "says nothing there"),
        ("redis+sentinel://h", "name the service"),
        ("redis://h?timeout=1", "it ends after the path"),
        ("unix://", "name the path"),
    ],
)
def test_what_names_nothing_is_refused_with_what_to_write(url: str, why: str) -> None:
    with pytest.raises(BadUrl, match=why.replace("+", r"\+")):
        parse(url)


def test_where_it_is_can_be_told_without_the_password() -> None:
    assert parse("redis://me:secret@h:1/2").told == "h:1"
