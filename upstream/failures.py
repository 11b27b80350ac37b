"""The one place where an error becomes an answer: JSON on the API, a page elsewhere."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import asyncpg
from aiohttp import web

from upstream import caching
from upstream.answers import HTML, JSON, encode, error_body, too_large
from upstream.errors import ApiError, bad_input
from upstream.pages import error_page

_log = logging.getLogger("hub")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors_answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn whatever a handler raised into an answer."""
    try:
        response = await handler(request)
    except ApiError as error:
        response = render_error(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = render_error(request, _from_http(error))
    except (asyncpg.DataError, UnicodeEncodeError) as error:
        _log.info("refused by the database: %s %s: %s", request.method, request.path, error)
        response = render_error(request, bad_input("a value can't be stored or compared"))
    except Exception:
        _log.exception("failed: %s %s", request.method, request.path)
        response = render_error(
            request,
            ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "this went wrong on our side"),
        )
    return response


def render_error(request: web.Request, error: ApiError) -> web.Response:
    """Return *error* in the shape of the place that was asked."""
    never = caching.never_cached(request.path)
    headers = {
        "Cache-Control": caching.NEVER if never else caching.NO_STORE,
        **error.headers,
    }
    if request.path.startswith(("/api/", "/.well-known/")):
        return web.Response(
            status=error.status,
            body=encode({"error": error_body(error)}),
            headers={"Content-Type": JSON, **headers},
        )
    return web.Response(
        status=error.status,
        body=error_page(request, error),
        headers={"Content-Type": HTML, **headers},
    )


def _from_http(error: web.HTTPException) -> ApiError:
    status = HTTPStatus(error.status)
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    message = {
        HTTPStatus.NOT_FOUND: "there is nothing here",
        HTTPStatus.METHOD_NOT_ALLOWED: f"the method {getattr(error, 'method', '')} isn't allowed"
        " here, see Allow",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: too_large().message,
    }.get(status, status.phrase)
    return ApiError(status, status.phrase.lower().replace(" ", "_"), message, headers=headers)
