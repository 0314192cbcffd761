"""What a mail proves of its From address by itself: DMARC, or the word of those whom the administrator trusts.

The DNS is asked here, signatures are verified in a confined child. Only :attr:`policies.Proof.DMARC` comes of it, and
only for the one From address that two readers of the message agree on (:mod:`relay.auth.verdict`).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import structlog

from policies import Proof
from relay.auth import reading, verdict
from relay.auth.dmarc import DmarcResult
from relay.confine import MIB, ChildDied, Limits
from relay.errors import Refusal
from relay.intake.pool import EndedChild, Nonsense, Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from relay.auth.reading import Reading, Wanted
    from relay.auth.resolver import Answer, Resolver
    from relay.confine import Confinement

log = structlog.get_logger()

ENTRY: Final = "relay.intake.proof_worker:serve"
#: Seconds for one answer of the child. Ten signatures of 4096 bits over 30 MB take a second or two.
_SECONDS: Final = 30.0
#: Seconds that a child lives at most, idle or not.
_LIFE_SECONDS: Final = 3600.0
#: Children at once; none waits for the DNS, so that a slow name server of a stranger's holds none.
_CHILDREN: Final = 4
#: Mails whose questions to the DNS are asked at the same time; each may wait for ten seconds.
_THREADS: Final = 128
#: Of these, at most so many are one client's.
_SHARE: Final = 16
_NOT_NOW: Final = "Whether this mail is its sender's own cannot be told at the moment. Try again later."


class Prover:
    """Examines mails. ``clock``: seconds since 1970; ``sealers``: domains of trusted forwarders (ARC)."""

    def __init__(
        self,
        confinement: Confinement,
        resolver: Resolver,
        clock: Callable[[], float],
        *,
        message_bytes: int,
        sealers: frozenset[str] = frozenset(),
    ) -> None:
        self._resolver = resolver
        self._clock = clock
        self._sealers = sealers
        #: Each client's, for as long as a mail of it is examined: slow name servers of one hold up no other.
        self._shares: WeakValueDictionary[object, asyncio.Semaphore] = WeakValueDictionary()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dns")
        limits = Limits(
            address_space=512 * MIB + 8 * message_bytes, cpu=60, file_size=MIB, open_files=32, wall=_LIFE_SECONDS
        )
        self._pool = Pool(lambda: confinement.spawn(ENTRY, (), limits), children=_CHILDREN)

    async def proofs(
        self, message: Path, from_address: str, client: verdict.Envelope | None = None, *, hop: str = ""
    ) -> frozenset[Proof]:
        """Return :attr:`Proof.DMARC` where ``message`` proves ``from_address``, its From address in its one spelling.

        ``client``: who brought it, None where nobody was seen to; ``hop``: the name under which the host that handed it
        on writes its findings. Raises :class:`relay.errors.Refusal`: 4yz where that cannot be told now, and 550 with
        what its sender can do where it proves nothing.
        """
        whose = client.client if client is not None else None
        share = self._shares.setdefault(whose, asyncio.Semaphore(_SHARE))
        try:
            async with share:
                found = await verdict.examine(
                    message, client, self._resolver, reader=_Confined(self._pool),
                    trust=verdict.Trust(hop, self._sealers), from_address=from_address, executor=self._threads,
                    clock=self._clock,
                )  # fmt: skip
        except ChildDied as fault:
            log.exception("no child that checks signatures could be started")
            raise Refusal(451, "4.4.3", _NOT_NOW) from fault
        except (EndedChild, TimeoutError, Nonsense, reading.BadReading) as fault:
            log.warning("a mail ended the check of its signatures", fault=str(fault) or "too slow")
            raise Refusal(550, "5.7.1", "The signatures of this mail cannot be checked.") from fault
        passed = found.dmarc.result is DmarcResult.PASS or found.hop_passed or bool(found.sealer)
        log.info("mail examined", passed=passed, findings=found.details)
        if passed:
            return frozenset({Proof.DMARC})
        if found.temporary:
            raise Refusal(451, "4.4.3", _NOT_NOW)
        raise Refusal(550, "5.7.1", found.sentence)

    async def close(self) -> None:
        """End the threads and the idle children; what is still asked is not waited for."""
        await self._pool.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Confined:
    """Confined children as :class:`relay.auth.verdict.Reader`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def key_names(self, message: Path | bytes, wanted: Wanted) -> tuple[str, ...]:
        """See :class:`relay.auth.verdict.Reader`."""

        def understood(answer: dict[str, object]) -> tuple[str, ...]:
            match answer.get("names"):
                case [*names] if all(isinstance(name, str) and len(name) <= _LONGEST_NAME for name in names):
                    return tuple(map(str, names))
            raise Nonsense("the names of the keys have no meaning")

        return await self._pool.ask(
            _request("key_names", wanted), lambda: _opened(message, b"{}"), understood, seconds=_SECONDS
        )

    async def read(self, message: Path | bytes, keys: Mapping[str, Answer], wanted: Wanted) -> Reading:
        """See :class:`relay.auth.verdict.Reader`."""
        return await self._pool.ask(
            _request("read", wanted),
            lambda: _opened(message, reading.keys_as_json(keys)),
            lambda answer: reading.from_json(str(answer.get("reading")).encode()),
            seconds=_SECONDS,
        )


def _request(question: str, wanted: Wanted) -> dict[str, object]:
    return {"do": question, "wanted": asdict(wanted)}


@contextlib.contextmanager
def _opened(message: Path | bytes, keys: bytes) -> Iterator[tuple[int, ...]]:
    if isinstance(message, bytes):
        raise TypeError("a confined child reads files")
    source = os.open(message, os.O_RDONLY)
    try:
        answers = os.memfd_create("keys")
        try:
            _fill(answers, keys)
            yield source, answers
        finally:
            os.close(answers)
    finally:
        os.close(source)


_LONGEST_NAME: Final = 512


def _fill(descriptor: int, data: bytes) -> None:
    """Write all of it, and go back to its beginning, where its reader begins."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
