"""SIP messages out of a stream (RFC 3261 18.3: Content-Length; RFC 5626 3.5.1: keep-alives). Sans-I/O.

Invariant: no more is kept than one message of the largest size.
"""

from __future__ import annotations

import re

LARGEST_HEAD = 32768
LARGEST_BODY = 32768
_LENGTH = re.compile(rb"(?:^|\n)(?:content-length|l)[ \t]*:[ \t]*([0-9]{1,9})[ \t]*\r?(?:\n|$)", re.IGNORECASE)
_END = b"\r\n\r\n"


class BadStream(Exception):
    """What comes is no SIP, or too large: the stream cannot be read on."""


class Framer:
    """Cuts a stream into messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.pings = 0

    @property
    def waiting(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came and return the messages that it completes; raises :class:`BadStream`.

        A keep-alive (an empty line twice) is counted in :attr:`pings`, for the caller to answer with an empty line.
        """
        buffer = self._buffer
        buffer += data
        found: list[bytes] = []
        while buffer:
            while buffer.startswith(b"\r\n"):
                if buffer.startswith(_END):
                    self.pings += 1
                    del buffer[:4]
                elif len(buffer) == 2:  # noqa: PLR2004  half a keep-alive, or the answer to ours
                    del buffer[:]
                else:
                    del buffer[:2]
            end = buffer.find(_END, 0, LARGEST_HEAD)
            if end < 0:
                if len(buffer) >= LARGEST_HEAD:
                    raise BadStream("a header without an end")
                break
            match = _LENGTH.search(buffer, 0, end + 2)
            if match is None:
                raise BadStream("a message without Content-Length")
            length = int(match[1])
            if length > LARGEST_BODY:
                raise BadStream("a body too large")
            total = end + 4 + length
            if len(buffer) < total:
                break
            found.append(bytes(buffer[:total]))
            del buffer[:total]
        return found
