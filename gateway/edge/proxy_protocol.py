"""The PROXY protocol, versions 1 and 2: a load balancer says whose connection this is.

Source: "The PROXY protocol", versions 1 & 2, https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt.
The header stands before everything else, TLS too. It is looked at while it still lies in the
kernel and then taken out of there to the byte, so that whoever serves the connection never
knows that there was one.
"""

import re
import socket
import struct
from ipaddress import ip_address

from gateway.errors import GatewayError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""How version 2 begins."""
LONGEST_BYTES = 16 + 65535
_V1_BYTES = 107
"""The longest line of version 1, its CRLF included."""
_V1 = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP4 ([0-9.]{7,15}) ([0-9.]{7,15}) ([0-9]{1,5}) ([0-9]{1,5})"
    rb"|TCP6 ([0-9A-Fa-f:.]{2,45}) ([0-9A-Fa-f:.]{2,45}) ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)


class NoProxyHeader(GatewayError):
    """What a trusted proxy sent doesn't begin with a PROXY header, or with a broken one."""


class Announced:
    """What a complete header says."""

    __slots__ = ("address", "header_bytes")

    def __init__(self, address: bytes | None, header_bytes: int) -> None:
        self.address = address
        """The client's; None when the proxy speaks for itself, as its health checks do."""
        self.header_bytes = header_bytes


def parse(received: bytes) -> Announced | None:
    """Return what the header at the start of *received* says; None while it is incomplete.

    Raises:
        NoProxyHeader: there is none, or it breaks the protocol.

    """
    if received.startswith(SIGNATURE[: len(received)]):
        return _parse_v2(received)
    if not received.startswith(b"PROXY "[: len(received)]):
        raise NoProxyHeader("it begins with something else")
    end = received.find(b"\r\n", 0, _V1_BYTES)
    if end < 0:
        if len(received) >= _V1_BYTES:
            raise NoProxyHeader("its line is too long")
        return None
    match = _V1.fullmatch(received[: end + 2])
    if match is None:
        raise NoProxyHeader("its line breaks the protocol")
    groups = match.groups()
    four = match[1] is not None
    source, destination, *ports = groups[:4] if four else groups[4:]
    if source is None:
        return Announced(None, end + 2)
    if any(int(port) > 65535 for port in ports):
        raise NoProxyHeader("a port is beyond 65535")
    try:
        known = [ip_address(each.decode("ascii")) for each in (source, destination)]
    except ValueError as error:
        raise NoProxyHeader("an address is none") from error
    if any(each.version != (4 if four else 6) for each in known):
        raise NoProxyHeader("an address is of another family")
    return Announced(str(known[0]).encode(), end + 2)


def _parse_v2(received: bytes) -> Announced | None:
    if len(received) < 16:
        return None
    version_command, family, length = struct.unpack_from("!BBH", received, 12)
    if version_command >> 4 != 2 or version_command & 0xF > 1:
        raise NoProxyHeader("its version or command isn't known")
    total = 16 + length
    if len(received) < total:
        return None
    if version_command & 0xF == 0:
        return Announced(None, total)
    addresses = received[16:total]
    match family >> 4:
        case 1:
            size, form = 12, socket.AF_INET
        case 2:
            size, form = 36, socket.AF_INET6
        case _:
            # Unix sockets and whatever comes after us: the connection stands for itself.
            return Announced(None, total)
    if len(addresses) < size:
        raise NoProxyHeader("its addresses are cut short")
    packed = addresses[: 4 if form is socket.AF_INET else 16]
    text = socket.inet_ntop(form, packed)
    return Announced(text.removeprefix("::ffff:").encode() if "." in text else text.encode(), total)
