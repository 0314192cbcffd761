"""What the line asks of a media worker: the call, its media; and what the worker answers at the call's end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from transport.causes import Hangup  # noqa: TC001  messages.decode reads the fields' types

if TYPE_CHECKING:
    from transport.seam import CallRequest


class MediaKind(Enum):
    """How a call's media travel: in lock-step with the simulated network, or as packets."""

    LOCKSTEP_AUDIO = "lockstep_audio"
    LOCKSTEP_T38 = "lockstep_t38"
    RTP = "rtp"
    UDPTL = "udptl"


class ErrorCorrection(Enum):
    """What the far end takes as error correction of UDPTL (T38FaxUdpEC: T.38 annex D.2.3.5)."""

    NONE = "none"
    REDUNDANCY = "redundancy"
    FEC = "fec"


@dataclass(frozen=True, slots=True)
class Media:
    """The media that both sides agreed on. Those of a lock-step have a kind alone.

    ``host`` and ``port``: where the far end wants them. RTP: ``payload_type`` 0 (u-law) or 8 (A-law) is what we send,
    ``events`` the payload type of telephone events (RFC 4733), ``None`` without them; ``held``: the far end does not
    want to hear us now (``inactive``, ``recvonly``... or a connection address of zeros). UDPTL: ``max_datagram`` in
    bytes (T38FaxMaxDatagram).
    """

    kind: MediaKind
    host: str = ""
    port: int = 0
    payload_type: int = 8
    events: int | None = None
    held: bool = False
    max_datagram: int = 400
    error_correction: ErrorCorrection = ErrorCorrection.REDUNDANCY

    @property
    def t38(self) -> bool:
        """Whether these are T.38's."""
        return self.kind in (MediaKind.LOCKSTEP_T38, MediaKind.UDPTL)


@dataclass(frozen=True, slots=True)
class Order:
    """A call to carry. ``pages`` of the document; ``None``: receive. The rest as in :class:`.seam.CallRequest`."""

    call: str
    pages: int | None
    media: Media
    ident: str
    ecm: bool = True
    max_rate: int = 14400
    seconds: float = 1800.0

    @property
    def sending(self) -> bool:
        """Whether we are the sender, and so the caller."""
        return self.pages is not None

    @classmethod
    def to_send(cls, request: CallRequest, media: Media) -> Order:
        """Return the order of an outbound call that was answered."""
        return cls(
            call=request.call,
            pages=request.pages,
            media=media,
            ident=request.ident,
            ecm=request.ecm,
            max_rate=request.max_rate,
            seconds=request.seconds,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the media ended: what a call's result is made of, beside what the line knows. ``seconds`` of call time.

    ``code`` is libspandsp's completion code, ``reason`` its sentence, or ours where ``hangup`` is our doing. ``t38``:
    the call ended in T.38. ``fine``: whether the far machine's DIS takes fine pages, ``None`` if it sent none.
    ``heard``: packets that came in the media the call ended in; none in an answered call is one-way media.
    ``subaddress``: what a calling machine asked for (SUB).
    """

    hangup: Hangup
    confirmed: int = 0
    contact: bool = False
    trained: bool = False
    last_page: bool = False
    code: int | None = None
    reason: str = ""
    bit_rate: int = 0
    modem: str = ""
    coding: str = ""
    ecm: bool = False
    retries: int = 0
    bad_rows: int = 0
    remote_ident: str = ""
    seconds: float = 0.0
    page_seconds: tuple[float, ...] = ()
    media_lost: int = 0
    t38: bool = False
    fine: bool | None = None
    heard: int = 0
    subaddress: str = ""
