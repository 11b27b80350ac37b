"""Which groups of responses were invalidated, and when (RFC 9875).

A group is told once, whatever the number of responses in it: nothing is searched for or
removed. A response that was asked for before its group was invalidated doesn't count as
fresh any more. Instants are epoch seconds.
"""

from gateway.policy.stored import StoredResponse

MOST_GROUPS = 65_536
"""Groups remembered. When one has to be forgotten, all that isn't known counts as
invalidated when that one was: too much is asked for again, and never too little."""


class GroupInvalidations:
    """The invalidations of one worker."""

    __slots__ = ("_at", "_floor")

    def __init__(self) -> None:
        self._at: dict[tuple[bytes, bytes], float] = {}
        self._floor = 0.0

    def invalidate(self, host: bytes, groups: tuple[bytes, ...], now: float) -> None:
        """Note that *groups* of *host* changed at *now*."""
        for group in groups:
            self._at.pop((host, group), None)
            if len(self._at) >= MOST_GROUPS:
                oldest = next(iter(self._at))
                self._floor = max(self._floor, self._at.pop(oldest))
            self._at[host, group] = now

    def outdated(self, host: bytes, stored: StoredResponse) -> bool:
        """Return whether a group of *stored* changed after it was asked for.

        When it was asked for, not when it came: what was under way may have been read before.
        """
        if not self._at or not stored.groups:
            return False
        asked_at = stored.arrival.request_time
        floor = self._floor
        return any(asked_at < self._at.get((host, group), floor) for group in stored.groups)
