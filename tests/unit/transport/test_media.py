"""The media of calls over packets: what both ends hold for true, whatever is changed in mid-call."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from transport import journal, telephone_events
from transport.causes import Hangup
from transport.journal import Journal
from transport.media import DEAF, HELD, Call
from transport.order import ErrorCorrection, Media, MediaKind, Order, Outcome
from transport.rtp import HEADER
from transport.seam import PageConfirmed, T38Started
from transport.spandsp import Machine
from transport.t30 import Resolution

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.seam import CallEvent, ReceivedPage

DOCUMENT = Path(__file__).resolve().parents[2] / "data" / "faxes" / "three-pages.tif"
PAGES = 3
RTP, UDPTL = Media(MediaKind.RTP), Media(MediaKind.UDPTL)
SECOND = 50  # ticks


class Pair:
    """A caller with the document and a called machine, 20 ms apart from each other."""

    def __init__(self, folder: Path, media: Media, **order: Any) -> None:
        self.events: list[CallEvent] = []
        self.said: list[bytes] = []
        self.ticks = 0
        rng = random.Random(1)
        self._journals = [Journal.create(folder / f"{name}.journal", {}) for name in ("out", "in")]
        self._folder = folder
        orders = [Order("1", pages, media, "+1", **{"seconds": 300.0, **order}) for pages in (PAGES, None)]
        files = (DOCUMENT, folder / "received.tif")
        self.caller, self.called = (
            Call(order, file, kept, self.events.append if order.sending else lambda _: None, rng.getrandbits)
            for order, file, kept in zip(orders, files, self._journals, strict=True)
        )
        self._to_called: deque[list[bytes]] = deque([[]])
        self._to_caller: deque[list[bytes]] = deque([[]])

    def tick(self) -> None:
        """Let 20 ms pass at both ends."""
        self.ticks += 1
        for call, hears, says in (
            (self.caller, self._to_caller, self._to_called),
            (self.called, self._to_called, self._to_caller),
        ):
            heard = [datagram for datagram in hears.popleft() if call.leg.accepts(datagram)]
            said = call.tick(heard) if call.outcome is None else []
            if call is self.caller:
                self.said += said
            says.append(said)

    def until(self, happened: Callable[[], bool], seconds: float = 120) -> None:
        """Let time pass until something has happened."""
        for _ in range(int(seconds * SECOND)):
            if happened():
                return
            self.tick()
        raise AssertionError("it never happened")

    def change(self, media: Media) -> None:
        """Let both ends agree on new media."""
        self.caller.change(media)
        self.called.change(media)

    def finish(self) -> tuple[Outcome, Outcome]:
        """Let the call run to its end; return both outcomes."""
        self.until(lambda: self.caller.outcome is not None, 300)
        self.called.hang_up(Hangup.FAR)
        for kept in self._journals:
            kept.close()
        assert self.caller.outcome is not None
        assert self.called.outcome is not None
        return self.caller.outcome, self.called.outcome

    def confirmed(self) -> int:
        """Return how many pages the caller was told of."""
        return sum(isinstance(happened, PageConfirmed) for happened in self.events)

    def pages(self) -> list[ReceivedPage]:
        """Return the pages that the called end kept."""
        return list(journal.read(self._folder / "in.journal").pages)

    def trace(self, end: str = "out") -> list[str]:
        """Return an end's trace."""
        return [f"{entry.arrow} {entry.text}" for entry in journal.read(self._folder / f"{end}.journal").trace]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The strips of the pages, as a good call brings them."""
    pair = Pair(tmp_path_factory.mktemp("good"), UDPTL)
    pair.finish()
    return [page.strip for page in pair.pages()]


@pytest.mark.parametrize(
    "media",
    [
        RTP,
        Media(MediaKind.RTP, payload_type=0),
        UDPTL,
        Media(MediaKind.UDPTL, error_correction=ErrorCorrection.FEC),
        Media(MediaKind.UDPTL, error_correction=ErrorCorrection.NONE, max_datagram=72),
    ],
    ids=["A-law", "u-law", "redundancy", "FEC", "no correction"],
)
def test_every_kind_of_media_brings_every_page(tmp_path: Path, sent: list[bytes], media: Media) -> None:
    """Lost otherwise: faxes over a trunk with this kind of media."""
    pair = Pair(tmp_path, media)
    caller, called = pair.finish()
    assert (caller.confirmed, called.confirmed, caller.code) == (PAGES, PAGES, 0)
    assert (caller.t38, caller.fine) == (media.t38, True)
    assert [page.strip for page in pair.pages()] == sent
    assert caller.heard > 50
    assert caller.media_lost == 0


def test_audio_gives_way_to_t38_before_the_first_page(tmp_path: Path, sent: list[bytes]) -> None:
    """Lost otherwise: every call to a gateway that asks for T.38 when it hears a fax, and that is most of them."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.ticks == 4 * SECOND)
    pair.change(UDPTL)
    caller, called = pair.finish()
    assert (caller.confirmed, called.confirmed) == (PAGES, PAGES)
    assert caller.t38
    assert called.t38
    assert [happened for happened in pair.events if isinstance(happened, T38Started)] == [T38Started("1")]
    assert [page.strip for page in pair.pages()] == sent
    assert any("udptl begins" in line for line in pair.trace())


