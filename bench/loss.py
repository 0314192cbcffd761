"""How many calls succeed on a bad network: loss, jitter, reordering (``python -m bench.loss [CALLS]``).

Both ends are the media of real calls (:class:`transport.media.Call`), three pages each way of the codings; what stands
between them loses datagrams independently, and delays each by its own time. Time is the calls': a second of a call
takes some milliseconds, so that there are calls enough to tell rates apart. ``--real`` runs the same in workers, in
real time, over sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.channels import DOCUMENT, PAGES
from bench.table import HEAD, Row, line
from relay.confine import Confinement, Sandbox
from transport.causes import Hangup
from transport.journal import Journal
from transport.legs import TICK
from transport.media import Call
from transport.order import ErrorCorrection, Media, MediaKind, Order, Outcome
from transport.testing import Document, Lossy, exchange
from transport.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = 20
_LONGEST = 600.0


@dataclass(frozen=True, slots=True)
class Network:
    """What it does to a datagram: shares that are lost and reordered (held back 30 ms), the longest delay, seconds."""

    loss: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0

    def __str__(self) -> str:
        words = [f"{100 * self.loss:g} % loss"] if self.loss else []
        words += [f"0-{1000 * self.jitter:.0f} ms jitter"] if self.jitter else []
        words += [f"{100 * self.reorder:g} % reordered"] if self.reorder else []
        return ", ".join(words) or "a perfect network"


class Way:
    """One direction in the calls' time."""

    def __init__(self, network: Network, rng: random.Random) -> None:
        self._network = network
        self._rng = rng
        self._under_way: list[tuple[float, int, bytes]] = []
        self._count = 0

    def put(self, now: float, datagrams: list[bytes]) -> None:
        """Send datagrams."""
        network, rng = self._network, self._rng
        for datagram in datagrams:
            if rng.random() >= network.loss:
                self._count += 1
                delay = rng.random() * network.jitter + (0.03 if rng.random() < network.reorder else 0.0)
                heapq.heappush(self._under_way, (now + delay, self._count, datagram))

    def get(self, now: float) -> list[bytes]:
        """Return what has come by now."""
        come = []
        while self._under_way and self._under_way[0][0] <= now:
            come.append(heapq.heappop(self._under_way)[2])
        return come


def call(folder: Path, media: Media, network: Network, seed: int, *, ecm: bool = True) -> tuple[Outcome, Outcome]:
    """Make one call; return both ends' outcomes."""
    rng = random.Random(seed)  # noqa: S311  a measurement that can be repeated
    ways = Way(network, rng), Way(network, rng)
    journals = [Journal.create(folder / f"{seed}-{media.kind.value}-{end}", {}) for end in ("out", "in")]
    store = folder / f"{seed}.tif"
    caller, called = (
        Call(
            Order(str(seed), pages, media, "+1", ecm=ecm, seconds=_LONGEST), file, journal, lambda _: None,
            rng.getrandbits,
        )
        for pages, file, journal in zip((PAGES, None), (DOCUMENT, store), journals, strict=True)
    )  # fmt: skip
    ticks = 0
    while caller.outcome is None:
        ticks += 1
        now = ticks * TICK
        ways[0].put(now, caller.tick(ways[1].get(now)))
        if called.outcome is not None:
            caller.hang_up(Hangup.FAR)
        else:
            ways[1].put(now, called.tick(ways[0].get(now)))
    called.hang_up(Hangup.FAR)
    for journal in journals:
        journal.close()
    store.unlink(missing_ok=True)
    assert called.outcome is not None
    return caller.outcome, called.outcome


def _figures(name: str, outcomes: list[tuple[Outcome, Outcome]]) -> Row:
    good = sum(caller.confirmed == called.confirmed == PAGES for caller, called in outcomes)
    lied = sum(caller.confirmed > called.confirmed for caller, called in outcomes)
    seconds = sum(caller.seconds for caller, _ in outcomes) / len(outcomes)
    lost = sum(outcome.media_lost for pair in outcomes for outcome in pair) / len(outcomes)
    falsely = f", {lied} FALSELY confirmed" if lied else ""
    return Row(name, f"{good} of {len(outcomes)} calls ({seconds:.0f} s, {lost:.1f} packets lost for good){falsely}")


def cases() -> Iterator[tuple[str, Media, Network, bool]]:
    """Yield what is measured."""
    for correction in (ErrorCorrection.REDUNDANCY, ErrorCorrection.FEC, ErrorCorrection.NONE):
        for loss in (0.01, 0.02, 0.05, 0.1):
            yield f"T.38, {correction.value}", Media(MediaKind.UDPTL, error_correction=correction), Network(loss), True
    for loss in (0.001, 0.002, 0.005, 0.01):
        yield "G.711, ECM", Media(MediaKind.RTP), Network(loss), True
    yield "G.711, no ECM", Media(MediaKind.RTP), Network(0.001), False
    for network in (Network(0, 0.04), Network(0, 0, 0.05), Network(0, 0.04, 0.05), Network(0.001, 0.04, 0.05)):
        yield "T.38, redundancy", Media(MediaKind.UDPTL), network, True
        yield "G.711, ECM", Media(MediaKind.RTP), network, True


def rows(calls: int = CALLS) -> Iterator[Row]:
    """Yield every row."""
    for name, media, network, ecm in cases():
        with tempfile.TemporaryDirectory() as folder:
            outcomes = [call(Path(folder), media, network, seed, ecm=ecm) for seed in range(calls)]
        yield _figures(f"{name}: {network}", outcomes)


async def in_workers(calls: int) -> None:
    """Print the rows of calls in workers."""
    for name, media, network, ecm in cases():
        if media.error_correction is not ErrorCorrection.REDUNDANCY:
            continue
        confinement = Confinement(Sandbox.BUBBLEWRAP, ["transport.worker"])
        sending, receiving = Workers(confinement), Workers(confinement)
        await sending.warm()
        rng = random.Random(1)  # noqa: S311  a measurement that can be repeated

        def lossy(network: Network = network, rng: random.Random = rng) -> Callable[[], Lossy]:
            return lambda: Lossy(rng, network.loss, network.jitter, network.reorder)

        with tempfile.TemporaryDirectory() as folder:
            outcomes = await asyncio.gather(
                *(
                    exchange(
                        sending, receiving, Path(folder), str(number), media.kind,
                        Document(DOCUMENT, PAGES), lossy(), ecm=ecm,
                    )
                    for number in range(calls)
                )
            )  # fmt: skip
        print(line(_figures(f"{name}, in workers: {network}", list(outcomes))), flush=True)
        await sending.close()
        await receiving.close()
        await confinement.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("calls", nargs="?", type=int, default=CALLS)
    parser.add_argument("--real", action="store_true", help="in workers, in real time")
    asked = parser.parse_args()
    print(HEAD)
    if asked.real:
        asyncio.run(in_workers(asked.calls))
        return
    for row in rows(asked.calls):
        print(line(row), flush=True)


if __name__ == "__main__":
    main()
