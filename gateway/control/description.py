"""The description of the admin port's REST interface, in OpenAPI 3.1."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import msgspec

from gateway.policy.outcome import Word

HITS = frozenset({Word.HIT, Word.STALE, Word.UPDATING, Word.REVALIDATED})
"""Words of answers that were made of what was stored."""


class Operation(NamedTuple):
    """One thing that can be asked."""

    method: str
    path: str
    summary: str
    answer: str
    """The name of what a 200 carries; empty for what has no description of its own."""
    body: str = ""
    parameters: tuple[tuple[str, str, Mapping[str, Any]], ...] = ()
    """Name, what it is, and schema of each parameter of the query."""
    problems: tuple[int, ...] = ()


_LIMIT = (
    "limit",
    "How many to list.",
    {"type": "integer", "minimum": 1, "maximum": 200, "default": 20},
)
_BY = (
    "by",
    "What they are ranked by.",
    {"type": "string", "enum": ["hits", "misses", "bytes"], "default": "hits"},
)
_TEXTS = {"type": "array", "items": {"type": "string"}}
_QUESTION = (
    ("target", "A path with its query.", {"type": "string", "pattern": "^/"}),
    ("method", "The method.", {"type": "string", "default": "GET"}),
    ("header", "Fields of the request, as Name: value.", _TEXTS),
    ("as", "Who is taken to ask: org=NAME, user=NAME.", _TEXTS),
    ("status", "What the origin answers.", {"type": "integer", "default": 200}),
    ("response", "Fields of the origin's answer, as Name: value.", _TEXTS),
)
OPERATIONS = (
    Operation("get", "/-/api/stats", "Everything counted, by route and origin.", "Figures"),
    Operation(
        "get", "/-/api/top", "The busiest URLs.", "TopKeys", parameters=(_BY, _LIMIT),
        problems=(400,),
    ),
    Operation(
        "get", "/-/api/uncacheable", "What isn't cached, why, and what would change that.",
        "NotCachedList", parameters=(_LIMIT,), problems=(400,),
    ),
    Operation("get", "/-/api/errors", "What went wrong lately.", "Failures"),
    Operation("get", "/-/api/history", "The last quarter of an hour.", "Samples"),
    Operation("get", "/-/api/routes", "Each route's policy and figures.", "Routes"),
    Operation(
        "get", "/-/api/object", "What is stored for a URL, by worker and variant.", "StoredObject",
        parameters=_QUESTION, problems=(400, 503),
    ),
    Operation(
        "get", "/-/explain", "Why a request is answered as it is.", "", parameters=_QUESTION,
        problems=(400, 503),
    ),
    Operation(
        "post", "/-/purge", "Forget what is named.", "Receipt", body="PurgeRequest",
        problems=(400, 401, 403),
    ),
    Operation(
        "post", "/-/reload", "Take the rules file as it is into force.", "",
        problems=(401, 403, 422),
    ),
    Operation("get", "/-/api/events", "A sample a second, as server-sent events.", ""),
    Operation("get", "/-/api/rules", "The rules file and the policy in force.", "Written"),
    Operation("get", "/-/api/rules/versions", "Earlier versions of the rules.", "Versions"),
    Operation(
        "post", "/-/api/rules/check", "Say what is wrong with a rules file.", "Checked",
        body="CheckRequest", problems=(400, 413, 415),
    ),
    Operation(
        "post", "/-/api/rules/propose", "Say what a change would come to.", "Proposed",
        body="ChangeRequest", problems=(400, 409, 413, 415),
    ),
    Operation(
        "post", "/-/api/rules/apply", "Write a rules file and take it into force.", "Applied",
        body="ChangeRequest", problems=(400, 401, 403, 409, 413, 415, 422),
    ),
    Operation(
        "post", "/-/api/rules/rollback", "Take an earlier version into force.", "Applied",
        body="RollbackRequest", problems=(400, 401, 403, 409, 413, 415, 422),
    ),
    Operation("get", "/-/api/openapi.json", "This description.", ""),
)  # fmt: skip


def openapi(types: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description; *types* are the structures that it names."""
    names = sorted(types)
    _, components = msgspec.json.schema_components(
        [types[name] for name in names], ref_template="#/components/schemas/{name}"
    )
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "The gateway's admin interface", "version": _version()},
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
        "paths": paths,
    }


def _described(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.answer:
        answer["content"] = _json(operation.answer)
    elif operation.path.endswith("/events"):
        answer["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    else:
        answer["content"] = {"application/json": {"schema": {"type": "object"}}}
    told: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": operation.path.removeprefix("/-/").removeprefix("api/").replace("/", "-"),
        "responses": {"200": answer}
        | {
            str(status): {"description": "Why not.", "content": _json("Problem")}
            for status in operation.problems
        },
    }
    if operation.parameters:
        told["parameters"] = [
            {"name": name, "in": "query", "description": about, "schema": dict(schema)}
            for name, about, schema in operation.parameters
        ]
    if operation.body:
        told["requestBody"] = {"required": True, "content": _json(operation.body)}
    return told


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _version() -> str:
    try:
        return version("hub-gateway")
    except PackageNotFoundError:
        return "unknown"
