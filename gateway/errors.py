"""What can go wrong, as names with a status.

Raised at the place that knows, caught at the one place that answers the client. The text
of an error is for people: what is wrong, and where they can act, what to do.
"""

from collections.abc import Mapping
from http import HTTPStatus


class GatewayError(Exception):
    """The root of every error that the gateway raises on purpose."""


class RequestRefused(GatewayError):
    """A request that we will not act on; it ends the connection it came on."""

    status: HTTPStatus = HTTPStatus.BAD_REQUEST

    def __init__(self, text: str, status: HTTPStatus | None = None) -> None:
        super().__init__(text)
        if status is not None:
            self.status = status


class MalformedRequest(RequestRefused):
    """The bytes are no HTTP/1.1 request (RFC 9112 section 2.2)."""


class BodyTooLarge(RequestRefused):
    """A request's body is longer than its route takes."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    def __init__(self, limit: int) -> None:
        """*limit* is in bytes."""
        super().__init__(f"the body is larger than {limit} bytes")


class MalformedMessage(GatewayError):
    """A message from an origin broke the grammar or its own framing (RFC 9112)."""


class ExchangeFailed(GatewayError):
    """A request went to an origin and no complete response head came back."""

    status = HTTPStatus.BAD_GATEWAY
    reason = "origin-failed"
    """A word for logs and metrics."""


class OriginUnreachable(ExchangeFailed):
    """No connection to the endpoint could be opened: refused, unroutable, no such name."""

    reason = "origin-unreachable"


class OriginConnectTimeout(ExchangeFailed):
    """The connection wasn't open within ``timeouts.connect``."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    reason = "origin-connect-timeout"


class OriginTooSlow(ExchangeFailed):
    """The response head didn't arrive within ``timeouts.first_byte``."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    reason = "origin-too-slow"


class OriginHungUp(ExchangeFailed):
    """The connection closed before a complete response head."""

    reason = "origin-hung-up"


class OriginSpokeNonsense(ExchangeFailed):
    """The response head was malformed or framed in two ways at once."""

    reason = "origin-malformed"


class OriginBusy(ExchangeFailed):
    """Every connection is in use and the queue for one is full or too slow."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "origin-busy"


class OriginDown(ExchangeFailed):
    """No endpoint should get requests, and the rules want them refused then."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    reason = "origin-down"


class ResponseTruncated(GatewayError):
    """A response body ended before its framing said so; what came is not complete."""


class ConfigurationError(GatewayError):
    """Rules, flags or environment that can't be used; the text is shown as it stands."""


class UnusableRules(ConfigurationError):
    """Rules that can't be used, of whatever file they are made."""

    def __init__(self, text: str, files: Mapping[str, bytes]) -> None:
        """*files* are those that the rules refer to, by path, as they were read."""
        super().__init__(text)
        self.files = dict(files)
