"""How connections come in: plain or with TLS, and with a PROXY header before that.

Where proxies announce their clients, each connection's first bytes are looked at before
anything else sees it. Everywhere else the event loop accepts by itself, which is faster.
"""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from gateway.edge import proxy_protocol
from gateway.edge.proxy_protocol import NoProxyHeader
from gateway.edge.site import Site
from gateway.edge.tls import HANDSHAKE_SECONDS, SHUTDOWN_SECONDS
from gateway.errors import ConfigurationError

_log = logging.getLogger(__name__)

_ACCEPTED_AT_ONCE = 64
BACKLOG = 4096
"""Connections that may wait to be accepted; the kernel's own limit may be lower."""
_MOST_OPENING = 4096
"""Connections whose header is awaited; further ones are closed."""


class Door(Protocol):
    """Something that accepts connections."""

    def close(self) -> None:
        """Accept no more."""


class Negotiated(asyncio.Protocol):
    """A connection until its handshake has shown which version of HTTP it speaks (ALPN)."""

    def __init__(
        self, http1: Callable[[], asyncio.Protocol], http2: Callable[[], asyncio.Protocol]
    ) -> None:
        self._http1 = http1
        self._http2 = http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the connection over to whoever speaks its version (called by the event loop)."""
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = self._http2() if chosen == "h2" else self._http1()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


async def open_door(
    site: Site,
    listening: socket.socket,
    make: Callable[[bytes], asyncio.Protocol],
    context: ssl.SSLContext | None,
) -> Door:
    """Accept connections on *listening*, with TLS where there is a *context*.

    *make* makes what serves one, for the client's address where a proxy announced it, else
    for an empty one.
    """
    if site.snapshot.listening.proxy_protocol:
        return Doorway(site, listening, make, context)
    return await asyncio.get_running_loop().create_server(
        lambda: make(b""),
        sock=listening,
        backlog=BACKLOG,
        ssl=context,
        ssl_handshake_timeout=None if context is None else HANDSHAKE_SECONDS,
        ssl_shutdown_timeout=None if context is None else SHUTDOWN_SECONDS,
    )


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address that all workers share; raises ConfigurationError."""
    try:
        family, kind, protocol, _, name = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigurationError(f"listen.tls.address: {host}: {error}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(name)
    except OSError as error:
        bound.close()
        raise ConfigurationError(
            f"listen.tls.address: cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}"
        ) from error
    return bound


class Doorway:
    """Accepts on one socket, where a trusted proxy's connections begin with a PROXY header."""

    def __init__(
        self,
        site: Site,
        listening: socket.socket,
        make: Callable[[bytes], asyncio.Protocol],
        context: ssl.SSLContext | None,
    ) -> None:
        self._site = site
        self._listening = listening
        self._make = make
        self._context = context
        self._opening: set[socket.socket] = set()
        listening.setblocking(False)
        listening.listen(BACKLOG)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening, self._accept)

    def close(self) -> None:
        """Accept no more; what is opening now is closed."""
        self._loop.remove_reader(self._listening)
        self._listening.close()
        for sock in tuple(self._opening):
            self._drop(sock)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                sock, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warning("a connection can't be accepted: %s", error.strerror)
                return
            sock.setblocking(False)
            if not self._site.trusted.trusts(str(peer[0]).encode()):
                self._serve(sock, None)
            elif len(self._opening) >= _MOST_OPENING:
                sock.close()
            else:
                self._await_header(sock)

    def _await_header(self, sock: socket.socket) -> None:
        self._opening.add(sock)
        limit = self._site.snapshot.limits.head_timeout
        timer = self._loop.call_later(limit, self._drop, sock)
        self._loop.add_reader(sock, self._look, sock, timer)

    def _look(self, sock: socket.socket, timer: asyncio.TimerHandle) -> None:
        try:
            received = sock.recv(proxy_protocol.LONGEST_BYTES, socket.MSG_PEEK)
            announced = proxy_protocol.parse(received) if received else None
            if announced is None and received:
                # The rest may come at once; until it does, peeking would go round in circles.
                self._wait_for_more(sock, timer)
                return
            if announced is None:
                raise NoProxyHeader("it closed before a header")
            sock.recv(announced.header_bytes)
        except (BlockingIOError, InterruptedError):
            return
        except (OSError, NoProxyHeader) as error:
            timer.cancel()
            self._drop(sock)
            self._site.trouble("(clients)", "proxy-protocol", f"no PROXY header: {error}")
            return
        timer.cancel()
        self._opening.discard(sock)
        self._loop.remove_reader(sock)
        self._serve(sock, announced.address)

    def _wait_for_more(self, sock: socket.socket, timer: asyncio.TimerHandle) -> None:
        self._loop.remove_reader(sock)

        def again() -> None:
            if sock in self._opening:
                self._loop.add_reader(sock, self._look, sock, timer)

        self._loop.call_later(0.01, again)

    def _drop(self, sock: socket.socket) -> None:
        if sock in self._opening:
            self._opening.discard(sock)
            self._loop.remove_reader(sock)
            sock.close()

    def _serve(self, sock: socket.socket, address: bytes | None) -> None:
        self._site.background.spawn(
            self._connect(sock, address or b""), name="a connection that begins"
        )

    async def _connect(self, sock: socket.socket, address: bytes) -> None:
        secure = self._context is not None
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._make(address),
                sock,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS if secure else None,
                ssl_shutdown_timeout=SHUTDOWN_SECONDS if secure else None,
            )
        except OSError:
            # A handshake that failed is the client's business, and closed the socket.
            sock.close()
