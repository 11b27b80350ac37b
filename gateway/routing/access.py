"""Who may ask at all, by address: the lists under ``access``."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class AccessList:
    """Networks that are let in, and networks that aren't."""

    allow: tuple[Network, ...] = ()
    """None lets everybody in."""
    deny: tuple[Network, ...] = ()
    """Beats *allow*."""

    def admits(self, address: bytes) -> bool:
        """Return whether the client at *address*, in its usual notation, may go on.

        What is no address is let in nowhere. An IPv4 address in IPv6 clothing
        (``::ffff:192.0.2.1``) is the address inside; a zone (``%eth0``) is left aside.
        """
        try:
            known = ip_address(address.decode("ascii").partition("%")[0])
        except ValueError:
            return False
        if isinstance(known, IPv6Address) and known.ipv4_mapped is not None:
            known = known.ipv4_mapped
        if _within(known, self.deny):
            return False
        return not self.allow or _within(known, self.allow)


def _within(address: IPv4Address | IPv6Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
