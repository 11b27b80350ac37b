"""Host patterns: the names under ``match: host``.

``hub.example.com`` is that name on any port, ``hub.example.com:8443`` on that port alone,
and ``*.example.com`` every name below it, however deep, but not ``example.com`` itself.
Patterns and hosts are in lower case.
"""

import re
from collections.abc import Iterator

_PATTERN = re.compile(
    r"(?:(?:\*\.)?[a-z0-9_](?:[a-z0-9\-._]{0,252})|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
_LONGEST_NAME = 253


def is_pattern(text: str) -> bool:
    """Return whether *text*, in lower case, can match a host."""
    return _PATTERN.fullmatch(text) is not None


def split_port(host: bytes) -> tuple[bytes, bytes]:
    """Return the name of *host* without a final dot, and its port with the colon or nothing."""
    name, colon, port = host.rpartition(b":")
    if not colon or b"]" in port:
        name, colon, port = host, b"", b""
    return name.removesuffix(b"."), colon + port if port else b""


def patterns_for(host: bytes) -> Iterator[bytes]:
    """Yield every pattern that matches *host*, as it would be written."""
    name, port = split_port(host)
    if port:
        yield name + port
    yield name
    if name.startswith(b"["):
        return
    below = name.partition(b".")[2]
    # No name is longer (RFC 1035 section 2.3.4); a client's could have ten thousand labels.
    while below and len(name) <= _LONGEST_NAME:
        if port:
            yield b"*." + below + port
        yield b"*." + below
        below = below.partition(b".")[2]


def contains(wide: bytes, narrow: bytes) -> bool:
    """Return whether the pattern *wide* matches every host that *narrow* does."""
    if wide == narrow:
        return True
    wide_name, wide_port = split_port(wide)
    narrow_name, narrow_port = split_port(narrow)
    if wide_port and wide_port != narrow_port:
        return False
    if wide_name == narrow_name:
        return True
    return wide_name.startswith(b"*.") and narrow_name.removeprefix(b"*").endswith(wide_name[1:])
