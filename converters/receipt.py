"""What a receipt shows: the sheet that the relay fills in and :mod:`converters.receiptpdf` draws.

Nothing is formatted or computed here or there: every value is text as people read it (times with their zone,
durations, numbers), and an empty text is left out of the page. The sheet is plain JSON, at most 100 KB.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

Status = Literal["sent", "failed", "uncertain", "cancelled", "held"]


class ReceiptTime(TypedDict):
    """One moment of the fax: ``label`` ("Accepted", "First call", "Ended") and ``time`` ("2026-11-21 10:02:11 CET")."""

    label: str
    time: str


class ReceiptAttempt(TypedDict):
    """One call. Codes come with their sentence: ``sip`` as "486 Busy Here", ``t30`` as "0 OK".

    ``number``: "1". ``started``: time with zone. ``ring`` and ``talk``: durations. ``media``: "T.38" or "audio".
    ``speed``: "14400 bit/s". ``coding``: "MMR". ``ecm``: "yes" or "no". ``ecm_retries``: "0". ``outcome``: the call's
    result in one short sentence. ``pages_confirmed``: "2 of 2". ``next``: when the next call was planned for and why.
    """

    number: str
    started: str
    ring: str
    talk: str
    trunk: str
    media: str
    speed: str
    coding: str
    ecm: str
    ecm_retries: str
    sip: str
    t30: str
    outcome: str
    pages_confirmed: str
    next: str


class ReceiptSheet(TypedDict):
    """One receipt.

    ``headline``: what happened, in one sentence for an office worker; ``explanation``: what to do now.
    ``from_number``, ``from_name``, ``from_ident``: who sent it (ident: TSI). ``to_number``: as dialled;
    ``to_display``: as a person writes it; ``remote_ident``: the far machine's CSI. ``pages_confirmed`` and ``pages``:
    "2". ``total_line_time``: "1 min 48 s". ``sha256`` and ``size`` are those of the transmitted image. ``simulated``:
    no telephone line was involved, and the page says so. ``billing``: the code that the sender gave.
    """

    status: Status
    headline: str
    explanation: str
    from_number: str
    from_name: str
    from_ident: str
    to_number: str
    to_display: str
    remote_ident: str
    subject: str
    submission_id: str
    fax_id: str
    times: list[ReceiptTime]
    pages_confirmed: str
    pages: str
    attempts: list[ReceiptAttempt]
    total_line_time: str
    sha256: str
    size: str
    simulated: bool
    billing: NotRequired[str]
