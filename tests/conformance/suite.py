"""The tests as data: dialogues between a client, the gateway and an origin.

`data/SCHEMA.md` says what each field means; this module is its shape.
"""

from pathlib import Path
from typing import Any, TypeAlias

import msgspec

DATA = Path(__file__).parent / "data" / "tests.json"

Line: TypeAlias = list[str | int | bool | None]
"""[name, value] or [name, value, whether the client must see it unchanged]."""
Interim: TypeAlias = list[int | list[list[str]]]
"""[code] or [code, [[name, value], ...]]."""


class Step(msgspec.Struct, omit_defaults=True, frozen=True):
    """One request, the origin's answer to it, and what is expected of both."""

    request_method: str = "GET"
    request_headers: list[Line] = []
    request_body: str | None = None
    filename: str | None = None
    query_arg: str | None = None
    redirect: str | None = None
    magic_ims: bool = False
    pause_after: bool = False
    rfc850date: list[str] = []
    magic_locations: bool = False
    response_status: tuple[int, str] | None = None
    response_headers: list[Line] = []
    response_body: str | None = None
    response_pause: float = 0
    disconnect: bool = False
    interim_responses: list[Interim] = []
    expected_type: str | None = None
    expected_status: int | msgspec.UnsetType | None = msgspec.UNSET
    expected_response_headers: list[str | Line] = []
    expected_response_headers_missing: list[str | list[str]] = []
    expected_response_text: str | msgspec.UnsetType | None = msgspec.UNSET
    check_body: bool = True
    expected_interim_responses: list[Interim] | None = None
    expected_method: str | None = None
    expected_request_headers: list[str | list[str]] = []
    expected_request_headers_missing: list[str | list[str]] = []
    setup: bool = False
    setup_tests: list[str] = []


class Case(msgspec.Struct, frozen=True):
    """One test."""

    id: str
    name: str
    requests: list[Step]
    kind: str = "required"
    depends_on: list[str] = []
    browser_only: bool = False


class Group(msgspec.Struct, frozen=True):
    """Tests about one thing."""

    id: str
    name: str
    tests: list[Case]


def load(path: Path = DATA) -> list[Group]:
    """Return the groups of tests in *path*, less what is for browsers alone."""
    groups = msgspec.json.decode(path.read_bytes(), type=list[Group])
    return [
        Group(group.id, group.name, [case for case in group.tests if not case.browser_only])
        for group in groups
    ]


def configuration(case: Case) -> bytes:
    """Return what the origin is told about *case* beforehand."""
    steps: list[dict[str, Any]] = [
        {**msgspec.to_builtins(step), "id": case.id, "name": case.name} for step in case.requests
    ]
    return msgspec.json.encode(steps)