def test_pages_that_were_confirmed_in_audio_are_not_sent_again_in_t38(tmp_path: Path, sent: list[bytes]) -> None:
    """Lost otherwise: the far machine prints the first pages twice, or pages are counted that were not confirmed."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.confirmed() == 1)
    for _ in range(2 * SECOND):
        pair.tick()
    pair.change(UDPTL)
    caller, called = pair.finish()
    assert (caller.confirmed, called.confirmed) == (PAGES, PAGES)
    assert [(page.page, page.strip) for page in pair.pages()] == list(enumerate(sent, start=1))
    assert journal.read(tmp_path / "out.journal").pages_confirmed == PAGES


@pytest.mark.parametrize("seconds", [1, 3, 7, 9, 11, 13, 15, 17, 19, 21, 22, 22.5, 23, 23.5, 24])
def test_at_no_moment_does_a_change_to_t38_confirm_what_was_not_received(tmp_path: Path, seconds: float) -> None:
    """Lost otherwise: a fax is called delivered, and a page of it is not."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.ticks >= seconds * SECOND)
    before = pair.confirmed()
    pair.change(UDPTL)
    caller, called = pair.finish()
    evidence = journal.read(tmp_path / "out.journal")
    assert before <= caller.confirmed == evidence.pages_confirmed <= len(pair.pages())
    assert caller.confirmed < PAGES or evidence.last_page_offered
    assert called.confirmed == len(pair.pages())


def test_a_change_to_t38_behind_the_last_confirmation_sends_nothing_again(tmp_path: Path) -> None:
    """Lost otherwise: a gateway's late T.38 makes the far machine print the whole fax twice."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.confirmed() == PAGES)
    pair.change(UDPTL)
    caller, called = pair.finish()
    assert (caller.confirmed, called.confirmed) == (PAGES, PAGES)
    assert not caller.t38


def test_audio_after_t38_starts_nothing(tmp_path: Path) -> None:
    """Lost otherwise: a gateway that goes back to audio at the fax's end makes a second fax call out of it."""
    pair = Pair(tmp_path, UDPTL)
    pair.until(lambda: pair.confirmed() == 1)
    pair.change(RTP)
    caller, _ = pair.finish()
    assert caller.t38
    assert caller.confirmed == PAGES
    assert sum("begins" in line for line in pair.trace()) == 1


def test_a_hold_stops_the_call_and_not_the_fax(tmp_path: Path, sent: list[bytes]) -> None:
    """Lost otherwise: a switchboard's short hold ends a fax in the midst of a page."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.confirmed() == 1)
    pair.change(Media(MediaKind.RTP, held=True))
    said = len(pair.said)
    for _ in range(20 * SECOND):
        pair.tick()
    assert len(pair.said) == said, "who holds the call does not want to hear us"
    pair.change(RTP)
    caller, _ = pair.finish()
    assert caller.confirmed == PAGES
    assert [page.strip for page in pair.pages()] == sent


def test_a_hold_for_ever_ends(tmp_path: Path) -> None:
    """Lost otherwise: a call that nobody takes back keeps its channel for half an hour."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.ticks == SECOND)
    pair.change(Media(MediaKind.RTP, held=True))
    caller, _ = pair.finish()
    assert caller.hangup is Hangup.DEAF
    assert caller.seconds == pytest.approx(HELD + 1, abs=0.2)


