"""From the tables under ``origins`` to what the pools go by."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from gateway.config import spec_origins as spec
from gateway.config.findings import Findings, did_you_mean, quoted
from gateway.config.shapes import Unfit
from gateway.config.spec import DEFAULTS, ROUTE_ORIGIN
from gateway.config.spec_origins import ORIGINS
from gateway.config.tables import Key, Setting, Settings
from gateway.config.units import SERVER, parse_server
from gateway.origin.settings import (
    Balance,
    Endpoint,
    HealthCheck,
    OriginSettings,
    Retry,
    Timeouts,
    Tls,
)
from gateway.resilience.backoff import Backoff
from gateway.resilience.health import Judgement

T = TypeVar("T")

IMPLIED_ORIGIN = "origin"
"""What the origin of ``--origin`` is called when the rules name none."""
_EJECT_AFTER = 5
_EJECT_FOR = 10.0
_LONGEST_EJECTION = 300.0


def build(
    root: Settings, folder: Path, override: str | None, findings: Findings
) -> tuple[dict[str, OriginSettings], str]:
    """Return the origins by name, and the name of the default one."""
    written = root.get(ORIGINS) or {}
    origins = {name: _origin(name, each.value, folder, findings) for name, each in written.items()}
    defaults = root.get(DEFAULTS)
    default = None if defaults is None else defaults.get(ROUTE_ORIGIN)
    if default is not None and defaults is not None and default not in origins:
        if origins or override is None:
            findings.error(
                defaults.place_of(ROUTE_ORIGIN),
                f"there is no origin {quoted(default)}",
                did_you_mean(default, origins) or 'name it under "origins"',
            )
    elif default is None and len(origins) > 1:
        findings.error(
            root.place_of(ORIGINS),
            "there are several origins, and none is the default",
            'add "defaults: {origin: NAME}"',
        )
    elif not origins and override is None and not findings.failed:
        findings.error(
            root.place,
            "no origin: nothing says where requests go",
            'name one under "origins", or give --origin URL',
        )
    name = default or next(iter(origins), IMPLIED_ORIGIN)
    if override is not None:
        try:
            endpoint = parse_server(override)
        except Unfit as error:
            text = error.text or f"expected {SERVER.expects}, got {quoted(override)}"
            findings.error(None, f"--origin: {text}", error.hint)
        else:
            known = origins.get(name) or OriginSettings(name, ())
            origins[name] = replace(known, endpoints=(endpoint,))
    return origins, name


def _origin(name: str, table: Settings, folder: Path, findings: Findings) -> OriginSettings:
    standard, usual = OriginSettings(name, ()), Timeouts()
    servers: tuple[Setting[Endpoint | Settings], ...] = table.get(spec.SERVERS) or ()
    endpoints = tuple(_endpoint(server.value) for server in servers)
    host = table.get(spec.HOST_SENT)
    timeouts = table.get(spec.TIMEOUTS)
    connections = table.get(spec.CONNECTIONS)
    eject = table.get(spec.EJECT)
    return OriginSettings(
        name=name,
        endpoints=endpoints,
        timeouts=Timeouts(
            connect=_or(timeouts, spec.CONNECT, usual.connect),
            first_byte=_or(timeouts, spec.FIRST_BYTE, usual.first_byte),
            between_bytes=_or(timeouts, spec.BETWEEN_BYTES, usual.between_bytes),
            total=_or(timeouts, spec.TOTAL, usual.total),
        ),
        host=None if host in (None, "preserve") else host,
        balance=Balance(table.get(spec.BALANCE) or standard.balance),
        retry=_retry(table.get(spec.RETRY), several=len(endpoints) > 1),
        health=_health(table.get(spec.HEALTH)),
        judgement=_judgement(table, several=len(endpoints) > 1),
        refuses_at_once=eject is not None and eject.get(spec.LAST_TOO) is True,
        tls=_tls(table, endpoints, folder, findings),
        max_connections=_or(connections, spec.MAX_CONNECTIONS, standard.max_connections),
        max_waiting=_or(connections, spec.MAX_WAITING, standard.max_waiting),
    )


def _endpoint(written: Endpoint | Settings) -> Endpoint:
    if isinstance(written, Endpoint):
        return written
    endpoint = written.get(spec.SERVER_URL) or Endpoint("", 0)
    return replace(endpoint, weight=written.get(spec.WEIGHT) or 1)


def _retry(written: Settings | None, *, several: bool) -> Retry:
    usual = Retry()
    attempts = 2 if several else usual.attempts
    if written is None:
        return replace(usual, attempts=attempts)
    budget = written.get(spec.BUDGET)
    methods = written.get(spec.RETRY_METHODS)
    return Retry(
        attempts=written.get(spec.ATTEMPTS) or attempts,
        budget=usual.budget if budget is None else budget,
        methods=usual.methods
        if methods is None
        else frozenset(method.value.encode("ascii") for method in methods),
        statuses=frozenset(int(status.value) for status in written.get(spec.STATUSES) or ()),
    )


def _health(written: Settings | None) -> HealthCheck | None:
    path = None if written is None else written.get(spec.CHECK_PATH)
    if written is None or path is None:
        return None
    usual = HealthCheck(path)
    return HealthCheck(
        path,
        interval=written.get(spec.INTERVAL) or usual.interval,
        timeout=written.get(spec.CHECK_TIMEOUT) or usual.timeout,
    )


def _judgement(table: Settings, *, several: bool) -> Judgement:
    usual = Judgement()
    health = table.get(spec.HEALTH)
    eject = table.get(spec.EJECT)
    after = _EJECT_AFTER if several or eject is not None else None
    return Judgement(
        eject_after=(None if eject is None else eject.get(spec.EJECT_AFTER)) or after,
        pause=Backoff(
            first=_or(eject, spec.EJECT_FOR, _EJECT_FOR),
            longest=max(_LONGEST_EJECTION, _or(eject, spec.EJECT_FOR, _EJECT_FOR)),
        ),
        unhealthy_after=_or(health, spec.UNHEALTHY_AFTER, usual.unhealthy_after),
        healthy_after=_or(health, spec.HEALTHY_AFTER, usual.healthy_after),
        slow_start=_or(table, spec.SLOW_START, usual.slow_start),
    )


def _tls(table: Settings, endpoints: tuple[Endpoint, ...], folder: Path, findings: Findings) -> Tls:
    written = table.get(spec.TLS)
    if written is None:
        return Tls()
    if endpoints and not any(endpoint.tls for endpoint in endpoints):
        findings.warning(
            table.place_of(spec.TLS),
            "tls says how https servers are verified, and none of these is one",
            "write https:// in servers, or remove it",
        )
    ca = written.get(spec.CA)
    if ca is not None:
        ca = str(folder / ca)
        try:
            ssl.create_default_context(cafile=ca)
        except (OSError, ssl.SSLError) as error:
            findings.error(
                written.place_of(spec.CA),
                f"tls.ca: {quoted(ca)} can't be used: {error.strerror or error}",
                "give a PEM file with certificates, relative to this file",
            )
    verify = written.get(spec.VERIFY)
    return Tls(verify is not False, written.get(spec.TLS_NAME), ca)


def _or(table: Settings | None, key: Key[T], otherwise: T) -> T:
    """Return what *table* says under *key*, or *otherwise* when it is silent."""
    found = None if table is None else table.get(key)
    return otherwise if found is None else found
