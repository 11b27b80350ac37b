"""What a route asks of a request besides its path and method.

The table finds the few routes whose path, host and method fit without asking any of these;
of those, the first whose conditions hold takes the request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import unquote_to_bytes

import re2

from gateway.routing import glob, hosts
from gateway.routing.values import ValueTest
from gateway.wire.fields import NONE, Fields
from gateway.wire.message import RequestHead, Target

_REGEX_BYTES = 1 << 20
"""What RE2 may take for one expression; beyond it the expression is refused."""


class BadRegex(ValueError):
    """The text is no expression that can be matched in linear time."""


@dataclass(frozen=True)
class Asked:
    """A request, as far as routes look at it."""

    method: bytes
    path: bytes
    """Normalised."""
    query: bytes | None = None
    host: bytes = b""
    fields: Fields = NONE
    secure: bool = False
    """Whether it came by https."""

    @classmethod
    def of(cls, head: RequestHead, method: bytes, target: Target) -> "Asked":
        """Return what *head* would be, were it about *target* and its method *method*."""
        return cls(method, target.path, target.query, head.host, head.fields, head.secure)

    @cached_property
    def cookies(self) -> dict[bytes, list[bytes]]:
        """The values of each cookie."""
        found: dict[bytes, list[bytes]] = {}
        for pair in (self.fields.get(b"cookie") or b"").split(b";"):
            name, equals, value = pair.strip(b" \t").partition(b"=")
            if equals:
                found.setdefault(name, []).append(value)
        return found

    @cached_property
    def parameters(self) -> dict[bytes, list[bytes]]:
        """The values of each parameter of the query, decoded."""
        found: dict[bytes, list[bytes]] = {}
        for parameter in (self.query or b"").split(b"&"):
            if parameter:
                name, _, value = parameter.partition(b"=")
                found.setdefault(_decoded(name), []).append(_decoded(value))
        return found


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))


@dataclass(frozen=True, slots=True)
class Conditions:
    """All of them must hold."""

    hosts: tuple[str, ...] = ()
    """Patterns, any of which matches; none matches every host."""
    headers: tuple[ValueTest, ...] = ()
    cookies: tuple[ValueTest, ...] = ()
    query: tuple[ValueTest, ...] = ()
    path_regex: str | None = None
    """Matches the whole normalised path, besides the globs."""
    secure: bool | None = None
    """Whether https is asked for, or plain http; None takes both."""
    excepted: tuple[str, ...] = ()
    """Globs of paths that the route leaves to others."""

    @property
    def by_cookie(self) -> bool:
        """Whether another Cookie field might lead to another route."""
        return bool(self.cookies) or any(test.name == b"cookie" for test in self.headers)

    @property
    def by_fields(self) -> bool:
        """Whether two requests for one target at one host may be told apart."""
        return bool(self.headers or self.cookies) or self.secure is not None

    @property
    def beyond_host(self) -> bool:
        """Whether more than the host is looked at."""
        return self.by_fields or bool(self.query or self.path_regex or self.excepted)

    def hold(self, asked: Asked) -> bool:
        """Return whether *asked* meets all but the hosts, which the table has seen to."""
        return next(self._unmet(asked), None) is None

    def unmet(self, asked: Asked) -> list[str]:
        """Return what *asked* doesn't meet, in words."""
        found = list(self._unmet(asked))
        if not self.host_fits(asked.host):
            found.insert(0, f"host: {' or '.join(self.hosts)}")
        return found

    def host_fits(self, host: bytes) -> bool:
        """Return whether *host* is one that is asked for."""
        if not self.hosts:
            return True
        return any(each.decode("latin-1") in self.hosts for each in hosts.patterns_for(host))

    def _unmet(self, asked: Asked) -> Iterator[str]:
        if self.secure is not None and self.secure is not asked.secure:
            yield f"scheme: {'https' if self.secure else 'http'}"
        if self.path_regex is not None and not regex(self.path_regex).fullmatch(asked.path):
            yield f"path_regex: {self.path_regex}"
        for pattern in self.excepted:
            if glob.matches(pattern, asked.path):
                yield f"except: {pattern}"
        for test in self.headers:
            value = asked.fields.get(test.name)
            if not test.holds(() if value is None else (value,)):
                yield f"header: {test}"
        for test in self.cookies:
            if not test.holds(asked.cookies.get(test.name, ())):
                yield f"cookie: {test}"
        for test in self.query:
            if not test.holds(asked.parameters.get(test.name, ())):
                yield f"query: {test}"


@lru_cache(maxsize=4096)
def regex(pattern: str) -> "re2._Regexp[bytes]":
    """Return the expression *pattern*, which takes linear time to match, whatever the path.

    Raises:
        BadRegex: RE2 can't read it, or it is too large.

    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_BYTES
    options.encoding = re2.Options.Encoding.LATIN1
    try:
        return re2.compile(pattern.encode("utf-8"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise BadRegex(text) from error
