"""The CDN in front: purging Cloudflare's cache, and what its zone analytics say.

Written to the documented API (version 4): at most a hundred URLs, tags, prefixes or hosts go in one
call, a call that comes too soon is answered 429 with Retry-After, which is honoured, and what
fails for the moment is tried again with growing pauses. The token is in a header and nowhere
else: no text of an error, no log and no output has it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import aiohttp

from gateway.errors import GatewayError
from gateway.resilience.backoff import Backoff

API = "https://api.cloudflare.com/client/v4"
MOST_AT_ONCE = 100
"""Operations in one call; Cloudflare refuses more."""
_TRIES = 5
_LONGEST_WAIT = 120.0
"""Seconds; who asks for more patience gets an error."""
_LIMIT = 30.0
_PAUSES = Backoff(first=0.5, longest=30.0)
_LONGEST_TEXT = 300
_QUERY = """
query ($zone: String!, $since: Time!, $until: Time!) {
  viewer {
    zones(filter: {zoneTag: $zone}) {
      httpRequests1hGroups(
        limit: 1000, filter: {datetime_geq: $since, datetime_lt: $until}
      ) {
        sum { requests cachedRequests bytes cachedBytes }
      }
    }
  }
}
"""


class CdnError(GatewayError):
    """Cloudflare said no, or nothing; the text says what, and what to do."""


class Named(StrEnum):
    """What a purge names; the words of the API."""

    URLS = "files"
    TAGS = "tags"
    PREFIXES = "prefixes"
    HOSTS = "hosts"


@dataclass(frozen=True, slots=True)
class Analytics:
    """What a zone served in some time."""

    since: datetime
    until: datetime
    requests: int
    cached_requests: int
    bytes: int
    cached_bytes: int

    @property
    def hit_rate(self) -> float:
        """The share of requests that the CDN answered itself."""
        return self.cached_requests / self.requests if self.requests else 0.0


class Cloudflare:
    """One zone."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        zone: str,
        token: str,
        *,
        api: str = API,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Speak for the zone with the identifier *zone*, by an API token that may purge it.

        *sleep* and *chance* pass the pauses between tries.
        """
        self._session = session
        self._zone = zone
        self._token = token
        self._api = api.rstrip("/")
        self._sleep = sleep
        self._chance = chance

    async def purge(self, what: Named, values: Sequence[str]) -> int:
        """Purge what is named; return how many calls it took. Raises CdnError."""
        distinct = list(dict.fromkeys(values))
        calls = 0
        for first in range(0, len(distinct), MOST_AT_ONCE):
            batch = distinct[first : first + MOST_AT_ONCE]
            await self._call(f"/zones/{self._zone}/purge_cache", {what.value: batch})
            calls += 1
        return calls

    async def purge_everything(self) -> None:
        """Purge all that the zone has cached. Raises CdnError."""
        await self._call(f"/zones/{self._zone}/purge_cache", {"purge_everything": True})

    async def analytics(self, duration: timedelta, until: datetime | None = None) -> Analytics:
        """Return what was served in the *duration* before *until*, by whole hours.

        None is now. Raises CdnError.
        """
        end = (until or datetime.now(UTC)).astimezone(UTC)
        since = end - duration
        variables = {"zone": self._zone, "since": _instant(since), "until": _instant(end)}
        told = await self._call("/graphql", {"query": _QUERY, "variables": variables})
        try:
            zones = told["data"]["viewer"]["zones"]
            if not zones:
                raise CdnError(f"Cloudflare knows no zone {self._zone} that this token may read")
            sums = [group["sum"] for group in zones[0]["httpRequests1hGroups"]]
            return Analytics(
                since,
                end,
                sum(int(each["requests"]) for each in sums),
                sum(int(each["cachedRequests"]) for each in sums),
                sum(int(each["bytes"]) for each in sums),
                sum(int(each["cachedBytes"]) for each in sums),
            )
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise CdnError("Cloudflare's analytics have another shape than expected") from error

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return what a call of *path* with *body* was answered; raises CdnError."""
        trouble = ""
        for tried in range(1, _TRIES + 1):
            wait: float | None = None
            try:
                async with self._session.post(
                    self._api + path,
                    json=body,
                    headers={"Authorization": f"Bearer {self._token}"},
                    timeout=aiohttp.ClientTimeout(total=_LIMIT),
                    allow_redirects=False,
                ) as answer:
                    status = answer.status
                    told = await _content(answer)
                    if status == HTTPStatus.TOO_MANY_REQUESTS:
                        wait = _seconds(answer.headers.get("Retry-After"))
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = f"no answer: {type(error).__name__}"
            else:
                errors = self._errors(told)
                if status == HTTPStatus.OK and not errors:
                    return told
                trouble = errors or f"{status} {answer.reason}"
                if status < HTTPStatus.INTERNAL_SERVER_ERROR and wait is None:
                    raise CdnError(self._advice(status, trouble))
            if tried < _TRIES:
                pause = _PAUSES.pause(tried + 1, self._chance()) if wait is None else wait
                if pause > _LONGEST_WAIT:
                    raise CdnError(
                        f"Cloudflare wants no call for {pause:.0f} seconds: {trouble}; try later"
                    )
                await self._sleep(pause)
        raise CdnError(f"Cloudflare couldn't be reached in {_TRIES} tries: {trouble}")

    def _errors(self, told: dict[str, Any]) -> str:
        """Return what an answer calls errors; empty for none."""
        found = told.get("errors") or []
        texts = [
            f"{each.get('message', 'unknown')} ({each['code']})"
            if "code" in each
            else str(each.get("message", "unknown"))
            for each in found
            if isinstance(each, dict)
        ]
        if told.get("success") is False and not texts:
            texts = ["it says no success, and no reason"]
        return "; ".join(texts).replace(self._token, "(the token)")[:_LONGEST_TEXT]

    @staticmethod
    def _advice(status: int, trouble: str) -> str:
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return (
                f"Cloudflare refuses the token: {trouble}; CLOUDFLARE_API_TOKEN needs Zone, "
                "Cache Purge and Zone, Analytics for the zone in CLOUDFLARE_ZONE_ID"
            )
        return f"Cloudflare refuses: {trouble}"


async def _content(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        told = await answer.json(content_type=None)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _seconds(text: str | None) -> float | None:
    """Return the pause that a Retry-After of seconds asks for; None for none."""
    return float(text) if text is not None and text.strip().isdigit() else None


def _instant(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
