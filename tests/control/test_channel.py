import socket

import pytest

from gateway.control.addresses import Address
from gateway.control.channel import Ask, Begin, Channel, Failed, Message, Settings, Told
from gateway.counters import Counters


def told() -> Told:
    counters = Counters()
    counters.requests["lists", "HIT", 2] = 1
    counters.refused[400] = 2
    counters.origin_latency["hub"].observe(0.1)
    return Told(counters.reading())


@pytest.mark.parametrize(
    "message",
    [
        Begin(Settings("rules.yaml", listen=Address("::1", 1), access_log="-"), "worker 1"),
        Ask(),
        Failed("why"),
        told(),
    ],
    ids=lambda message: type(message).__name__,
)
async def test_a_message_arrives_as_it_was_sent(message: Message) -> None:
    left, right = socket.socketpair()
    here, there = await Channel.over(left), await Channel.over(right)
    here.send(message)

    assert await there.receive() == message
    await here.close()
    await there.close()


async def test_the_end_of_the_other_side_is_none_and_sending_to_it_is_silent() -> None:
    left, right = socket.socketpair()
    here, there = await Channel.over(left), await Channel.over(right)
    await there.close()

    assert await here.receive() is None
    here.send(Ask())
    here.send(Ask())
    await here.close()


async def test_nonsense_ends_the_conversation() -> None:
    left, right = socket.socketpair()
    there = await Channel.over(right)
    left.sendall(b"\x00\x00\x00\x03abc")

    assert await there.receive() is None
    left.close()
    await there.close()
