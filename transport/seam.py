"""The seam between the relay and its lines: what a call is asked to do, what it reports, how it ends.

Every kind of line (simulated, SIP) stands behind :class:`Line`. Words are those of ITU-T T.30: MCF is the far
machine's confirmation of a page, EOP the sender's "that was the last page" (PPS-EOP with error correction), TSI and
CSI the idents of the sending and the called machine.

Invariants: a result's ``pages_confirmed`` counts MCFs and never the pages of the file; ``cause`` is
:attr:`Cause.CONFIRMED` only if the far machine confirmed every page; ``last_page_offered`` is true from before the
frame that offers the last page left (the journal has it on disk first), so that "offered and not confirmed" is known
even of a worker that was killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from transport.accounts import DeviceAccount, TrunkAccount
    from transport.screening import Screen


class Cause(Enum):
    """Why a call ended: the closed list."""

    CONFIRMED = "confirmed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    BAD_NUMBER = "bad_number"
    REJECTED = "rejected"
    NOT_FAX = "not_fax"
    TRAINING = "training"
    PAGE_FAILED = "page_failed"
    DOCUMENT = "document"
    LOST_CALL = "lost_call"
    TRUNK_DOWN = "trunk_down"
    CANCELLED = "cancelled"
    LOCAL = "local"


class T38Mode(Enum):
    """Whether a call may use T.38: when the far side offers it, only with it, or never."""

    AUTO = "auto"
    PREFER = "prefer"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call to make. ``call`` names it in the journal and for cancelling (letters, digits, ``-``).

    ``document``: a fax TIFF of ``pages`` pages (fully decoded and checked by its maker). ``destination`` and
    ``caller`` are E.164 with ``+``; ``ident`` is the TSI (at most 20 characters of T.30's set). ``max_rate`` in
    bit/s. ``seconds``: the longest the call may last.
    """

    call: str
    trunk: str
    destination: str
    caller: str
    ident: str
    document: Path
    pages: int
    t38: T38Mode = T38Mode.AUTO
    ecm: bool = True
    max_rate: int = 14400
    seconds: float = 1800.0


@dataclass(frozen=True, slots=True)
class Ringing:
    """The far end is being alerted."""

    call: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end answered; talk time starts."""

    call: str
    t38: bool


@dataclass(frozen=True, slots=True)
class Negotiated:
    """Both machines agreed (phase B). ``remote_ident``: the far machine's CSI or TSI as it sent it, printable ASCII.

    ``subaddress``: what a calling machine asked for (SUB), likewise; empty where it asked for nothing.
    """

    call: str
    bit_rate: int
    ecm: bool
    remote_ident: str
    subaddress: str = ""


@dataclass(frozen=True, slots=True)
class PageConfirmed:
    """Page ``page`` (1 is the first) was confirmed: by the far machine when sending, by us when receiving."""

    call: str
    page: int
    pages: int | None


@dataclass(frozen=True, slots=True)
class T38Started:
    """Audio gave way to T.38."""

    call: str


CallEvent = Ringing | Answered | Negotiated | PageConfirmed | T38Started


@dataclass(frozen=True, slots=True)
class CallResult:
    """How one call ended, outbound or inbound.

    ``sip_code`` and ``t30_code``: the raw codes, ``None`` where there was none; their sentences are in
    ``sip_reason`` and ``t30_reason``. Durations in seconds. ``coding``: ``MH``, ``MR``, ``MMR`` or empty.
    ``modem``: ``V.17``, ``V.29``, ``V.27ter`` or empty. ``media_lost``: packets lost that nothing repaired.
    ``alerted``: the far end rang or answered, so that the trunk had carried the call to it. ``fine``: whether the far
    machine takes fine pages, ``None`` if it did not say. ``heard``: packets of media that came. ``worker_died``: the
    media worker died in the call. ``line_full``: every channel of the trunk was taken, and nothing was dialled.
    ``simulated``: no telephone line was involved; whatever shows this result must say so. ``subaddress``: see
    :class:`Negotiated`.
    """

    call: str
    cause: Cause
    pages_confirmed: int
    last_page_offered: bool
    simulated: bool
    sip_code: int | None = None
    sip_reason: str = ""
    t30_code: int | None = None
    t30_reason: str = ""
    bit_rate: int = 0
    modem: str = ""
    coding: str = ""
    ecm: bool = False
    retries: int = 0
    bad_rows: int = 0
    remote_ident: str = ""
    ring_seconds: float = 0.0
    talk_seconds: float = 0.0
    page_seconds: tuple[float, ...] = ()
    t38: bool = False
    media_lost: int = 0
    alerted: bool = False
    fine: bool | None = None
    heard: int = 0
    worker_died: bool = False
    line_full: bool = False
    subaddress: str = ""

    @property
    def too_fine(self) -> bool:
        """Whether the far machine does not take pages of this resolution (T.30 table 2, bits 15 and 41)."""
        return self.cause is Cause.DOCUMENT and self.t30_code == _RESOLUTION_REFUSED


#: libspandsp 0.0.6: "Far end cannot receive at the resolution of the image".
_RESOLUTION_REFUSED = 11


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line of a call's trace: a SIP message, a T.30 frame, a change of media.

    ``at``: seconds since the journal was opened. ``arrow``: ``>`` we said it, ``<`` we heard it, ``-`` a note of ours.
    ``layer``: ``sip``, ``t30`` or ``media``. ``text``: one printable line, without secrets.
    """

    at: float
    arrow: str
    layer: str
    text: str


