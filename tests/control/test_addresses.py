import socket

import pytest

from gateway.control.addresses import Address, bound, listen, listen_shared, parse
from gateway.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:8080", Address("::1", 8080)),
        (":8080", Address("0.0.0.0", 8080)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    assert parse(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "127.0.0.1", "::1:8080", "[]:80", "h:", "h:-1", "h:65536", "h:8x", "h:٣"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected") as raised:
        parse(text)

    assert f'got "{text}"' in str(raised.value)


def test_an_address_is_written_as_a_url_needs_it() -> None:
    assert str(Address("::1", 8080)) == "[::1]:8080"
    assert str(Address("127.0.0.1", 8080)) == "127.0.0.1:8080"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert Address(host, 1).is_loopback is loopback


def test_port_0_gives_every_worker_a_socket_on_the_same_free_port() -> None:
    sockets = listen_shared(Address("127.0.0.1", 0), 3, flag="--listen")
    ports = {bound(each).port for each in sockets}
    for each in sockets:
        each.close()

    assert len(sockets) == 3
    assert len(ports) == 1
    assert ports != {0}


def test_an_address_of_another_machine_is_explained() -> None:
    with pytest.raises(ConfigurationError, match="is not an address of this machine"):
        listen(Address("192.0.2.1", 0), flag="--listen")


def test_a_name_that_does_not_exist_is_explained() -> None:
    with pytest.raises(ConfigurationError, match='--listen: "no such host" is neither'):
        listen(Address("no such host", 0), flag="--listen")


def test_a_port_that_is_only_bound_counts_as_taken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        taken = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ConfigurationError, match="in use by another program"):
            listen_shared(taken, 2, flag="--listen")
