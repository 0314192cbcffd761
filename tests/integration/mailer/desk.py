"""A relay's store and blobs with faxes that have ended, and a mail lane on them: real rows, and nothing is drawn."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from relay.fax import Direction, Inbound, Outbound
from relay.ledger import submit
from relay.mailer.compose import Identity
from relay.mailer.enclosures import Enclosures
from relay.mailer.lane import MailLane
from relay.mailer.language import Languages
from relay.mailer.maildir import Maildir
from relay.outbox import Outbox
from relay.store import faxes, queue, schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.tables import attempt, document
from relay.submission import File, Recipient, Submission
from relay.web.links import Action, Links
from transport.messages import encode
from transport.seam import CallResult, Cause

if TYPE_CHECKING:
    from collections.abc import Sequence
    from email.message import EmailMessage

    from converters import Paper
    from relay.ids import IdSource
    from relay.mailer.letter import Carrier
    from relay.outbox import Lane

NOW = 1_790_000_000.0
LINKS = Links(b"k" * 32, life=604_800.0)
OFFICE_A, OFFICE_B = "+97231234567", "+97237654321"
PNG = b"\x89PNG picture"


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Drawing:
    """A converter that writes down what it was asked to draw. ``fault`` is raised instead."""

    def __init__(self) -> None:
        self.sheets: list[Any] = []
        self.pages: list[list[int]] = []
        self.fault: Exception | None = None

    async def receipt_pdf(
        self,
        sheet: Any,
        language: str,
        output: Path,
        *,
        paper: Paper,
        fax: Path | None = None,
        pages: Sequence[int] = (),
    ) -> None:
        """Write a PDF of a sort."""
        if self.fault is not None:
            raise self.fault
        self.sheets.append(sheet)
        self.pages.append(list(pages) if fax else [])
        output.write_bytes(f"%PDF receipt {language} {paper.value}".encode())

    async def to_pdf(self, fax: Path, output: Path, title: str) -> None:
        """Write a PDF of a sort."""
        output.write_bytes(f"%PDF {title} ".encode() + fax.read_bytes())

    async def thumbnails(self, fax: Path, pages: Sequence[int], width: int) -> list[bytes]:
        """Return one picture."""
        if self.fault is not None:
            raise self.fault
        assert fax.exists()
        assert width
        return [PNG for _ in pages]


class Desk:
    """Makes faxes that have ended, and runs the outbox on them step by step."""

    def __init__(self, folder: Path, ids: IdSource, store: Store | None = None) -> None:
        """``store``: an open one that is not ours to close; SQLite in the folder unless given."""
        self.folder = folder
        self.store = store or Store(f"sqlite:///{folder / 'faxrelay.db'}")
        if store is None:
            schema.upgrade(self.store.engine)
        self.blobs = LocalBlobs(folder / "blobs")
        self.ids, self.clock, self.drawing = ids, Clock(), Drawing()
        self.enclosures = Enclosures(self.drawing, self.blobs)  # type: ignore[arg-type]  # a stand-in

    def lane(self, carrier: Carrier | None = None, **more: Any) -> MailLane:
        """Return a mail lane, into a Maildir unless told otherwise."""
        return MailLane(
            self.store, carrier or Maildir(self.folder / "mail"), self.enclosures, Languages(),
            Identity("fax@fax.example.com", "Fax relay"),
            lambda fax_id, at: (f"http://127.0.0.1:8080/link/resend/{fax_id}", at + 604_800),
            lambda answer, fax_id, position, until: LINKS.answer(
                "http://127.0.0.1:8080", Action(answer), fax_id, position, until
            ),
            hostname="fax.example.com", zone=UTC, **more,
        )  # fmt: skip

    def outbox(self, *lanes: Lane, lease: float = 300.0) -> Outbox:
        """Return an outbox of the lanes, whose claims hold for ``lease`` seconds."""
        claim = queue.Lease("node-test", seconds=lease)
        return Outbox(self.store, self.ids, self.clock, lanes, lease=claim, spread=random.Random(1), poll=0.02)

    def mail_all(self, carrier: Carrier | None = None, **more: Any) -> None:
        """Route everything that happened and deliver everything that is due."""
        self.mail_with(self.lane(carrier, **more))

    def mail_with(self, lane: Lane) -> None:
        """Route everything that happened to one lane and deliver everything that is due."""
        outbox = self.outbox(lane)

        async def work() -> None:
            while await outbox.route() or await outbox.step(lane):
                pass

        asyncio.run(work())

    def mails(self) -> list[EmailMessage]:
        """Return the mails in the Maildir, oldest first."""
        return [
            message_from_bytes(path.read_bytes(), policy=policy.default)
            for path in sorted((self.folder / "mail" / "new").glob("*"))
        ]

    def rows(self, table: sa.Table) -> list[sa.Row[Any]]:
        """Return a table's rows by their first column."""
        return self.store.read_now(lambda c: list(c.execute(sa.select(table).order_by(next(iter(table.c))))))

    def sent(self, *results: CallResult, pages: int = 2, ends: bool = True, **more: Any) -> int:
        """Make a fax that was dialled as often as there are results, five minutes apart, and return its id.

        Unless it ``ends``, it waits for another call.
        """
        settings = more.pop("settings", {})
        asked = Submission(
            **{
                "source": "smtp", "sender": "user@example.com", "proof": "network", "number": OFFICE_A,
                "subject": "Offer 4711", "files": (File("a.pdf", "application/pdf", 3, self.blobs.put(b"pdf").name),),
                "recipients": (Recipient(OFFICE_B, f"{OFFICE_B}@fax.example.com"),), "settings": settings,
                "message_id": "<1@example.com>", "thread": "<0@example.com> <1@example.com>",
            } | more
        )  # fmt: skip
        fax_id = self.store.write_now(submit, self.ids, asked, self.clock()).faxes[0]
        self.store.write_now(lambda c: self._dial(c, fax_id, results, pages, ends=ends))
        return fax_id

    def _dial(
        self, connection: sa.Connection, fax_id: int, results: Sequence[CallResult], pages: int, *, ends: bool
    ) -> None:
        def move(after: Outbound, reason: str, **changes: Any) -> None:
            faxes.move(connection, self.ids, fax_id, after, at=self.clock(), reason=reason, changes=changes)

        tiff = self.blobs.put(b"tiff")
        connection.execute(document.update().values(blob=tiff.name, pages=pages, size=tiff.size))
        move(Outbound.PREPARING, "")
        move(Outbound.QUEUED, "ready", pages=pages)
        if not results:
            move(Outbound.CANCELLED, "cancelled by the command line")
        for ordinal, result in enumerate(results, 1):
            move(Outbound.DIALING, f"call {ordinal}", attempts=ordinal)
            last = ordinal == len(results)
            reason = "as the line said"
            connection.execute(
                attempt.insert().values(
                    id=self.ids(), fax_id=fax_id, ordinal=ordinal, trunk="simulated", started_at=self.clock(),
                    ended_at=self.clock() + 30, cause=result.cause.value, pages_confirmed=result.pages_confirmed,
                    transmitted=tiff.name, transmitted_size=24_310, result=encode(result),
                    next=reason if last else f"{reason}; call {ordinal + 1} of 4 follows",
                )
            )  # fmt: skip
            confirmed = result.pages_confirmed
            endings = {Cause.CONFIRMED: Outbound.SENT, Cause.CANCELLED: Outbound.CANCELLED}
            end = (
                Outbound.UNCERTAIN
                if result.last_page_offered and confirmed < pages
                else endings.get(result.cause, Outbound.FAILED)
            )
            after = end if last and ends else Outbound.QUEUED
            move(after, reason, pages_confirmed=confirmed, remote_ident=result.remote_ident)
            self.clock.now += 300

    def received(self, result: CallResult, *, pages: int = 2, **more: Any) -> int:
        """Make a fax that was received as ``result`` says, and return its id."""
        return self.store.write_now(self._receive, result, pages, more)

    def _receive(self, connection: sa.Connection, result: CallResult, pages: int, more: dict[str, Any]) -> int:
        values = {
            "direction": Direction.INBOUND.value, "line_call": result.call, "number": OFFICE_B, "peer": OFFICE_A,
            "settings": {"deliver_to": ["bob@example.com"], "language": "en"}, "created_at": self.clock(),
        } | more  # fmt: skip
        fax_id = faxes.create(connection, self.ids, values, reason="the line rings")
        changes: dict[str, Any] = {"remote_ident": result.remote_ident}
        if pages:
            document_id = self.ids()
            connection.execute(
                document.insert().values(
                    id=document_id, rendering="received", created_at=self.clock(), pages=pages, size=4,
                    blob=self.blobs.put(b"tiff").name, pdf=self.blobs.put(b"%PDF received").name,
                )
            )  # fmt: skip
            changes |= {"document_id": document_id, "pages": pages}
        after = Inbound.RECEIVED if pages else Inbound.UNDELIVERABLE
        detail = {"result": encode(result)}
        faxes.move(connection, self.ids, fax_id, after, at=self.clock(), reason="", changes=changes, detail=detail)
        return fax_id


def ended(cause: Cause, pages: int = 0, *, offered: bool = False, **more: Any) -> CallResult:
    """Return how a call ended, on a real line unless told otherwise."""
    return CallResult("", cause, pages, last_page_offered=offered, **({"simulated": False} | more))


def confirmed(**more: Any) -> CallResult:
    """Return the result of a call that delivered two pages."""
    values = {
        "sip_code": 200, "sip_reason": "OK", "t30_code": 0, "t30_reason": "OK", "bit_rate": 14400, "modem": "V.17",
        "coding": "MMR", "ecm": True, "remote_ident": "OFFICE B", "ring_seconds": 2.1, "talk_seconds": 48.4,
        "t38": True,
    } | more  # fmt: skip
    return ended(Cause.CONFIRMED, 2, offered=True, **values)
