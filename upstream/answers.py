"""How the hub reads what a request brings, and writes JSON back.

Whoever finds a value at fault raises ApiError; `failures.py` answers it.
"""

from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from upstream import caching
from upstream.errors import ApiError, bad_input

T = TypeVar("T")

JSON = "application/json; charset=utf-8"
HTML = "text/html; charset=utf-8"
LARGEST_BODY_BYTES = 64 * 1024


def encode(value: Any) -> bytes:
    """Return *value* as JSON; instants in RFC 3339."""
    return msgspec.json.encode(value)


def private_json(
    value: Any,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
    invalidates: Iterable[str] = (),
) -> web.Response:
    """Return an answer that no cache may keep; *invalidates* names what a write made wrong."""
    response = web.Response(
        status=status,
        body=encode(value),
        headers={"Cache-Control": caching.NEVER, "Content-Type": JSON, **(headers or {})},
    )
    if field := caching.groups_field(invalidates):
        response.headers["Cache-Group-Invalidation"] = field
    return response


async def json_body(request: web.Request, kind: type[T]) -> T:
    """Return the request's body as *kind*, or raise ApiError naming the field at fault."""
    if request.content_type != "application/json":
        # Also keeps forms of foreign sites out: they can't send this type unasked.
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send the body as Content-Type: application/json",
        )
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise too_large() from error
    return decode(body, kind)


def too_large() -> ApiError:
    """Return the error for a body that nobody needs to send us."""
    return ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "request_entity_too_large",
        f"the body is larger than {LARGEST_BODY_BYTES} bytes",
    )


def decode(text: bytes | str, kind: type[T]) -> T:
    """Return JSON *text* as *kind*, or raise ApiError naming the field at fault."""
    try:
        value = msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong_value(error) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise bad_input(f"the JSON can't be read: {error}") from error
    _refuse_nul(value)
    return value


def query_values(request: web.Request, kind: type[T], *, empty: bool = True) -> T:
    """Return the query string as *kind*; a parameter given twice is refused.

    *empty* False leaves out parameters without a value, which a browser's form sends for
    whatever nobody has filled in.
    """
    values: dict[str, str] = {}
    for name, text in request.query.items():
        if name in values:
            raise bad_input(f"given more than once: {name}", name)
        if text or empty:
            values[name] = text
    try:
        value = msgspec.convert(values, type=kind, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong_value(error) from error
    _refuse_nul(value)
    _refuse_laxity(value, values)
    return value


def row_id(request: web.Request) -> int:
    """Return the id in the path; the routes let only digits through."""
    number = int(request.match_info["id"])
    if number > 2**63 - 1:
        raise web.HTTPNotFound
    return number


def error_body(error: ApiError) -> dict[str, str | None]:
    """Return what a client is told about *error*."""
    return {"code": error.code, "message": error.message, "field": error.field}


def _refuse_laxity(value: Any, given: dict[str, str]) -> None:
    """Refuse what a reader of texts takes besides: null for nothing, a number for an instant."""
    for field in msgspec.structs.fields(value):
        name = field.encode_name
        if name not in given:
            continue
        read = getattr(value, field.name)
        if read is None:
            raise bad_input("expected a value, got null: leave it out", name)
        if isinstance(read, datetime) and not given[name][4:5] == "-":
            raise bad_input("expected an instant such as 2026-11-01T09:30:00Z", name)


def _refuse_nul(value: Any) -> None:
    """Refuse the one character that PostgreSQL's texts can't hold."""
    if not isinstance(value, msgspec.Struct):
        return
    for field in msgspec.structs.fields(value):
        text = getattr(value, field.name)
        if isinstance(text, str) and "\x00" in text:
            raise bad_input("a text must not contain the character U+0000", field.encode_name)


def _wrong_value(error: msgspec.ValidationError) -> ApiError:
    """Translate "Expected `int` <= 100 - at `$.limit`" and its relatives."""
    text, at, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".") if at else ""
    if not field and "field `" in text:  # a missing or an unknown one is named in the text
        field = text.split("field `", 1)[1].split("`", 1)[0]
    return bad_input(text.replace("`", ""), field or None)
