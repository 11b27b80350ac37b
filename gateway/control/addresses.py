"""Addresses to listen on: read from flags, bound, and explained when they can't be.

A worker's listening socket is made here, in the supervisor, and outlives the worker: the
kernel resets the connections that wait on a listening socket when its last holder closes
it, so a socket that the supervisor holds too loses none while its worker is restarted.
"""

import errno
import ipaddress
import os
import socket
from dataclasses import dataclass

from gateway.errors import ConfigurationError

_BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    """A name or an address, without brackets."""
    port: int
    """0 lets the kernel choose a free one."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """Read ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT``, which is every IPv4 interface.

    Raises ConfigurationError.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or (":" in host and not bracketed) or (bracketed and not host):
        raise ConfigurationError(
            f'expected HOST:PORT such as 127.0.0.1:8080 or [::1]:8080, got "{text}"'
        )
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise ConfigurationError(f'expected a port from 0 to 65535 after the colon, got "{text}"')
    return Address(host or "0.0.0.0", int(port))  # noqa: S104 - asked for by name


def bound(listening: socket.socket) -> Address:
    """Return the address that *listening* really has."""
    host, port, *_ = listening.getsockname()
    return Address(host, port)


def listen(address: Address, *, flag: str) -> socket.socket:
    """Return a listening socket that shares *address* with nobody.

    Raises ConfigurationError with what to do; *flag* is the one that names the address.
    """
    listening = _bind(address, flag, shared=False)
    listening.listen(_BACKLOG)
    return listening


def listen_shared(address: Address, count: int, *, flag: str) -> list[socket.socket]:
    """Return *count* listening sockets on one address; the kernel spreads connections.

    Raises ConfigurationError as `listen` does.
    """
    if address.port != 0:
        # SO_REUSEPORT would let us join the sockets of another gateway of the same user,
        # and each would get half of the other's requests. Without it, we hear of them.
        _bind(address, flag, shared=False).close()
    sockets = [_bind(address, flag, shared=True)]
    try:
        actual = Address(address.host, bound(sockets[0]).port)
        sockets += [_bind(actual, flag, shared=True) for _ in range(count - 1)]
    except ConfigurationError:
        for each in sockets:
            each.close()
        raise
    for each in sockets:
        each.listen(_BACKLOG)
    return sockets


def _bind(address: Address, flag: str, *, shared: bool) -> socket.socket:
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(
            f'{flag}: "{address.host}" is neither an address nor a name that can be looked up'
        ) from error
    family, kind, protocol, _, name = found[0]
    taken = socket.socket(family, kind, protocol)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(name)
    except OSError as error:
        taken.close()
        raise ConfigurationError(_explained(address, flag, error)) from error
    taken.setblocking(False)
    return taken


def _explained(address: Address, flag: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is in use by another program; choose another with {flag}"
        case errno.EACCES:
            return (
                f"{address}: permission denied; ports below 1024 need root or "
                f"CAP_NET_BIND_SERVICE, or choose a higher port with {flag}"
            )
        case errno.EADDRNOTAVAIL:
            return f"{address.host} is not an address of this machine; choose another with {flag}"
        case _:
            why = os.strerror(error.errno) if error.errno else str(error)
            return f"cannot listen on {address}: {why}; choose another with {flag}"
