"""The primary cache key: which requests ask for the same thing (RFC 9111 section 2).

Injective: two requests share a key only if the rules say that they are one. Every part is
preceded by its length, so no part can pretend to be two, and what the rules leave of the
query comes last. The method isn't part of it: a HEAD is answered from what a GET left.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

from gateway.policy.rules import CacheRules, QueryRules
from gateway.wire.fields import Fields
from gateway.wire.message import Target

QueryNormaliser: TypeAlias = Callable[[bytes], bytes | None]

_MEMOISED_BYTES: Final = 512
"""Longer queries are brought in form each time, so that a client can't fill memory."""


def normal_target(target: Target, rules: QueryRules) -> bytes:
    """Return path and query of *target* as they stand in its key: what a purge by URL names."""
    query = target.query
    if query is not None:
        normalise = _normaliser(rules)
        if normalise is not None:
            query = normalise(query)
    return target.path if query is None else b"%b?%b" % (target.path, query)


def cache_key(partition: bytes, host: bytes, target: Target, rules: QueryRules) -> bytes:
    """Return the key of *target* at *host* for those who share *partition*.

    Where the rules change queries at all, a query of which nothing is left is the same as
    none; elsewhere ``/a?`` and ``/a`` are two.
    """
    # The length of the path is the bare path's: the question mark in front of the query isn't
    # mistaken for one that a path might hold.
    return b"%d,%d,%d:%b%b%b" % (
        len(partition),
        len(host),
        len(target.path),
        partition,
        host,
        normal_target(target, rules),
    )


def narrowed(partition: bytes, request_fields: Fields, rules: CacheRules) -> bytes:
    """Return *partition* divided by the header fields and cookies that the rules put in the key.

    Injective, an absent value being another than an empty one. Each is compared as it came.
    """
    if not rules.key_headers and not rules.key_cookies:
        return partition
    index = request_fields.index()
    values = [index.get(name) for name in rules.key_headers]
    if rules.key_cookies:
        cookies = chosen_cookies(index.get(b"cookie"), rules.key_cookies)
        values += [cookies.get(name) for name in rules.key_cookies]
    # The line feed, which no other partition begins with, keeps these apart from all others.
    parts = [b"-" if value is None else b"%d:%b" % (len(value), value) for value in values]
    return b"\n%d:%b%b" % (len(partition), partition, b"".join(parts))


def chosen_cookies(header: bytes | None, names: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """Return the values of the cookies *names* in a Cookie field (RFC 6265 section 4.2).

    A cookie sent twice has all its values, in order: servers differ on which one counts.
    """
    found: dict[bytes, bytes] = {}
    for pair in (header or b"").split(b";"):
        name, equals, value = pair.strip(b" \t").partition(b"=")
        if equals and name in names:
            found[name] = found[name] + b";" + value if name in found else value
    return found


@lru_cache(maxsize=256)
def _normaliser(rules: QueryRules) -> QueryNormaliser | None:
    """Return what brings a query into the form that *rules* ask for; None to leave it."""
    if not rules.sort and not rules.ignore and rules.only is None:
        return None
    ignored = _any_of(rules.ignore)
    kept = None if rules.only is None else _any_of(rules.only)

    # Hot queries come again and again: 3.3 us to bring in form, 0.1 to remember.
    @lru_cache(maxsize=1024)
    def normalise(query: bytes) -> bytes | None:
        parameters: list[tuple[bytes, bytes]] = []
        for parameter in query.split(b"&"):
            if parameter:
                name = _name(parameter)
                if (kept is None or kept(name)) and not ignored(name):
                    parameters.append((name, parameter))
        if rules.sort:
            parameters.sort(key=_by_name)
        return b"&".join([parameter for _, parameter in parameters]) or None

    def remembered(query: bytes) -> bytes | None:
        short = len(query) <= _MEMOISED_BYTES
        return normalise(query) if short else normalise.__wrapped__(query)

    return remembered


def _by_name(parameter: tuple[bytes, bytes]) -> bytes:
    return parameter[0]


def _name(parameter: bytes) -> bytes:
    """Return a parameter's name as the origin will read it: decoded, plus being a space."""
    name = parameter.partition(b"=")[0]
    if b"%" in name or b"+" in name:
        return unquote_to_bytes(name.replace(b"+", b" "))
    return name


def _any_of(globs: tuple[str, ...]) -> Callable[[bytes], bool]:
    """Return a test for names that fit one of *globs*: ``*`` is any run, ``?`` any one byte."""
    if not globs:
        return lambda _: False
    pattern = b"|".join(
        re.escape(glob.encode()).replace(rb"\*", b".*").replace(rb"\?", b".") for glob in globs
    )
    compiled = re.compile(pattern, re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None
