"""Whole calls between two fax machines: what arrives, what is on disk before what leaves, and calls that never end."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from transport.causes import Hangup
from transport.journal import Journal, Kind
from transport.media import AFTER_LAST_PAGE, DEAF, NO_CONTACT
from transport.seam import Negotiated, PageConfirmed
from transport.simulated.behaviours import Party
from transport.simulated.farend import Stranger
from transport.spandsp import AudioEngine, Machine, completion
from transport.witness import MAX_ROWS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.protocol.conftest import Bench

MEDIA = pytest.mark.parametrize("t38", [True, False], ids=["t38", "audio"])
CORRECTION = pytest.mark.parametrize("ecm", [True, False], ids=["ecm", "no-ecm"])


class FullDisk(Journal):
    """A journal on a disk that is full when records of one kind come."""

    refuses = Kind.LAST_PAGE_OFFERED

    def append(self, kind: Kind, fields: dict[str, Any] | None = None, payload: bytes = b"") -> None:
        """Refuse the kind."""
        if kind is self.refuses:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().append(kind, fields, payload)


class NoRoomForPages(FullDisk):
    """No received page fits."""

    refuses = Kind.PAGE_CONFIRMED


@MEDIA
@CORRECTION
def test_every_page_arrives_as_it_was(bench: Bench, document: Path, t38: bool, ecm: bool) -> None:
    """Lost otherwise: the far side reads another page than was sent, or ours does."""
    caller, callee = bench.side(sending=True, t38=t38, ecm=ecm), bench.side(sending=False, t38=t38, ecm=ecm)
    bench.join(caller, callee)
    for side in (caller, callee):
        assert (side.outcome.hangup, side.outcome.code, side.outcome.confirmed) == (Hangup.DONE, 0, 3)
        assert (side.outcome.ecm, side.outcome.bit_rate, side.outcome.modem) == (ecm, 14400, "V.17")
        assert [type(event) for event in side.events] == [Negotiated, *[PageConfirmed] * 3]
        assert len(side.outcome.page_seconds) == 3
    assert caller.outcome.remote_ident == "+1 202 555 0100"
    received = callee.evidence().pages
    assert [bench.pixels(page) for page in received] == bench.frames(document)
    assert (received[0].x_resolution, received[0].y_resolution) == (204.0, 196.0)


@MEDIA
def test_the_sub_address_that_a_machine_asks_for_is_heard(bench: Bench, t38: bool) -> None:
    """Lost otherwise: a fax for one room of a house goes to the front desk."""
    caller, callee = bench.side(sending=True, t38=t38), bench.side(sending=False, t38=t38)
    engine = caller.call.leg.engine
    engine._library.lib.t30_set_tx_sub_address(engine._t30, b"204")
    bench.join(caller, callee)
    (told,) = [event for event in callee.events if isinstance(event, Negotiated)]
    assert (told.subaddress, callee.outcome.subaddress, caller.outcome.subaddress) == ("204", "204", "")


@MEDIA
@CORRECTION
def test_the_offer_of_the_last_page_is_on_disk_before_the_far_end_can_have_it(
    bench: Bench, t38: bool, ecm: bool
) -> None:
    """Lost otherwise: the worker dies with the frame on the wire, the far machine prints, and the fax is sent again."""
    side, far = bench.side(sending=True, t38=t38, ecm=ecm), bench.machine(t38=t38)
    written: list[int] = []
    heard: list[int] = []

    def watch(tick: int) -> None:
        if not written and side.evidence().last_page_offered:
            written.append(tick)
        if not heard and any(facts.get("last") for event, facts in bench.notes if event == "page"):
            heard.append(tick)

    bench.talk(side, far, watch)
    assert heard[0] - written[0] > 50, "a frame takes more than a second at 300 bit/s"


@MEDIA
@CORRECTION
def test_no_offer_leaves_that_is_not_on_disk(bench: Bench, t38: bool, ecm: bool) -> None:
    """Lost otherwise: on a full disk a fax is delivered that the relay calls failed, and sends again."""
    side, far = bench.side(sending=True, journal=FullDisk, t38=t38, ecm=ecm), bench.machine(t38=t38)
    bench.talk(side, far)
    for _ in range(200):
        far.tick([])
    assert side.outcome.hangup is Hangup.FAULT
    assert "No space left" in side.outcome.reason
    assert side.outcome.confirmed == 2
    assert [facts["page"] for event, facts in bench.notes if event == "page"] == [1, 2]


@MEDIA
def test_no_page_is_confirmed_that_is_not_on_disk(bench: Bench, t38: bool) -> None:
    """Lost otherwise: the caller's machine says OK for a page that nobody will ever see."""
    caller, callee = bench.side(sending=True, t38=t38), bench.side(sending=False, journal=NoRoomForPages, t38=t38)
    bench.join(caller, callee)
    assert callee.outcome.hangup is Hangup.FAULT
    assert caller.outcome.confirmed == 0


