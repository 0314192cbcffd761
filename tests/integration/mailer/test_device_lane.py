"""The receipt of what a machine of ours sent, printed by that machine: once, and only where the policy asks for it."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from relay.ids import IdSource
from relay.ledger import submit
from relay.mailer.device_lane import DeviceLane
from relay.mailer.enclosures import Enclosures
from relay.mailer.language import Languages
from relay.outbox import Delivered, Refused
from relay.store import schema
from relay.store.blobs import LocalBlobs
from relay.store.engine import Store
from relay.store.queue import Claim
from relay.store.tables import attachment, fax, submission
from relay.submission import File, Recipient, Submission

OURS = "+97231234567"


class NoPdf:
    """Enclosures that make a PDF, or cannot."""

    def __init__(self, pdf: bytes | None) -> None:
        self._pdf = pdf

    async def receipt_pdf(self, _receipt: object, _record: object) -> bytes | None:
        """Return it."""
        return self._pdf


def lane(folder: Path, pdf: bytes | None = b"%PDF-1.4") -> tuple[Store, DeviceLane, int]:
    """Return a store with a fax that the machine in the lobby sent, its lane, and the fax."""
    store, ids = Store(f"sqlite:///{folder / 'faxrelay.db'}"), IdSource()
    schema.upgrade(store.engine)
    asked = Submission(
        "device", None, "device", OURS, "Fax from lobby", (File("fax.tif", "image/tiff", 9, "ab" * 32),),
        (Recipient("+12025550123", "+12025550123"),), answerable=False, settings={"receipt_device": "lobby"},
    )  # fmt: skip
    (fax_id,) = store.write_now(submit, ids, asked, 1_790_000_000.0).faxes
    store.write_now(lambda c: c.execute(fax.update().values(state="failed", reason="the number was busy")))
    made = DeviceLane(
        store, LocalBlobs(folder / "blobs"), cast("Enclosures", NoPdf(pdf)), Languages(), ids, lambda: 1_790_000_100.0,
        zone=UTC,
    )  # fmt: skip
    return store, made, fax_id


def claim(fax_id: int) -> Claim:
    """Return a claimed delivery."""
    return Claim(7, 1, cast("Any", SimpleNamespace(fax_id=fax_id, target="lobby", kind="receipt")))


async def test_a_receipt_becomes_one_fax_to_the_machine(tmp_path: Path) -> None:
    """Lost otherwise: no paper tells whether the fax arrived, or the machine prints the receipt twice after a crash."""
    store, made, fax_id = lane(tmp_path)
    for _ in range(2):
        assert isinstance(await made.deliver(claim(fax_id)), Delivered)
    rows = store.read_now(lambda c: list(c.execute(sa.select(fax).where(fax.c.route == "device:lobby"))))
    assert len(rows) == 1
    asked = store.read_now(
        lambda c: c.execute(sa.select(submission).where(submission.c.id == rows[0].submission_id)).one()
    )
    assert not asked.answerable, "the receipt of a receipt would never end"
    file = store.read_now(
        lambda c: c.execute(sa.select(attachment).where(attachment.c.submission_id == asked.id)).one()
    )
    assert file.media_type == "application/pdf"


async def test_a_receipt_that_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    """Lost otherwise: the lane tries for three days what cannot work."""
    _, made, fax_id = lane(tmp_path, pdf=None)
    assert isinstance(await made.deliver(claim(fax_id)), Refused)


@pytest.mark.parametrize(
    ("after", "settings", "posts"),
    [
        ("sent", {"receipt_device": "lobby"}, 1),
        ("failed", {"receipt_device": "lobby"}, 1),
        ("queued", {"receipt_device": "lobby"}, 0),
        ("sent", {}, 0),
    ],
)
def test_only_ends_are_told_and_only_where_asked(tmp_path: Path, after: str, settings: Any, posts: int) -> None:
    """Lost otherwise: the machine prints a page for each call that was busy."""
    _, made, _ = lane(tmp_path)
    row = cast("Any", SimpleNamespace(id=1, settings=settings, direction="outbound"))
    event = cast("Any", SimpleNamespace(after=after))
    assert len(made.routes(event, row, cast("Any", SimpleNamespace()))) == posts