@pytest.mark.parametrize("media", [RTP, UDPTL], ids=["audio", "T.38"])
def test_a_bye_behind_the_last_confirmation_does_not_take_it_back(tmp_path: Path, media: Media) -> None:
    """Lost otherwise: a delivered fax is sent again, since the far machine hung up while its MCF was in our buffer."""
    pair = Pair(tmp_path, media)
    pair.until(lambda: pair.called.leg.engine.statistics().pages_received == PAGES)
    said: list[bytes] = []
    for _ in range(2 * SECOND):  # MCF is under way; what the caller hears is held up
        pair.caller.tick([])
        said += pair.called.tick([])
    assert pair.confirmed() == PAGES - 1
    pair.caller.hang_up(Hangup.FAR, said)
    caller, _ = pair.finish()
    assert caller.confirmed == PAGES


def test_a_bye_in_a_page_says_what_was_confirmed_and_that_the_call_was_lost(tmp_path: Path) -> None:
    """Lost otherwise: pages that the far machine has are denied, or the fax counts as sent."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.confirmed() == 1)
    pair.caller.hang_up(Hangup.FAR)
    caller, _ = pair.finish()
    assert (caller.hangup, caller.confirmed, caller.code) == (Hangup.FAR, 1, 49)


@pytest.mark.parametrize(("media", "hangup", "seconds"), [(UDPTL, Hangup.DEAF, DEAF), (RTP, Hangup.DONE, 60)])
def test_media_that_never_come_end_the_call_and_are_counted(
    tmp_path: Path, media: Media, hangup: Hangup, seconds: float
) -> None:
    """Lost otherwise: one-way media keep a channel for half an hour, and nobody is told why."""
    pair = Pair(tmp_path, media)
    while pair.caller.outcome is None:
        pair.caller.tick([])
    assert (pair.caller.outcome.hangup, pair.caller.outcome.heard) == (hangup, 0)
    assert pair.caller.outcome.seconds <= seconds + 1


def test_a_far_machine_that_takes_standard_pages_only_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost otherwise: the relay does not know that it must redial with other pages."""
    from transport import media as module

    def machine(**settings: Any) -> Machine:
        made = Machine(**settings)
        return made if made.calling else replace(made, resolutions=Resolution.STANDARD | Resolution.R8)

    monkeypatch.setattr(module, "Machine", machine)
    caller, _ = Pair(tmp_path, UDPTL).finish()
    assert (caller.fine, caller.code) == (False, 11)


def test_the_calling_tone_is_said_as_events_too(tmp_path: Path) -> None:
    """Lost otherwise: a gateway that goes by events alone does not know that a fax calls."""
    (tmp_path / "alone").mkdir()
    pair = Pair(tmp_path / "alone", Media(MediaKind.RTP, events=101))
    said = [packet for _ in range(7 * SECOND) for packet in pair.caller.tick([])]
    events = [packet for packet in said if packet[1] & 0x7F == 101]
    assert {packet[HEADER] for packet in events} == {telephone_events.CNG}
    assert len({packet[4:8] for packet in events}) == 2, "half a second in every three and a half (T.30 4.2)"
    assert len(events) == 2 * (25 + 3)
    caller, called = Pair(tmp_path, Media(MediaKind.RTP, events=101)).finish()
    assert (caller.confirmed, called.confirmed) == (PAGES, PAGES)


def test_a_trace_tells_the_call_by_its_frames(tmp_path: Path) -> None:
    """Lost otherwise: nobody can tell why a call failed."""
    pair = Pair(tmp_path, UDPTL)
    pair.finish()
    said = [line for line in pair.trace() if line.startswith((">", "<"))]
    assert said == [
        '< CSI "+1"', "< DIS V.17 fine MR ECM MMR", '> TSI "+1"', "> DCS 14400 V.17 fine ECM MMR", "> TCF", "< CFR",
        "> PPS-MPS page 0 block 0 frames 6", "< MCF", "> PPS-MPS page 1 block 0 frames 6", "< MCF",
        "> PPS-EOP page 2 block 0 frames 6", "< MCF", "> DCN",
    ]  # fmt: skip


def test_a_disk_that_is_full_confirms_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a page is confirmed to the caller and lost with the power, in audio as in lock-step."""
    pair = Pair(tmp_path, RTP)
    pair.until(lambda: pair.confirmed() == 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pair._journals[1], "append", full)
    pair.until(lambda: pair.called.outcome is not None)
    assert pair.called.outcome is not None
    assert (pair.called.outcome.hangup, pair.called.outcome.confirmed) == (Hangup.FAULT, 1)
    pair.caller.hang_up(Hangup.FAR)
    assert pair.confirmed() == 1
