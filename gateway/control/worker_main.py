"""What a worker process runs: the gateway, on the rules of its settings."""

import asyncio
import gc
import os
import sys
from pathlib import Path

from gateway.config.build import load
from gateway.control import worker
from gateway.control.access_log import AccessLogFile
from gateway.control.channel import Settings, Variant
from gateway.control.shared import SharedMemory
from gateway.control.token import admin_token
from gateway.counters import Counters
from gateway.edge.gateway import Gateway
from gateway.edge.live_explain import LiveExplainer
from gateway.edge.snapshot import Snapshot
from gateway.policy.age import current_age
from gateway.policy.stored import StoredResponse
from gateway.storage.fence import Fence
from gateway.storage.leases import Leases

_COLLECTED_AFTER = (50_000, 50, 100)
"""Containers made and not freed, before the collector looks at the young ones, and so on.
A request leaves no cycles behind, so looking often finds nothing; and a look at everything
that is stored would hold up each request meanwhile."""


class Plane(Gateway):
    """The gateway as a worker runs it."""

    folder = Path()
    """Where the gateway keeps what outlives it."""

    async def reload(self, settings: Settings) -> None:
        """Go by the rules of *settings* from now on; raises ConfigurationError."""
        # In a thread: a long file takes longer to check than a client should wait.
        self.adopt(await asyncio.to_thread(_snapshot, settings))

    def share(self, shared: SharedMemory, place: int, counts: list[int]) -> None:
        """Be one with the workers that have *shared*, too; to be called before `start`."""
        site = self.site
        site.limiter.share(shared.quotas)
        if counts:
            site.stand_behind(Fence(shared.fence, place, counts))
        site.open_tiers(self.folder, Leases(shared.leases))

    def stored(self, key: bytes) -> list[Variant]:
        """Return what is stored under *key*, as it would be judged now, newest first."""
        shelf = self.site.memory.peek(key)
        if shelf is None:
            return []
        judged = [self.site.purges.judge(each) for each in shelf.variants]
        now = self.site.clock()
        return [_told(each, now) for each in judged if each is not None]


def _told(stored: StoredResponse, now: float) -> Variant:
    age = current_age(stored.arrival, now)
    groups = dict.fromkeys((*stored.groups, *stored.filed.labels))
    return Variant(
        status=stored.status,
        bytes=len(stored.body),
        age=round(age, 3),
        fresh_for=round(stored.lifetime - age, 3),
        invalid=stored.invalid,
        route=stored.filed.route,
        groups=[group.decode("utf-8", "replace") for group in groups],
        vary={
            name.decode("latin-1"): None if value is None else value.decode("latin-1")
            for name, value in stored.nominated
            # A session or a token is nobody's to read, not even an operator's.
            if name not in (b"cookie", b"authorization")
        },
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
    plane.folder = Path(settings.state_dir)
    token = admin_token()
    plane.site.explainer = LiveExplainer(
        None if token is None else token.encode("utf-8", "surrogateescape"), plane.site.clock
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTED_AFTER)
    return plane


if __name__ == "__main__":
    sys.exit(worker.main(build))
