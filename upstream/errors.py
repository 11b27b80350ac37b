"""What can go wrong, by name: once for the person who starts the hub, once for a client."""

from http import HTTPStatus


class StartFailed(Exception):
    """The hub can't start; the message says what is wrong, where, and what to do."""


class ApiError(Exception):
    """A request is answered with an error; *code* is for programs, the message for people."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Keep the parts; *field* names the input at fault, None when no single one is."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers or {}


def bad_input(message: str, field: str | None = None) -> ApiError:
    """Return the error for input that can't be understood."""
    return ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", message, field=field)


def login_required() -> ApiError:
    """Return the error for a request without a valid session or API key."""
    return ApiError(
        HTTPStatus.UNAUTHORIZED,
        "login_required",
        "log in at /api/auth/login, or send Authorization: Bearer with an API key",
        headers={"WWW-Authenticate": 'Bearer realm="hub"'},
    )


def forbidden(message: str) -> ApiError:
    """Return the error for an identity that is known but may not do this."""
    return ApiError(HTTPStatus.FORBIDDEN, "forbidden", message)


def not_found(message: str) -> ApiError:
    """Return the error for something that isn't there, or not for this organization."""
    return ApiError(HTTPStatus.NOT_FOUND, "not_found", message)


def unavailable(code: str, message: str) -> ApiError:
    """Return the error for a database that can't serve right now; worth trying again soon."""
    return ApiError(HTTPStatus.SERVICE_UNAVAILABLE, code, message, headers={"Retry-After": "1"})
