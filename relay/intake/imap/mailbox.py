"""One mailbox: connect, look, take what is new, file it, wait; whatever happens, go on.

Invariants:

* a message is filed (moved, or flagged) only after its fate is committed: whoever dies in between finds the row and
  files it, and makes no second fax;
* one message that cannot be taken or filed does not stop the others: it is put off, longer each time;
* whatever ends a connection leads to the next one, after a pause that grows and is spread by chance.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
import structlog

from relay.confine import MIB
from relay.errors import Refusal, SettingsError
from relay.intake.bounds import MAX_HEADER
from relay.intake.imap.session import Declined, Gone, ImapFault, Server, Session, WrongCredentials
from relay.intake.spool import Spool
from relay.settings import secret
from relay.store.mailboxes import Fate, Place

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterator

    from relay.intake.imap.oauth import Tokens
    from relay.intake.imap.outcome import Judge, Outcome
    from relay.mail_settings import Mailbox as Account
    from relay.store.blobs import LocalBlobs

log = structlog.get_logger()

#: In place of a folder: the message stays and gets a keyword.
FLAG: Final = "flag"
KEYWORDS: Final = {Fate.ACCEPTED: "$FaxProcessed", Fate.REJECTED: "$FaxRejected"}
#: Failures in a row that the health page is told of: a server that restarts is no fault.
_TOLD_AFTER: Final = 2
#: Seconds that stopping waits for a message that is being judged.
_GRACE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to pause after a failure, in seconds.

    ``first`` doubles up to ``longest``; ``locked_out`` is the first after a refused login, lest the account be locked.
    ``put_off``: the same for one message, up to ``longest_put_off``.
    """

    first: float = 2.0
    longest: float = 300.0
    locked_out: float = 60.0
    put_off: float = 60.0
    longest_put_off: float = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What is fetched: messages up to ``message_bytes``, while the disk has more than ``reserve_bytes`` left."""

    message_bytes: int
    reserve_bytes: int


@dataclass(slots=True)
class _PutOff:
    """A message that is tried again at ``at``; ``fault``: what a person has to mend, if anything."""

    times: int
    at: float
    fault: str | None


def pause_after(failures: int, first: float, longest: float, spread: random.Random) -> float:
    """Return the pause after failure number ``failures`` (1 is the first): doubled each time, spread by a quarter.

    >>> import random
    >>> [round(pause_after(n, 2.0, 300.0, random.Random(1))) for n in (1, 2, 5, 50)]
    [2, 3, 26, 245]
    """
    return float(min(longest, first * 2 ** min(failures - 1, 30)) * spread.uniform(0.75, 1.25))


class Mailbox:
    """Serves one mailbox for ever. ``tokens``: where access tokens come from, None for a password."""

    def __init__(
        self,
        account: Account,
        judge: Judge,
        blobs: LocalBlobs,
        limits: Limits,
        clock: Callable[[], float],
        spread: random.Random,
        *,
        tokens: Tokens | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.name = account.name
        self._account = account
        self._judge = judge
        self._blobs = blobs
        self._limits = limits
        self._clock = clock
        self._spread = spread
        self._tokens = tokens
        self._pace = pace or Pace()
        self._key = _key(account)
        self._validity: int | None = None
        self._put_off: dict[int, _PutOff] = {}
        self._failures = 0
        self._fault = ""
        self._log = log.bind(mailbox=account.name)

    @property
    def trouble(self) -> str | None:
        """What is wrong with it, as a sentence for the administrator."""
        if self._failures >= _TOLD_AFTER:
            return self._fault
        faults = [one.fault for one in self._put_off.values() if one.fault is not None]
        if not faults:
            return None
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        return f"{faults[0]}{more}"

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            first = self._pace.first
            try:
                await self._serve()
            except WrongCredentials as fault:
                if self._tokens is not None:
                    self._tokens.forget()
                self._failures = max(self._failures, _TOLD_AFTER - 1)
                first = self._pace.locked_out / 2 ** (_TOLD_AFTER - 1)
                self._fault = str(fault)
            except (ImapFault, SettingsError) as fault:
                self._fault = str(fault)
            except (OSError, sa.exc.SQLAlchemyError):
                self._log.exception("a mailbox cannot be served: a fault of ours")
                self._fault = "the relay's own disk or database is in trouble; the log tells more"
            except Exception:  # noqa: BLE001  whatever it is, the mailbox is looked at again
                self._log.exception("a mailbox cannot be served: a fault of ours")
                self._fault = "a fault of the relay; the log tells more"
            self._failures += 1
            pause = pause_after(self._failures, first, self._pace.longest, self._spread)
            self._log.warning("mailbox in trouble", fault=self._fault, failures=self._failures, pause=round(pause, 1))
            await asyncio.sleep(pause)

    async def _serve(self) -> None:
        session = await self._connect()
        try:
            while True:
                await self._round(session)
                self._well()
                if not session.news:
                    await self._rest(session)
        finally:
            await session.close()

    def _well(self) -> None:
        if self._failures:
            self._log.info("mailbox served again", failures=self._failures)
        self._failures = 0

    async def _connect(self) -> Session:
        account = self._account
        trust = None
        if account.ca is not None:
            try:
                trust = await asyncio.to_thread(ssl.create_default_context, cafile=account.ca)
            except (OSError, ssl.SSLError) as fault:
                raise ImapFault(f"the authority {account.ca} cannot be read: {fault}") from fault
        session = await Session.open(Server(account.host, account.port, account.tls, trust, account.timeout_seconds))
        try:
            if self._tokens is not None:
                await session.login_oauth(account.user, await self._tokens.get())
            else:
                await session.login(account.user, secret(account.password or ""))
        except BaseException:
            await session.close()
            raise
        return session

    async def _rest(self, session: Session) -> None:
        now = self._clock()
        due = min((one.at - now for one in self._put_off.values()), default=self._account.poll_seconds)
        pause = max(1.0, min(self._account.poll_seconds, due))
        await (session.idle(pause) if self._account.idle else session.rest(pause))

    async def _round(self, session: Session) -> None:
        """Look once, and take what is there."""
        account = self._account
        folder = await session.select(account.folder)
        flagged = FLAG in {account.processed, account.rejected}
        if flagged and not folder.keywords:
            raise ImapFault("the server keeps no keywords; name folders for processed and rejected in place of `flag`")
        if folder.validity != self._validity:
            if self._validity is not None:
                self._log.warning("UIDVALIDITY changed", before=self._validity, now=folder.validity)
            self._validity = folder.validity
            self._put_off.clear()
        marks = [word for keyword in KEYWORDS.values() for word in ("UNKEYWORD", keyword)] if flagged else []
        uids = await session.search("UNDELETED", *marks)
        self._put_off = {uid: one for uid, one in self._put_off.items() if uid in set(uids)}
        for uid in uids:
            later = self._put_off.get(uid)
            if later is None or self._clock() >= later.at:
                await self._one(session, folder.validity, uid)

    async def _one(self, session: Session, validity: int, uid: int) -> None:
        """Take one message and file it, or put it off."""
        fault: str | None
        try:
            fault = await self._take(session, validity, uid)
        except Gone:
            self._put_off.pop(uid, None)
            return
        except Declined as declined:
            fault = f"message {uid} cannot be fetched: {declined}"
        except (ImapFault, OSError, sa.exc.SQLAlchemyError):
            raise
        except Exception:  # noqa: BLE001  the other messages are not to wait for it
            self._log.exception("a message cannot be taken: a fault of ours", uid=uid)
            fault = f"message {uid} cannot be taken; the log tells why"
        else:
            if fault is None:
                self._put_off.pop(uid, None)
                self._well()
                return
        known = self._put_off.get(uid)
        times = known.times + 1 if known is not None else 1
        pause = pause_after(times, self._pace.put_off, self._pace.longest_put_off, self._spread)
        self._put_off[uid] = _PutOff(times, self._clock() + pause, fault or None)

    async def _take(self, session: Session, validity: int, uid: int) -> str | None:
        """Take one message and file it; return why it stays, '' where nobody has to mend that, None when it is done."""
        about = await session.about(uid)
        place = Place(self._key, validity, uid, about.received)
        fate = await self._judge.known(place)
        if fate is None:
            outcome = await self._decide(session, uid, place, about.size)
            fate = outcome.fate
            self._log.info("message judged", uid=uid, fate=fate.value, why=outcome.why)
        if fate is Fate.WAITING:
            return ""
        try:
            await self._file(session, uid, fate)
        except Declined as fault:
            await self._judge.unfiled(place)
            self._log.warning("message cannot be filed", uid=uid, fault=str(fault))
            return f"message {uid} is done but cannot be filed: {fault}; make room there or mend the folder's rights"
        return None

    async def _decide(self, session: Session, uid: int, place: Place, size: int) -> Outcome:
        """Fetch a message and have it judged; one that is too large is refused by its header."""
        most = self._limits.message_bytes
        if self._blobs.free_bytes() < self._limits.reserve_bytes + min(size, most):
            raise ImapFault("the data directory has no room for mail; make room, or lower smtp.disk_reserve_bytes")
        if size <= most:
            with self._spool() as spool:
                if await session.read(uid, spool.write, most):
                    return await _to_its_end(self._judge.judge(spool.path, place))
        with self._spool() as spool:
            await session.read(uid, spool.write, MAX_HEADER, section="HEADER")
            return await _to_its_end(self._judge.refuse(spool.path, place, self._too_large()))

    async def _file(self, session: Session, uid: int, fate: Fate) -> None:
        target = self._account.processed if fate is Fate.ACCEPTED else self._account.rejected
        if target == FLAG:
            await session.flag(uid, KEYWORDS[fate], r"\Seen")
        else:
            await session.move(uid, target)

    @contextlib.contextmanager
    def _spool(self) -> Iterator[Spool]:
        spool = Spool(self._blobs)
        try:
            yield spool
        finally:
            spool.close()

    def _too_large(self) -> Refusal:
        return Refusal(552, "5.3.4", f"The message is larger than {self._limits.message_bytes / MIB:.4g} MB.")


async def _to_its_end(judging: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Return what a judgement comes to; whoever is cancelled meanwhile waits for it first."""
    task = asyncio.ensure_future(judging)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_GRACE)
        task.cancel()
        raise


def _key(account: Account) -> str:
    """Return the name under which a mailbox's messages are known: another server's UIDs mean others."""
    written = "\n".join((account.host, str(account.port), account.user, account.folder))
    return hashlib.sha256(written.encode()).hexdigest()
