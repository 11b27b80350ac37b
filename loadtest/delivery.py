"""How much answers weigh: with and without compression, scripts and styles, pictures."""

import json
import re
import urllib.error
import urllib.request
from dataclasses import dataclass

from loadtest.definition import users
from loadtest.record import Delivery, RunError

_COMPRESSED = "br, gzip"
_PATHS = (
    "/",
    "/docs/caching",
    "/dashboard/issues",
    "/api/projects?limit=100",
    "/api/trpc/insight.getIssues?input=%7B%22limit%22%3A100%7D",
)
_BUNDLE = re.compile(r"""["'](/_next/static/[^"'\s]+\.(?:m?js|css))["']""")
_PICTURE = re.compile(r"""["'](/images/[^"'\s]+\.(?:png|jpe?g))["']""")
_TIMEOUT = 15.0


class CannotTell(RunError):
    """The gateway doesn't answer as it should; the text says where."""


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    """As sent: not decoded."""
    media_type: str


def measure(base: str) -> Delivery:
    """Ask the gateway at *base* for the same things in several ways, or raise CannotTell."""
    try:
        everybody = users()
        cookie = log_in(base, everybody.organizations[0].users[0], everybody.password)
        plain = compressed = 0
        for path in _PATHS:
            plain += len(_get(base, path, cookie, "identity").body)
            compressed += len(_get(base, path, cookie, _COMPRESSED).body)
        dashboard = _get(base, "/dashboard", cookie, "identity").body.decode()
        bundle = sum(
            len(_get(base, path, cookie, _COMPRESSED).body)
            for path in sorted(set(_BUNDLE.findall(dashboard)))
        )
        home = _get(base, "/", cookie, "identity").body.decode()
        types = tuple(
            _get(base, picture, cookie, "identity", accept).media_type
            for picture in sorted(set(_PICTURE.findall(home)))[:1]
            for accept in ("image/avif,image/webp,*/*;q=0.8", "image/webp,*/*;q=0.8")
        )
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise CannotTell(f"{base}: {error}") from error
    return Delivery(plain, compressed, bundle, types)


def log_in(base: str, email: str, password: str) -> str:
    """Return the cookies of a new session, or raise CannotTell."""
    request = urllib.request.Request(
        f"{base}/api/auth/login",
        data=json.dumps({"email": email, "password": password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
            cookies: list[str] = answer.headers.get_all("Set-Cookie") or []
    except (OSError, urllib.error.URLError) as error:
        raise CannotTell(f"{email} can't log in at {base}: {error}") from error
    return "; ".join(cookie.partition(";")[0] for cookie in cookies)


def _get(base: str, path: str, cookie: str, encoding: str, accept: str = "*/*") -> _Answer:
    request = urllib.request.Request(
        base + path, headers={"Cookie": cookie, "Accept-Encoding": encoding, "Accept": accept}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
        return _Answer(answer.read(), answer.headers.get_content_type())
