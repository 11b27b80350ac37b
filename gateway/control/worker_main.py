"""What a worker process runs: the gateway, on the rules of its settings."""

import asyncio
import gc
import os
import sys
from pathlib import Path

from gateway.config.build import load
from gateway.control import worker
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings, Stored
from gateway.counters import Counters
from gateway.edge import shelving
from gateway.edge.gateway import Gateway
from gateway.edge.snapshot import Snapshot
from gateway.policy.age import current_age
from gateway.policy.rules import OBEY_ORIGIN
from gateway.policy.stored import StoredResponse
from gateway.storage.purges import Kind, Purge

_COLLECTED_AFTER = (50_000, 50, 100)
"""Containers made and not freed, before the collector looks at the young ones, and so on.
A request leaves no cycles behind, so looking often finds nothing; and a look at everything
that is stored would hold up each request meanwhile."""


_LOOKED_AT_ONCE = 2000


class Plane(Gateway):
    """The gateway as a worker runs it."""

    async def look(self, target: bytes, host: bytes) -> list[Stored]:
        """Return what is stored for *target*; of every host without *host*."""
        site = self.site
        wanted = {each.value for each in site.named(Purge(Kind.URL, target))}
        now = site.clock()
        found = []
        # Nothing is kept for finding it so; the shelves are gone through in small portions.
        for number, shelf in enumerate(site.memory, 1):
            if number % _LOOKED_AT_ONCE == 0:
                await asyncio.sleep(0)
            filed = shelf.variants[0].filed
            if filed.target in wanted and host in (b"", filed.host) and shelf.live:
                judged = shelving.judge_anew(site, shelf, shelf.variants[0].rules or OBEY_ORIGIN)
                found += [_told(each, now) for each in (judged.variants if judged else ())]
        return found

    async def reload(self, settings: Settings) -> None:
        """Go by the rules of *settings* from now on; raises ConfigurationError."""
        # In a thread: a long file takes longer to check than a client should wait.
        self.adopt(await asyncio.to_thread(_snapshot, settings))


def _told(stored: StoredResponse, now: float) -> Stored:
    age = current_age(stored.arrival, now)
    etag = stored.fields.get(b"etag")
    groups = (*stored.groups, *stored.filed.labels)
    return Stored(
        worker="",
        host=stored.filed.host.decode("latin-1"),
        target=stored.filed.target.decode("latin-1"),
        route=stored.filed.route,
        scope="" if stored.rules is None else stored.rules.scope.value,
        status=stored.status,
        age=round(age, 3),
        ttl=stored.lifetime,
        fresh=age < stored.lifetime and not stored.invalid,
        bytes=len(stored.body),
        groups=[group.decode("utf-8", "replace") for group in groups],
        # Who asks is nobody's business, not even an operator's.
        nominated={
            name.decode("latin-1"): "(hidden)"
            if name in (b"cookie", b"authorization")
            else (value or b"").decode("latin-1")
            for name, value in stored.nominated
        },
        etag=None if etag is None else etag.decode("latin-1"),
    )


def _snapshot(settings: Settings) -> Snapshot:
    return load(
        Path(settings.rules),
        os.environ,
        settings.origin,
        settings.rules_text,
        settings.included,
    )


def build(settings: Settings, counters: Counters, access_log: AccessLogFile | None) -> Plane:
    """Return the gateway that the rules describe; raises ConfigurationError."""
    plane = Plane(_snapshot(settings), counters, access_log)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    return plane


if __name__ == "__main__":
    sys.exit(worker.main(build))
