"""From the keys under `limits` to what the edge goes by."""

from typing import TypeVar

from gateway.config import spec_listen as spec
from gateway.config.findings import Findings
from gateway.config.tables import Key, Settings
from gateway.edge.snapshot import Limits

T = TypeVar("T")


def limits(table: Settings | None, findings: Findings) -> Limits:
    """Return the limits that *table* sets; what it doesn't say is as usual."""
    standard = Limits()
    most = _or(table, spec.CONNECTIONS_PER_CLIENT, spec.OFF)
    rate = _or(table, spec.MIN_RATE, standard.min_rate)
    found = Limits(
        head_bytes=_or(table, spec.HEAD, standard.head_bytes),
        target_bytes=_or(table, spec.TARGET, standard.target_bytes),
        field_count=_or(table, spec.FIELDS, standard.field_count),
        head_timeout=_or(table, spec.HEAD_TIMEOUT, standard.head_timeout),
        idle_timeout=_or(table, spec.IDLE_TIMEOUT, standard.idle_timeout),
        send_timeout=_or(table, spec.SEND_TIMEOUT, standard.send_timeout),
        min_rate=0 if isinstance(rate, str) else rate,
        body_bytes=_or(table, spec.BODY, standard.body_bytes),
        connections=_or(table, spec.CONNECTIONS, standard.connections),
        connections_per_client=None if isinstance(most, str) else most,
        requests=_or(table, spec.REQUESTS, standard.requests),
    )
    if table is not None and found.target_bytes > found.head_bytes:
        findings.error(
            table.place_of(spec.TARGET if spec.TARGET.name in table.values else spec.HEAD),
            "limits.target is larger than limits.head, which contains it",
            f"at most {spec.HEAD.shape.show(found.head_bytes)}",
        )
    return found


def _or(table: Settings | None, key: Key[T], otherwise: T) -> T:
    """Return what *table* says under *key*, or *otherwise* when it is silent."""
    found = None if table is None else table.get(key)
    return otherwise if found is None else found
