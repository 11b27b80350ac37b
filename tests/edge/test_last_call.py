"""Whoever has connected when a gateway ends is served; who comes later asks again."""

import socket
import time

import pytest

from gateway.edge.last_call import take_no_more


@pytest.fixture
def listening() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(5)
    return listening


def test_who_has_connected_is_still_accepted(listening: socket.socket) -> None:
    with socket.create_connection(listening.getsockname()) as client:
        assert take_no_more(listening)
        client.sendall(b"GET / HTTP/1.1\r\n")

        accepted, _ = listening.accept()
        with accepted, listening:
            assert accepted.recv(100) == b"GET / HTTP/1.1\r\n"


def test_who_comes_later_waits_instead_of_being_reset(listening: socket.socket) -> None:
    address = listening.getsockname()
    take_no_more(listening)
    with listening, pytest.raises(TimeoutError):
        socket.create_connection(address, timeout=0.2)


def test_who_waits_reaches_the_next_who_listens_there(listening: socket.socket) -> None:
    address = listening.getsockname()
    take_no_more(listening)
    with socket.socket() as waiting:
        waiting.setblocking(False)
        waiting.connect_ex(address)
        listening.close()
        with socket.create_server(address) as following:
            following.settimeout(5)
            began = time.monotonic()
            accepted, _ = following.accept()
            accepted.close()
    # Asked again after the first retransmission timeout, which is a second.
    assert time.monotonic() - began < 4