def test_a_page_of_several_blocks_is_one_page(bench: Bench, tmp_path: Path) -> None:
    """Lost otherwise: a photo's blocks are counted as pages, and a call that broke off is called delivered."""
    noise = Image.fromarray(np.random.default_rng(5).integers(0, 256, (400, 1728)).astype(np.uint8)).point(
        lambda value: value > 127, "1"
    )
    noise.save(tmp_path / "photo.tif", compression="group4", dpi=(204, 196), save_all=True, append_images=[noise])
    side, far = bench.side(sending=True, document=tmp_path / "photo.tif", pages=2), bench.machine()
    bench.talk(side, far)
    assert (tmp_path / "photo.tif").stat().st_size > 2 * 2 * 65536, "a block has at most 64 KiB"
    assert (side.outcome.code, side.outcome.confirmed) == (0, 2)
    assert bench.frames(tmp_path / "far.tif") == bench.frames(tmp_path / "photo.tif")


def test_a_page_without_end_is_ended(bench: Bench, tmp_path: Path) -> None:
    """Lost otherwise: a hostile sender's endless page fills the memory and the disk."""
    Image.new("1", (1728, MAX_ROWS + 3000), 1).save(tmp_path / "long.tif", compression="group4", dpi=(204, 196))
    caller = bench.side(sending=True, document=tmp_path / "long.tif", pages=1)
    callee = bench.side(sending=False)
    bench.join(caller, callee)
    assert callee.outcome.hangup is Hangup.TOO_LONG
    assert (callee.outcome.confirmed, caller.outcome.confirmed) == (0, 0)


@pytest.mark.parametrize("party", [Party.SILENCE, Party.NOISE])
def test_a_call_without_a_fax_machine_ends(bench: Bench, party: Party) -> None:
    """Lost otherwise: steady noise holds a channel for ever."""
    side = bench.side(sending=True, t38=False)
    bench.talk(side, Stranger(party, 1))
    assert not side.outcome.contact
    assert side.outcome.seconds <= NO_CONTACT


def test_a_sender_that_vanishes_does_not_hold_the_line(bench: Bench) -> None:
    """Lost otherwise: a caller that lost its network in a page holds an inbound channel for ever."""
    caller, callee = bench.side(sending=True), bench.side(sending=False)
    bench.join(caller, callee, cut=lambda: caller.call.seconds() > 13)
    assert callee.outcome.hangup is Hangup.DEAF
    assert callee.outcome.seconds < 13 + DEAF + 1


def test_a_receiver_whose_dcn_was_lost_still_ends_well(bench: Bench) -> None:
    """Lost otherwise: a fax that arrived whole is reported as cut, or its call never ends."""
    caller, callee = bench.side(sending=True), bench.side(sending=False)
    bench.join(
        caller, callee, cut=lambda: callee.evidence().pages_confirmed == 3 and caller.evidence().pages_confirmed == 3
    )
    assert (callee.outcome.hangup, callee.outcome.last_page, callee.outcome.confirmed) == (Hangup.DONE, True, 3)
    assert callee.outcome.seconds < caller.outcome.seconds + AFTER_LAST_PAGE + 1


def test_a_calls_time_is_limited(bench: Bench) -> None:
    """Lost otherwise: a call runs up the telephone bill without end."""
    side = bench.side(sending=True, seconds=12.0)
    bench.talk(side, bench.machine())
    assert (side.outcome.hangup, side.outcome.seconds) == (Hangup.DEADLINE, 12.0)


@MEDIA
def test_a_far_end_that_hangs_up_after_its_last_confirmation_has_the_fax(bench: Bench, t38: bool) -> None:
    """Lost otherwise: with the many machines that do not wait for DCN every fax is called lost, and sent again."""
    caller, callee = bench.side(sending=True, t38=t38), bench.side(sending=False, t38=t38)
    heard: list[bytes] = []
    answer: list[bytes] = []
    while caller.evidence().pages_confirmed < 3:
        heard, answer = callee.call.tick(answer), caller.call.tick(heard)
    caller.call.hang_up(Hangup.FAR)
    assert caller.outcome.confirmed == 3
    callee.call.hang_up(Hangup.FAR)
    assert callee.outcome.last_page


def test_the_library_is_the_one_we_know() -> None:
    """Lost otherwise: another version's structures are misread, and counts of pages are nonsense."""
    assert completion(61) == "Called subscriber internet address not accepted"


def test_what_the_library_would_crash_on_or_cut_is_refused(tmp_path: Path) -> None:
    """Lost otherwise: a path that is cut sends another file or none, an ident that is refused goes out empty."""

    class Deaf:
        def frame(self, message: bytes, *, sent: bool) -> None: ...
        def contact(self) -> None: ...
        def page(self) -> None: ...

    with pytest.raises(ValueError, match="255 bytes"):
        AudioEngine(Machine(calling=True, document=str(tmp_path / ("x" * 250))), Deaf())
    with pytest.raises(ValueError, match="ident"):
        AudioEngine(Machine(calling=True, ident="1" * 21), Deaf())
    with pytest.raises(ValueError, match="320 bytes"):
        AudioEngine(Machine(calling=True), Deaf()).receive(b"x" * 100)
