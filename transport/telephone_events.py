"""Fax tones as telephone events (RFC 4733, RFC 4734) and as G.711 octets. Does no I/O.

A gateway that hears a fax tone may send it as an event instead of the sound: CNG of the calling machine (1100 Hz, T.30
4.2), CED or ANS of the called one (2100 Hz, T.30 4.3.3). Both frequencies repeat after 80 samples at 8 kHz, so a
tone's octets are a table of 80.
"""

from __future__ import annotations

import functools
import math

#: Events of RFC 4734 that are tones here: ANS and its kin (CED sounds like ANS), and CNG.
CED, CNG = 32, 36
_FREQUENCIES = {32: 2100, 33: 2100, 34: 2100, 35: 2100, CNG: 1100}
#: Payload types of G.711 (RFC 3551 table 4).
PCMU, PCMA = 0, 8
#: Silence of a law, one octet.
SILENT = {PCMU: b"\xff", PCMA: b"\xd5"}
_CYCLE = 80
_RATE = 8000
_AMPLITUDE = 8000.0  # about -12 dBm0
_VOLUME = 12  # the same, as an event says it
_EVENT_OCTETS = 4
_END = 0x80
_SEGMENT_BITS = 7


def read(payload: bytes) -> tuple[int, int] | None:
    """Return an event's number and its duration in samples so far, ``None`` for what is no event (RFC 4733 2.3).

    >>> read(bytes.fromhex("24 0c 01 90"))
    (36, 400)
    """
    if len(payload) < _EVENT_OCTETS:
        return None
    return payload[0], payload[2] << 8 | payload[3]


def write(event: int, duration: int, *, ended: bool) -> bytes:
    """Return the payload of an event that lasts ``duration`` samples so far.

    >>> write(CNG, 400, ended=True).hex()
    '248c0190'
    """
    return bytes((event, _VOLUME | (_END if ended else 0))) + min(duration, 0xFFFF).to_bytes(2, "big")


def sound(event: int, at: int, samples: int, payload_type: int) -> bytes:
    """Return ``samples`` octets of an event's tone, whose phase follows from the time ``at``; no tone is silence."""
    frequency = _FREQUENCIES.get(event)
    if frequency is None:
        return SILENT[payload_type] * samples
    start = at % _CYCLE
    return (_cycle(frequency, payload_type) * (samples // _CYCLE + 2))[start : start + samples]


@functools.cache
def _cycle(frequency: int, payload_type: int) -> bytes:
    octet = _u_law if payload_type == PCMU else _a_law
    samples = (round(_AMPLITUDE * math.sin(2 * math.pi * frequency * at / _RATE)) for at in range(_CYCLE))
    return bytes(octet(sample) for sample in samples)


def _u_law(sample: int) -> int:
    """Return the octet of a 16-bit sample (G.711 table 2a)."""
    magnitude = min(abs(sample), 32635) + 132
    segment = magnitude.bit_length() - 8
    step = magnitude >> (segment + 3) & 0x0F
    return ~((0x80 if sample < 0 else 0) | segment << 4 | step) & 0xFF


def _a_law(sample: int) -> int:
    """Return the octet of a 16-bit sample (G.711 table 1a)."""
    magnitude = abs(sample) >> 3 if sample >= 0 else (abs(sample) - 1) >> 3
    segment = max(magnitude.bit_length() - 5, 0)
    step = magnitude >> max(1, segment) & 0x0F
    return ((0x80 if sample >= 0 else 0) | min(segment, _SEGMENT_BITS) << 4 | step) ^ 0x55
