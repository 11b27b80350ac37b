"""Durations, sizes and addresses as operators write them."""

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import urlsplit

from gateway.config.shapes import Parsed, Unfit
from gateway.origin.settings import Endpoint
from gateway.wire import target

_SECONDS: Mapping[str, float] = {
    "y": 365 * 86400.0,
    "w": 7 * 86400.0,
    "d": 86400.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
PRESETS: Mapping[str, float] = {
    "SHORT": 60.0,
    "MEDIUM": 300.0,
    "LONG": 1800.0,
    "HOUR": 3600.0,
    "DAY": 86400.0,
    "WEEK": 604800.0,
}
LONGEST = 100 * _SECONDS["y"]
_DURATION = re.compile(r"(0|[1-9][0-9]{0,8})(ms|[smhdwy])")
_LOOSE_DURATION = re.compile(r"\s*([0-9]+)\s*([A-Za-z]*)\s*")
_UNIT_WORDS = {
    **dict.fromkeys(("", "sec", "secs", "second", "seconds", "s"), "s"),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "m"), "m"),
    **dict.fromkeys(("hr", "hrs", "hour", "hours", "h"), "h"),
    **dict.fromkeys(("day", "days", "d"), "d"),
    **dict.fromkeys(("week", "weeks", "w"), "w"),
    **dict.fromkeys(("year", "years", "yr", "y"), "y"),
    **dict.fromkeys(("millis", "msec", "milliseconds", "ms"), "ms"),
}

_BYTES: Mapping[str, int] = {"TB": 1 << 40, "GB": 1 << 30, "MB": 1 << 20, "KB": 1 << 10, "B": 1}
_SIZE = re.compile(r"(0|[1-9][0-9]{0,11})(B|KB|MB|GB|TB)")
_LOOSE_SIZE = re.compile(r"\s*([0-9]+)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Return the seconds that *text* names.

    Raises:
        Unfit: it has no unit, or one that isn't known; or it is longer than a century.

    """
    preset = PRESETS.get(text)
    if preset is not None:
        return preset
    exact = _DURATION.fullmatch(text)
    if exact is None:
        if text.upper() in PRESETS:
            raise Unfit(f'did you mean "{text.upper()}"?')
        loose = _LOOSE_DURATION.fullmatch(text)
        unit = _UNIT_WORDS.get(loose[2].lower()) if loose else None
        raise Unfit(f"did you mean {int(loose[1])}{unit}?" if loose and unit else None)
    seconds = int(exact[1]) * _SECONDS[exact[2]]
    if seconds > LONGEST:
        raise Unfit("at most 100y")
    return seconds


def parse_positive_duration(text: str) -> float:
    """Return the seconds that *text* names, as `parse_duration`; none isn't enough."""
    seconds = parse_duration(text)
    if seconds <= 0:
        raise Unfit("more than 0s is needed")
    return seconds


def show_duration(seconds: float) -> str:
    """Return *seconds* in the largest unit that divides them."""
    if seconds == 0:
        return "0s"
    thousandths = round(seconds * 1000)
    for unit, length in _SECONDS.items():
        count, rest = divmod(thousandths, round(length * 1000))
        if count and not rest:
            return f"{count}{unit}"
    return f"{thousandths}ms"


_PERCENT = re.compile(r"(0|[1-9][0-9]?|100)%")


def parse_percent(text: str) -> float:
    """Return the share, from 0 to 1, that *text* such as ``10%`` names.

    Raises:
        Unfit: it isn't a whole number of percent from 0% to 100%.

    """
    exact = _PERCENT.fullmatch(text)
    if exact is None:
        raise Unfit(f"did you mean {text.strip()}%?" if text.strip().isdigit() else None)
    return int(exact[1]) / 100


def show_percent(share: float) -> str:
    """Return *share*, from 0 to 1, in percent."""
    return f"{round(share * 100)}%"


def parse_size(text: str) -> int:
    """Return the bytes that *text* names; 1KB is 1024 of them.

    Raises:
        Unfit: it has no unit, or one that isn't known.

    """
    exact = _SIZE.fullmatch(text)
    if exact is None:
        loose = _LOOSE_SIZE.fullmatch(text)
        raise Unfit(f"did you mean {int(loose[1])}{loose[2].upper()}B?" if loose else None)
    return int(exact[1]) * _BYTES[exact[2]]


def show_size(size: int) -> str:
    """Return *size*, a number of bytes, in the largest unit that divides it."""
    for unit, length in _BYTES.items():
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return f"{size}B"


def parse_server(text: str) -> Endpoint:
    """Return the endpoint that the URL *text* names.

    Raises:
        Unfit: it isn't plainly ``http://host[:port]``, the same with https, or ``unix:/path``.

    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or len(path.encode()) > _LONGEST_SOCKET_PATH:
            raise Unfit("give the path of the socket, from the root: unix:/run/hub.sock")
        return Endpoint("", 0, path=path)
    secure = text.lower().startswith("https://")
    if not secure and not text.lower().startswith("http://"):
        is_bare = re.fullmatch(r"[A-Za-z0-9.\-]+(?::[0-9]+)?/?", text)
        raise Unfit(f'did you mean "http://{text}"?' if is_bare else None)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise Unfit(str(error)) from error
    if "@" in url.netloc:
        raise Unfit("leave out user and password")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise Unfit("leave out what follows host and port: the client's path is sent as it is")
    host = url.hostname
    if not host or port == 0 or not _is_host(host, bracketed="[" in url.netloc):
        raise Unfit
    return Endpoint(host, port or (443 if secure else 80), tls=secure)


_LONGEST_SOCKET_PATH = 107
"""Bytes; what the operating system takes."""


def show_server(endpoint: Endpoint) -> str:
    """Return *endpoint* as it is written."""
    if endpoint.path:
        return str(endpoint)
    return f"{'https' if endpoint.tls else 'http'}://{endpoint}"


def parse_host(text: str) -> str:
    """Return the Host field value *text*.

    Raises:
        Unfit: it is no host name with an optional port.

    """
    if "://" in text or not re.fullmatch(
        r"[A-Za-z0-9.\-_]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?", text
    ):
        raise Unfit
    return target.host(text.encode("ascii")).decode("ascii")


def _is_host(host: str, *, bracketed: bool) -> bool:
    if bracketed:
        try:
            IPv6Address(host)
        except AddressValueError:
            return False
        return True
    return re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9.\-_]{0,252})", host) is not None


_PRESET_WORDS = "|".join(PRESETS)
DURATION = Parsed(
    "a duration such as 60s or 5m",
    parse_duration,
    rf"(?:0|[1-9][0-9]{{0,8}})(?:ms|[smhdwy])|{_PRESET_WORDS}",
    show_duration,
)
POSITIVE_DURATION = Parsed(
    "a duration such as 60s or 5m",
    parse_positive_duration,
    rf"[1-9][0-9]{{0,8}}(?:ms|[smhdwy])|{_PRESET_WORDS}",
    show_duration,
)
SIZE = Parsed(
    "a size such as 64KB or 8MB", parse_size, r"(?:0|[1-9][0-9]{0,11})(?:B|KB|MB|GB|TB)", show_size
)
PERCENT = Parsed("a share such as 10%", parse_percent, r"(?:0|[1-9][0-9]?|100)%", show_percent)
SERVER = Parsed(
    "a URL such as http://127.0.0.1:3000",
    parse_server,
    r"[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+/?|unix:/.+",
    show_server,
)
HOST = Parsed("a host name such as hub.example.com", parse_host)
