"""From the keys under `limit` to the buckets that a route's clients draw from."""

from gateway.config import spec_limits as spec
from gateway.config.tables import Settings
from gateway.policy.rate import By, RateLimit


def rate_limits(table: Settings | None, name: str) -> tuple[RateLimit, ...] | None:
    """Return the limits that *table* of the route *name* has; None when it says nothing."""
    written = None if table is None else table.get(spec.LIMIT)
    if written is None:
        return None
    if isinstance(written, str):
        return ()
    return tuple(
        _limit(one.value, name if number == 1 else f"{name}#{number}")
        for number, one in enumerate(written, 1)
    )


def _limit(table: Settings, name: str) -> RateLimit:
    requests = table.get(spec.REQUESTS) or 1
    by = table.get(spec.BY)
    header = by.get(spec.BY_HEADER) if isinstance(by, Settings) else None
    per = table.get(spec.PER)
    return RateLimit(
        name=name,
        requests=requests,
        per=1.0 if per is None else per,
        burst=table.get(spec.BURST) or requests,
        by=By.HEADER if header is not None else By(by) if isinstance(by, str) else By.ADDRESS,
        header=b"" if header is None else header.lower().encode("ascii"),
        shared=table.get(spec.SHARED) is not False,
    )
