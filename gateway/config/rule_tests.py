"""The tests that stand in a rules file: requests with what the rules must make of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway.config import spec_tests as spec
from gateway.config.findings import Findings, Place, quoted
from gateway.config.rehearsal import (
    IN_VAIN_HINT,
    Rehearsed,
    answer,
    identity,
    in_vain,
    rehearse,
    request,
)
from gateway.config.tables import Key, Setting, Settings
from gateway.config.units import show_duration
from gateway.edge.snapshot import Snapshot
from gateway.errors import RequestRefused
from gateway.policy import lists
from gateway.routing.identity import Identity


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that a test expected and that isn't so."""

    place: Place
    text: str


def run(
    tests: tuple[Setting[Settings], ...], snapshot: Snapshot, findings: Findings
) -> tuple[int, int]:
    """Run *tests* on *snapshot*; return how many passed, and how many there are.

    What fails goes to *findings* as errors.
    """
    passed = 0
    for test in tests:
        failures = list(_failures(test.value, snapshot, findings))
        for failure in failures:
            findings.error(failure.place, f"test failed: {failure.text}")
        passed += not failures
    return passed, len(tests)


def _failures(test: Settings, snapshot: Snapshot, findings: Findings) -> Iterator[Failure]:
    who = _who(test.get(spec.AS))
    asked = test.get(spec.REQUEST) or "GET /"
    try:
        rehearsed = _rehearse(test, snapshot, asked, who)
    except RequestRefused as error:
        yield Failure(test.place_of(spec.REQUEST), f"{quoted(asked)} is refused: {error}")
        return
    response = test.get(spec.RESPONSE)
    if response is not None:
        head = answer(_pairs(response.get(spec.HEADERS)))
        doubt = in_vain(rehearsed, head)
        if doubt is not None:
            findings.warning(test.place_of(spec.RESPONSE), doubt, IN_VAIN_HINT)
    expected = test.get(spec.EXPECT)
    if expected is not None:
        yield from _unmet(expected, rehearsed)
    for key, wanted in ((spec.SHARED_WITH, True), (spec.NOT_SHARED_WITH, False)):
        other = test.get(key)
        if other is None:
            continue
        try:
            another = (
                _rehearse(test, snapshot, other, who)
                if isinstance(other, str)
                else _rehearse(test, snapshot, asked, _who(other))
            )
        except RequestRefused as error:
            yield Failure(test.place_of(key), f"the other request is refused: {error}")
            continue
        if rehearsed.stored is None and wanted:
            yield Failure(test.place_of(key), f"{quoted(asked)} isn't stored at all")
        elif rehearsed.shares_with(another) is not wanted:
            route = quoted(rehearsed.route.name)
            text = (
                f"what is stored for {quoted(asked)} on route {route} would answer the other, too"
                if not wanted
                else f"what is stored for {quoted(asked)} on route {route} answers nobody else"
            )
            yield Failure(test.place_of(key), text)


def _who(written: Settings | None) -> Identity:
    if written is None:
        return identity(None, None)
    return identity(written.get(spec.USER), written.get(spec.ORG))


def _rehearse(test: Settings, snapshot: Snapshot, asked: str, who: Identity) -> Rehearsed:
    method, _, target = asked.partition(" ")
    response = test.get(spec.RESPONSE)
    status = None if response is None else response.get(spec.STATUS)
    fields = None if response is None else response.get(spec.HEADERS)
    return rehearse(
        snapshot,
        request(method, target, _pairs(test.get(spec.HEADERS))),
        who,
        200 if status is None else status,
        _pairs(fields),
    )


def _pairs(written: Any) -> list[tuple[str, str]]:
    return [(name, value.value) for name, value in (written or {}).items()]


def _unmet(expected: Settings, rehearsed: Rehearsed) -> Iterator[Failure]:
    route = rehearsed.route
    stored = rehearsed.stored
    comparisons: list[tuple[Key[Any], Any, Any]] = [
        (spec.ROUTE, route.name, str),
        (spec.STORED, stored is not None, lambda it: "true" if it else "false"),
        (spec.TTL, None if stored is None else stored.lifetime, _duration),
        (spec.BROWSER_TTL, _browser_ttl(rehearsed), _duration),
        (spec.SCOPE, route.cache.scope.value, str),
        (spec.ORIGIN, route.origin, str),
        (spec.STATUS, rehearsed.response.status, str),
    ]
    for key, found, show in comparisons:
        wanted = expected.get(key)
        if wanted is None or wanted == found or (wanted == "none" and found is None):
            continue
        where = f"route {quoted(route.name)} on line {route.line}" if route.line else route.name
        yield Failure(
            expected.place_of(key),
            f"expected {key.name} {show(wanted)}, it is {show(found)} ({where})",
        )


def _duration(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else show_duration(value)


def _browser_ttl(rehearsed: Rehearsed) -> float | None:
    """Return the max-age that a client is told; None when it is told none."""
    for directive in lists.split(rehearsed.response.fields.get(b"cache-control") or b""):
        name, _, value = directive.partition(b"=")
        if name.strip().lower() == b"max-age" and value.isdigit():
            return float(value)
    return None
