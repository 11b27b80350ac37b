"""The message files: one message each, byte for byte, named for what it is about."""

from pathlib import Path

from gateway.wire import framing
from gateway.wire.framing import Framing
from gateway.wire.head import parse_request_head, parse_response_head
from gateway.wire.message import RequestHead, ResponseHead

_MESSAGES = Path(__file__).parent / "messages"


def messages(folder: str) -> list[Path]:
    """Return the files in *folder*, such as ``requests/refused``."""
    found = sorted((_MESSAGES / folder).glob("*.http"))
    assert found, folder
    return found


def read_request(raw: bytes) -> tuple[RequestHead, Framing]:
    """Read a request head as the edge does: its grammar, then how its body is framed."""
    head = parse_request_head(raw)
    return head, framing.of_request(head.fields, head.minor)


def read_response(raw: bytes, method: bytes = b"GET") -> tuple[ResponseHead, Framing]:
    """Read the head of the response to *method* as an origin's connection does."""
    head = parse_response_head(raw)
    return head, framing.of_response(method, head.status, head.fields, head.minor)
