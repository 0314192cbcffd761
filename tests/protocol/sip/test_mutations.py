"""Messages that were cut, mixed and sprinkled: none raises, none leaves anything behind."""

from __future__ import annotations

import random

import pytest

from .world import pair

_WORDS = (
    b"\r\n", b":", b";", b",", b"<", b">", b'"', b"@", b"\x00", b"\xff", b" ", b"=", b"sip:", b"tel:", b"z9hG4bK",
    b"9" * 20, b"-1", b"\xe2\x80\xa8", b"Content-Length: ", b"tag=", b"%00", b"\r\n ", b"Via: ", b"SIP/2.0 ",
    b"Record-Route: <", b"Contact: *", b"Expires: ", b"multipart/mixed;boundary=x",
)  # fmt: skip


def _mutated(message: bytes, rng: random.Random) -> bytes:
    data = bytearray(message)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) or 1)
        match rng.randrange(4):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                data[at:at] = rng.choice(_WORDS)
            case 2:
                del data[at : at + rng.randint(1, 30)]
            case _:
                lines = bytes(data).split(b"\r\n")
                rng.shuffle(lines)
                data = bytearray(b"\r\n".join(lines))
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_no_mutated_message_raises_or_is_kept(seed: int) -> None:
    """Lost otherwise: one malformed datagram stops the line, or a flood of them fills its memory."""
    rng = random.Random(seed)
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    assert near.dialog is not None
    near.dialog.offer("v=0\r\nc=IN IP4 192.0.2.1\r\nm=image 5 udptl t38\r\n")
    world.run(1)
    near.dialog.bye()
    world.run(1)
    seeds = [text.encode() for text in world.sent]
    seeds += [seeds[0].replace(b"INVITE", method) for method in (b"OPTIONS", b"REGISTER", b"UPDATE", b"CANCEL", b"ACK")]
    near.invite(way)
    assert way.back is not None
    for number in range(1500):
        end, flow = rng.choice(((near, way), (far, way.back)))
        end.station.receive(_mutated(rng.choice(seeds), rng), flow)
        if number % 50 == 0:
            world.run(1)
            world.sent.clear()
    for end in (near, far):
        if end.dialog is not None:
            end.dialog.bye()
    world.run(500)
    assert near.station.transactions.tclient == far.station.transactions.tclient == {}
    assert near.station.transactions.tserver == far.station.transactions.tserver == {}
    assert near.station.dialogs + far.station.dialogs <= 1500, "dialogs that an INVITE of the mutations began"
