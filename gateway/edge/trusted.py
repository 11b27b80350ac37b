"""Where a request that came through trusted proxies comes from.

Any client can send X-Forwarded-For and X-Forwarded-Proto, so they count only on connections
from networks that the rules name. Of a list, each proxy adds the address that it saw: read
from its end, the first one that isn't a trusted proxy is the client.
"""

import re
from ipaddress import IPv6Address, ip_address

from gateway.routing.access import AccessList, Network
from gateway.wire.fields import Fields

_REMEMBERED = 4096
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")
_MOST_ADDRESSES = 32
"""Proxies looked through; a longer list is a client's invention."""


class TrustedProxies:
    """The networks whose word counts."""

    __slots__ = ("_known", "_networks")

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = AccessList(allow=networks) if networks else None
        self._known: dict[bytes, bool] = {}

    def trusts(self, address: bytes) -> bool:
        """Return whether what comes from *address* may say where it comes from."""
        if self._networks is None:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            known = self._known[address] = self._networks.admits(address)
        return known

    def client(self, peer: bytes, fields: Fields) -> bytes:
        """Return the client's address for a request with *fields* from the trusted *peer*.

        Where the list ends in something that is no address, whoever passed that on is the
        client, as far as anybody knows.
        """
        found = peer
        value = fields.get(b"x-forwarded-for")
        if value is None:
            return found
        for element in reversed(value.rsplit(b",", _MOST_ADDRESSES)[-_MOST_ADDRESSES:]):
            address = parse_address(element)
            if address is None:
                return found
            found = address
            if not self.trusts(found):
                return found
        return found


def says_https(fields: Fields) -> bool:
    """Return whether the nearest proxy says that its client used https."""
    value = fields.get(b"x-forwarded-proto")
    return value is not None and value.rpartition(b",")[2].strip(b" \t").lower() == b"https"


def parse_address(text: bytes) -> bytes | None:
    """Return the address that *text* is, in its usual notation; None when it is none.

    A port after it is left out; an IPv4 address in IPv6 clothing is the address inside.
    """
    plain = text.strip(b" \t").decode("latin-1")
    match = _WITH_PORT.fullmatch(plain)
    if match is not None:
        plain = match[1] or match[2]
    try:
        address = ip_address(plain)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address).partition("%")[0].encode()
