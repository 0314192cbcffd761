"""What the simulated network does to media: loss, noise, broken bits. Seeded, so that a call can be repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from transport.spandsp import SAMPLES

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

#: Noise that no fast modem gets through (root mean square, 16-bit steps; a modem's signal has about 4000).
LOUD = 4000.0
_SECONDS_OF_NOISE = 4
_SILENT = 200  # peak of a block, in 16-bit steps

# T.38 IFP packet, version 0 (T.38 7.2): type octet, count of fields, type of the field, two octets of length, data.
_IS_DATA, _MODEM, _NON_ECM, _HEAD = 0xC0, 0x1E, 0xE0, 5


def lossy(share: float, rng: random.Random) -> Callable[[list[bytes]], list[bytes]]:
    """Return what passes datagrams on but for a share of them."""
    if share == 0.0:
        return lambda datagrams: datagrams
    return lambda datagrams: [datagram for datagram in datagrams if rng.random() >= share]


def break_image(packet: bytes) -> bytes:
    """Return an IFP packet with the image or training bits of a fast modem broken; others as they are."""
    fast = len(packet) > _HEAD and packet[0] & _IS_DATA == _IS_DATA and packet[0] & _MODEM != 0
    if fast and packet[2] == _NON_ECM:
        return packet[:_HEAD] + bytes(octet ^ 0x5A for octet in packet[_HEAD:])
    return packet


class Noise:
    """White noise of a strength (root mean square, in 16-bit steps)."""

    def __init__(self, strength: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._samples = rng.normal(0.0, strength, 8000 * _SECONDS_OF_NOISE).astype(np.int32)
        self._at = 0

    def block(self) -> bytes:
        """Return 20 ms of noise alone."""
        return self._next().astype(np.int16).tobytes()

    def add(self, block: bytes) -> bytes:
        """Return a block of samples with noise on it; silence stays, or no modem would ever hear a carrier end."""
        samples = np.frombuffer(block, np.int16)
        if not samples.max(initial=0) > _SILENT:
            return block
        return (samples + self._next()).clip(-32768, 32767).astype(np.int16).tobytes()

    def _next(self) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        start, self._at = self._at, (self._at + SAMPLES) % len(self._samples)
        return self._samples[start : start + SAMPLES]


def speech(seed: int) -> list[bytes]:
    """Return some seconds of what sounds like a person to a modem: pitch, overtones, syllables, pauses."""
    time = np.arange(8000 * 8) / 8000
    syllables = (np.sin(2 * np.pi * 3.1 * time) > 0) & (np.sin(2 * np.pi * 0.4 * time) > 0)
    pitch = 120 + 30 * np.sin(2 * np.pi * 0.7 * time)
    voice = sum(np.sin(2 * np.pi * overtone * np.cumsum(pitch) / 8000) / overtone for overtone in (1, 2, 3, 5, 8, 13))
    breath = np.random.default_rng(seed).normal(0.0, 200.0, len(time))
    samples = (voice * syllables * 4000 + breath).clip(-32768, 32767).astype(np.int16)
    return [samples[at : at + SAMPLES].tobytes() for at in range(0, len(samples), SAMPLES)]
