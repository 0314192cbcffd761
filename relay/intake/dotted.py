"""The content of DATA: where it ends, and which of its dots are only transparency. Sans-I/O.

Source: RFC 5321 sections 4.1.1.4 and 4.5.2. Invariants:

* only ``CR LF . CR LF`` ends the content. A bare CR or LF never does: whoever disagrees about where a message ends
  can smuggle a second one past a check;
* the decoded bytes do not depend on how the network cut the chunks;
* one pass at the speed of ``bytes.find``, holding back at most four bytes.
"""

from __future__ import annotations

from typing import Final

_CRLF: Final = b"\r\n"
_END: Final = b"\r\n.\r\n"


class DotDecoder:
    """Decodes one DATA command. When :attr:`ended`, :attr:`rest` holds what the client sent behind it."""

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        # The content starts a line, which is as if a line had just ended.
        self._held = _CRLF
        self._ahead = len(_CRLF)

    def feed(self, data: bytes) -> bytes:
        r"""Return the content that ``data`` makes certain.

        >>> decoder = DotDecoder()
        >>> decoder.feed(b"a\r\n..b\r\n.") + decoder.feed(b"\r\nQUIT")
        b'a\r\n.b\r\n'
        >>> decoder.ended, decoder.rest
        (True, b'QUIT')
        """
        raw = self._held + data
        end = raw.find(_END)
        if end >= 0:
            self.ended = True
            self._held, self.rest = b"", raw[end + len(_END) :]
            raw = raw[: end + len(_CRLF)]
        else:
            # What may be the start of an end, or of a stuffed dot, begins with a CR among the last four bytes.
            held = raw.find(b"\r", max(0, len(raw) - len(_END) + 1))
            held = len(raw) if held < 0 else held
            raw, self._held = raw[:held], raw[held:]
        content = raw.replace(b"\r\n.", _CRLF)
        if self._ahead and content:
            content, self._ahead = content[self._ahead :], 0
        return content