@dataclass(frozen=True, slots=True)
class ReceivedPage:
    """One confirmed page as it came: a G4 strip (T.6, photometric 0, FillOrder 2), still not to be trusted.

    ``width`` and ``height`` in pixels, resolutions in dots per inch, ``strip`` the compressed rows.
    """

    page: int
    width: int
    height: int
    x_resolution: float
    y_resolution: float
    strip: bytes


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a call's journal proves, read after the call or after the death of its worker.

    ``complete``: the worker wrote its end, so that ``result`` is its own word. ``readable`` is false for a journal
    that cannot be trusted; ``last_page_offered`` is then true, since nobody can say that it was not. ``whole``: the
    last page of an inbound fax was confirmed, whatever came after.
    """

    readable: bool
    complete: bool
    last_page_offered: bool
    pages_confirmed: int
    result: CallResult | None
    pages: tuple[ReceivedPage, ...] = ()
    trace: tuple[TraceEntry, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Arriving:
    """A line rings for ``number``: the relay records it. ``caller`` may be empty; both E.164 with ``+``.

    ``device``: one of our own devices calls, and its pages shall be faxed to ``number``.
    """

    call: str
    trunk: str
    number: str
    caller: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An inbound call ended; its confirmed pages stand in its journal (:attr:`journal`) until :meth:`Line.forget`."""

    call: str
    result: CallResult
    journal: Path


Arrival = Arriving | T38Started | Negotiated | PageConfirmed | Arrived


@dataclass(frozen=True, slots=True)
class LineTable:
    """What main pushes to a line: the numbers it answers, how many calls each may take at once, its accounts.

    ``screens``: whom it does not answer.
    """

    numbers: frozenset[str] = frozenset()
    inbound_channels: Mapping[str, int] = field(default_factory=dict)
    trunks: tuple[TrunkAccount, ...] = ()
    devices: tuple[DeviceAccount, ...] = ()
    screens: tuple[Screen, ...] = ()


class LineDown(Exception):
    """The line's process is gone or does not answer: nothing is known of the call but what its journal proves."""


class Line(Protocol):
    """One kind of line. Each call's journal is a file of its own that outlives the worker and the line."""

    @property
    def name(self) -> str:
        """The line's name, as settings and receipts show it."""

    @property
    def channels(self) -> Mapping[str, int]:
        """How many calls each trunk and each device (``device:NAME``) carries at once; changes with :meth:`publish`."""

    async def start(self) -> None:
        """Bring the line up; raises :class:`LineDown` if that fails."""

    async def close(self) -> None:
        """Hang up what is left and end the line's processes."""

    async def publish(self, table: LineTable) -> None:
        """Replace the table of numbers that the line answers."""

    async def trouble(self) -> str | None:
        """Return what keeps the line from carrying calls, in words; ``None`` when it is up."""

    async def send(self, request: CallRequest, on_event: Callable[[CallEvent], None]) -> CallResult:
        """Make one call and return how it ended. ``on_event`` is called in order, in the caller's loop.

        Raises :class:`LineDown` when the line died meanwhile: read the journal.
        """

    async def cancel(self, call: str) -> None:
        """Hang up a call; its :meth:`send` returns what had been confirmed by then."""

    async def ask(self, question: str, name: str = "") -> dict[str, Any]:
        """Ask the line's network what an operator wants to know (``status``, ``test``); raises :class:`LineDown`."""

    def arrivals(self) -> AsyncIterator[Arrival]:
        """Yield what comes in, for as long as the line is up. One reader."""

    async def evidence(self, call: str) -> Evidence:
        """Return what the journal of a call proves, once no process writes it any more.

        Where a writer does not die within half a minute, nothing can be said: not readable.
        """

    def leftovers(self) -> list[Arriving]:
        """Return the inbound calls whose journals a predecessor left behind."""

    def forget(self, call: str) -> None:
        """Delete the journal of a call whose outcome is committed."""
