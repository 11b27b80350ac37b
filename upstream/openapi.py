"""The description of the API in OpenAPI 3.1, served at ``/api/openapi.json``.

What an operation takes and answers with is read off the types that the handlers themselves
use, so that the description can't promise what is refused.  Which operations there are is
told in `api_operations.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from upstream import __version__
from upstream.api_rows import Error, TrpcError

Access = Literal["open", "optional", "session", "any"]
"""Who may call: everybody; everybody, with another answer for those logged in; a person with
a session; a session or an API key."""

_SECURITY: dict[Access, list[dict[str, list[str]]]] = {
    "open": [],
    "optional": [{}, {"session": []}, {"apiKey": []}],
    "session": [{"session": []}],
    "any": [{"session": []}, {"apiKey": []}],
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    name: str
    """Its operationId."""
    summary: str
    answer: Any
    """The type that a success answers with; None when that is no JSON."""
    access: Access = "any"
    status: HTTPStatus = HTTPStatus.OK
    query: type | None = None
    """The query string, member by member."""
    body: type | None = None
    fails: tuple[int, ...] = ()
    """Statuses beside those that follow from the rest."""
    content_type: str = "application/json"
    parameters: tuple[dict[str, Any], ...] = ()
    """Further ones, as they are written in the description."""
    failure: Any = Error
    """The type that an error answers with."""


@dataclass(frozen=True, slots=True)
class Procedure:
    """One procedure of tRPC; it is called by *method*."""

    method: Literal["GET", "POST"]
    name: str
    summary: str
    takes: type
    answer: type
    fails: tuple[int, ...] = field(default=())


def document(operations: Iterable[Operation], procedures: Iterable[Procedure]) -> dict[str, Any]:
    """Return the whole description."""
    operations, procedures = tuple(operations), tuple(procedures)
    schemas = _Schemas(_types_of(operations, procedures))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, schemas
        )
    for procedure in procedures:
        path = f"/api/trpc/{procedure.name}"
        paths.setdefault(path, {})[procedure.method.lower()] = _procedure(procedure, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "The hub",
            "version": __version__,
            "description": "Issues, automatic repairs and tests of your projects. Lists may be"
            " cached for a minute, reports for five; writes name the cache groups that they"
            " made wrong in Cache-Group-Invalidation (RFC 9875).",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "session_token"},
                "apiKey": {"type": "http", "scheme": "bearer"},
            },
        },
    }


class _Schemas:
    """JSON Schemas by type, with what they share kept once."""

    def __init__(self, kinds: tuple[type, ...]) -> None:
        schemas, self.components = msgspec.json.schema_components(
            kinds, ref_template="#/components/schemas/{name}"
        )
        self._by_kind = dict(zip(kinds, schemas, strict=True))

    def of(self, kind: type) -> dict[str, Any]:
        return self._by_kind[kind]

    def members(self, kind: type) -> Iterable[tuple[str, dict[str, Any], bool]]:
        """Return name, schema and whether it must be there, of each member of a struct."""
        whole = self.components[self._by_kind[kind]["$ref"].rpartition("/")[2]]
        for name, schema in whole["properties"].items():
            yield name, _without_null(schema), name in whole.get("required", ())


def _types_of(
    operations: tuple[Operation, ...], procedures: tuple[Procedure, ...]
) -> tuple[type, ...]:
    found: dict[Any, None] = {TrpcError: None}
    for operation in operations:
        for kind in (operation.answer, operation.query, operation.body, operation.failure):
            if kind is not None:
                found[kind] = None
    for procedure in procedures:
        found[procedure.takes] = found[procedure.answer] = None
    return tuple(found)


def _operation(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    parameters = [*_path_parameters(operation.path), *operation.parameters]
    if operation.query is not None:
        parameters += [
            {"name": name, "in": "query", "required": required, "schema": schema}
            for name, schema, required in schemas.members(operation.query)
        ]
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": _SECURITY[operation.access],
        "parameters": parameters,
        "responses": {
            str(int(operation.status)): _success(operation, schemas),
            **_failures(_statuses(operation), schemas.of(operation.failure)),
        },
    }
    if operation.body is not None:
        described["requestBody"] = _json_body(schemas.of(operation.body))
    return described


def _procedure(procedure: Procedure, schemas: _Schemas) -> dict[str, Any]:
    data = schemas.of(procedure.answer)
    success = _object({"result": _object({"data": data})})
    statuses = {400, 401, 503, *procedure.fails}
    described: dict[str, Any] = {
        "operationId": procedure.name,
        "summary": procedure.summary,
        "security": _SECURITY["any"],
    }
    takes = schemas.of(procedure.takes)
    if procedure.method == "GET":
        described["parameters"] = [
            {
                "name": "input",
                "in": "query",
                "description": "The input as JSON.",
                "content": {"application/json": {"schema": takes}},
            }
        ]
    else:
        described["requestBody"] = _json_body(takes)
        statuses |= {403, 413, 415}
    described["responses"] = {
        "200": {"description": "The answer.", "content": _json(success)},
        **_failures(statuses, schemas.of(TrpcError)),
    }
    return described


def _statuses(operation: Operation) -> set[int]:
    """Return the errors that follow from what the operation takes and who may call it."""
    statuses = set(operation.fails)
    if operation.access in {"any", "session"}:
        statuses |= {401, 503}
    if operation.query is not None:
        statuses.add(400)
    if operation.body is not None:
        statuses |= {400, 413, 415, 503}
    if "{id}" in operation.path:
        statuses.add(404)
    return statuses


def _success(operation: Operation, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": operation.status.phrase}
    if operation.answer is not None:
        described["content"] = {
            operation.content_type: {"schema": schemas.of(operation.answer)},
        }
    elif operation.content_type != "application/json":
        described["content"] = {operation.content_type: {"schema": {"type": "string"}}}
    return described


def _failures(statuses: Iterable[int], schema: dict[str, Any]) -> dict[str, Any]:
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": _json(schema)}
        for status in sorted(statuses)
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    if "{id}" not in path:
        return []
    schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
    return [{"name": "id", "in": "path", "required": True, "schema": schema, "example": 1}]


def _json_body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": _json(schema)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return *schema* as a query parameter has it: it is there or it isn't, but never null."""
    schema = {name: value for name, value in schema.items() if name != "default"}
    if "anyOf" in schema:
        kinds = [kind for kind in schema.pop("anyOf") if kind != {"type": "null"}]
        return {**schema, **kinds[0]} if len(kinds) == 1 else {**schema, "anyOf": kinds}
    if "enum" in schema:
        schema["enum"] = [value for value in schema["enum"] if value is not None]
    return schema
