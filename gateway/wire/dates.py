"""HTTP dates (RFC 9110 section 5.6.7): the three forms that are read, and the one written.

Read strictly, because a date that is half understood makes a response fresh that isn't.
Letters alone are forgiven their case, as RFC 9111 section 4.2 asks of a cache. A weekday
that doesn't fit its date changes no instant and is let pass.
"""

import re
from calendar import isleap, timegm
from functools import lru_cache
from time import gmtime

_WEEKDAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
_MONTH_NUMBER = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_IMF_FIXDATE = re.compile(  # Sun, 06 Nov 1994 08:49:37 GMT
    rb"(?:mon|tue|wed|thu|fri|sat|sun), (?P<day>\d\d) (?P<month>[a-z]{3}) (?P<year>\d{4}) "
    rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d) gmt"
)
_RFC_850 = re.compile(  # Sunday, 06-Nov-94 08:49:37 GMT
    rb"(?:mon|tues|wednes|thurs|fri|satur|sun)day, "
    rb"(?P<day>\d\d)-(?P<month>[a-z]{3})-(?P<year>\d\d) "
    rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d) gmt"
)
_ASCTIME = re.compile(  # Sun Nov  6 08:49:37 1994
    rb"(?:mon|tue|wed|thu|fri|sat|sun) (?P<month>[a-z]{3}) (?P<day>\d\d| \d) "
    rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d) (?P<year>\d{4})"
)

_ERA = timegm((2026, 1, 1, 0, 0, 0))
"""The *now* of callers that have none. Wrong only for RFC 850 dates some fifty years off."""


@lru_cache(maxsize=4096)
def parse(value: bytes, now: float = _ERA) -> float | None:
    """Return the instant that *value* names; None when it is no HTTP date.

    A two-digit year that appears to be more than fifty years after *now* is the most recent
    past year with those digits.
    """
    text = value.lower()
    match = _IMF_FIXDATE.fullmatch(text) or _ASCTIME.fullmatch(text) or _RFC_850.fullmatch(text)
    if match is None:
        return None
    year, day = int(match["year"]), int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if len(match["year"]) == 2:
        this_year = gmtime(now).tm_year
        year += this_year - this_year % 100
        if year > this_year + 50:
            year -= 100
        elif year <= this_year - 50:
            year += 100
    month = _MONTH_NUMBER.get(match["month"])
    # The grammar allows a leap second; epoch seconds count it as the one after.
    # Year 0 fits the grammar, and is in no calendar that could count from it.
    if month is None or year == 0 or hour > 23 or minute > 59 or second > 60:
        return None
    if not 1 <= day <= _DAYS[month - 1] or (month == 2 and day == 29 and not isleap(year)):
        return None
    return float(timegm((year, month, day, hour, minute, second)))


@lru_cache(maxsize=64)
def _format(second: int) -> bytes:
    year, month, day, hour, minute, seconds, weekday, _, _ = gmtime(second)
    return b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
        _WEEKDAYS[weekday],
        day,
        _MONTHS[month - 1],
        year,
        hour,
        minute,
        seconds,
    )


def format(instant: float) -> bytes:  # noqa: A001 - `dates.format` is what callers read
    """Return *instant* as an IMF-fixdate; fractions of a second are dropped."""
    return _format(int(instant))
