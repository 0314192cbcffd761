"""What the line asks of a media worker, and what the worker answers at the call's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transport.causes import Hangup  # noqa: TC001  messages.decode reads the fields' types

if TYPE_CHECKING:
    from transport.seam import CallRequest


@dataclass(frozen=True, slots=True)
class Order:
    """A call to carry. ``pages`` of the document; ``None``: receive. The rest as in :class:`.seam.CallRequest`."""

    call: str
    pages: int | None
    t38: bool
    ident: str
    ecm: bool = True
    max_rate: int = 14400
    seconds: float = 1800.0

    @property
    def sending(self) -> bool:
        """Whether we are the sender, and so the caller."""
        return self.pages is not None

    @classmethod
    def to_send(cls, request: CallRequest, *, t38: bool) -> Order:
        """Return the order of an outbound call that was answered."""
        return cls(
            call=request.call,
            pages=request.pages,
            t38=t38,
            ident=request.ident,
            ecm=request.ecm,
            max_rate=request.max_rate,
            seconds=request.seconds,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the media ended: what a call's result is made of, beside what the line knows. ``seconds`` of call time.

    ``code`` is libspandsp's completion code, ``reason`` its sentence, or ours where ``hangup`` is our doing.
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
