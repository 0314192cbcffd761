"""What is kept of SIP messages: one line each for a call's trace, the whole of the last calls for a capture.

Invariant: no credentials in either, whoever sent them: the values of Authorization and its kin are blanked.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transport.sip import sdp

if TYPE_CHECKING:
    from transport.sip.stack.messages import Flow

_SECRET = re.compile(
    r"^((?:proxy-)?authorization|authentication-info)([ \t]*:[ \t]*\w*)[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*",
    re.IGNORECASE | re.MULTILINE,
)
_CALL_ID = re.compile(r"^(?:call-id|i)[ \t]*:[ \t]*(\S{1,256})", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(r"^cseq[ \t]*:[ \t]*\d+[ \t]+(\S{1,32})", re.IGNORECASE | re.MULTILINE)
_REASON = re.compile(r"^reason[ \t]*:[ \t]*(.{1,120})", re.IGNORECASE | re.MULTILINE)
_LONGEST = 200
_EARLY = 100
_CALLS, _MESSAGES, _CHARACTERS = 20, 200, 20_000


def redacted(text: str) -> str:
    """Return a message with its credentials blanked."""
    return _SECRET.sub(r"\1\2 (hidden)", text)


def call_id(text: str) -> str:
    """Return a message's Call-ID, empty where it has none."""
    match = _CALL_ID.search(text)
    return match[1] if match else ""


def line(text: str) -> str:
    r"""Return a message as one printable line: what it is, and its session description in a few words.

    >>> line("BYE sip:x@192.0.2.1 SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n")
    'BYE sip:x@192.0.2.1'
    """
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    first = head.split("\n", 1)[0]
    if first.startswith("SIP/2.0 "):
        method = _CSEQ.search(head)
        said = first[8:] + (f" to {method[1]}" if method and method[1] != "INVITE" else "")
    else:
        said = first.removesuffix(" SIP/2.0")
    if body.lstrip().startswith("v="):
        said += f" ({sdp.summary(body)})"
    reason = _REASON.search(head)
    if reason is not None:
        said += f" (reason {reason[1].strip()})"
    return "".join(one if " " <= one <= "~" else "?" for one in said)[:_LONGEST]


Trace = Callable[[str, str, str], None]


class Notes:
    """The notes of one call: told to a trace once there is one, and to none after :meth:`close`."""

    def __init__(self) -> None:
        self._trace: Trace | None = None
        self._early: list[tuple[str, str]] = []
        self._closed = False

    @property
    def trace(self) -> Trace | None:
        """Return where notes go."""
        return self._trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._trace = None if self._closed else trace
        if trace is not None:
            for arrow, text in self._early:
                trace(arrow, "sip", text)
            self._early.clear()

    def add(self, arrow: str, text: str) -> None:
        """Note a line: ``>`` we said it, ``<`` we heard it, ``-`` a remark of ours."""
        if self._trace is not None:
            self._trace(arrow, "sip", text)
        elif not self._closed and len(self._early) < _EARLY:
            self._early.append((arrow, text))

    def close(self) -> None:
        """Note no more: whoever took the notes closes their file now."""
        self._closed, self._trace = True, None


@dataclass
class _Kept:
    names: set[str] = field(default_factory=set)
    messages: list[dict[str, Any]] = field(default_factory=list)


class Captures:
    """The messages of the last calls, by Call-ID and by the names that the calls have in the relay; bounded."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, _Kept] = OrderedDict()

    def begin(self, call_id: str, name: str = "") -> None:
        """Keep a call's messages from now on; ``name``: also found by it."""
        kept = self._calls.setdefault(call_id, _Kept())
        if name:
            kept.names.add(name)
        while len(self._calls) > _CALLS:
            self._calls.popitem(last=False)

    def add(self, call_id: str, at: float, text: str, flow: Flow, *, outgoing: bool) -> None:
        """Keep a message of a call that is kept. ``at``: Unix seconds."""
        kept = self._calls.get(call_id)
        if kept is None or len(kept.messages) >= _MESSAGES:
            return
        kept.messages.append(
            {
                "at": round(at, 6),
                "outgoing": outgoing,
                "transport": flow.transport,
                "local": list(flow.local),
                "remote": list(flow.remote),
                "text": redacted(text)[:_CHARACTERS],
            }
        )

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return a call's messages in order, by either name; empty where they are not kept any more."""
        found = [kept.messages for key, kept in self._calls.items() if name and (key == name or name in kept.names)]
        return sorted((one for messages in found for one in messages), key=lambda one: one["at"])
