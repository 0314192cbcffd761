"""The database behind two calls: ``write`` and ``read``. SQLite for one machine, PostgreSQL for several, one code.

Work is a plain function of a connection, run in a thread (measured faster than SQLAlchemy's asynchronous twin).

* SQLite: every write transaction is ``BEGIN IMMEDIATE`` in one writer thread, WAL, ``synchronous=FULL``: the default
  deferred transactions lost 149 of 200 read-then-write updates. Writes that wait together share one commit, each in a
  savepoint of its own, so that twenty senders cost one sync. Reads see a snapshot and never wait.
* PostgreSQL: a pool of threads, READ COMMITTED, row locks taken by the queries themselves.

A write is shielded: whoever asked for it may be cancelled, the transaction goes on. When ``write`` returns, the
transaction is on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry

P = ParamSpec("P")
T = TypeVar("T")

#: Writes that share one SQLite commit; bounds how long the first of them waits for the rest.
MAX_BATCH = 64
_BUSY_TIMEOUT_MS = 30_000
_READERS = 4


class Topic(Enum):
    """What a commit may have made ready; whoever waits for such work is woken."""

    PREPARE = "prepare"
    DIAL = "dial"
    OUTBOX = "outbox"
    CANCEL = "cancel"
    READ = "read"
    PROGRESS = "progress"


def announce(connection: sa.Connection, topic: Topic) -> None:
    """Wake the waiters of ``topic`` once this transaction is committed, and not if it is rolled back."""
    connection.info.setdefault("topics", set()).add(topic)


async def pause(woken: asyncio.Event, seconds: float) -> None:
    """Wait until ``woken`` is set, or so long.

    Not by :func:`asyncio.wait_for`: in CPython 3.11 it forgets that it was cancelled where the event is set in the same
    moment (bpo-37658), and a loop of a stage would never end.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()


@dataclass(slots=True)
class _Write:
    work: Callable[[sa.Connection], Any]
    done: Future[Any]


class _Backend(Protocol):
    def submit(self, work: Callable[[sa.Connection], T]) -> Future[T]: ...
    def close(self) -> None: ...


class Store:
    """A database. ``url`` is SQLAlchemy's: ``sqlite:///PATH`` or ``postgresql+psycopg://...``."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url, pool_size=_READERS + 1, max_overflow=_READERS, pool_timeout=120)
        self.sqlite = self.engine.dialect.name == "sqlite"
        self._waiters: dict[Topic, set[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {t: set() for t in Topic}
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")
        self._writer: _Backend
        if self.sqlite:
            sa.event.listen(self.engine, "connect", _configure_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)
            self._writer = _OneWriter(self.engine, self._announced)
        else:
            self._writer = _WriterPool(self.engine, self._announced)

    async def write(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` in a write transaction and return its value once it is committed."""
        future = self._writer.submit(lambda connection: work(connection, *args, **kwargs))
        return await asyncio.shield(asyncio.wrap_future(future))

    async def read(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work`` on a snapshot and return its value."""
        return await asyncio.get_running_loop().run_in_executor(
            self._readers, lambda: self.read_now(work, *args, **kwargs)
        )

    def write_now(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Write as :meth:`write` does, blocking the calling thread."""
        return self._writer.submit(lambda connection: work(connection, *args, **kwargs)).result()

    def read_now(self, work: Callable[Concatenate[sa.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read as :meth:`read` does, blocking the calling thread."""
        with self.engine.connect().execution_options(read_only=True) as connection:
            return work(connection, *args, **kwargs)

    @contextlib.contextmanager
    def waiter(self, topic: Topic) -> Any:
        """Give an event that is set at each commit that announced ``topic``."""
        entry = (asyncio.get_running_loop(), asyncio.Event())
        self._waiters[topic].add(entry)
        try:
            yield entry[1]
        finally:
            self._waiters[topic].discard(entry)

    def close(self) -> None:
        """Finish the writes that wait, then let go of the database."""
        self._writer.close()
        self._readers.shutdown()
        self.engine.dispose()

    def _announced(self, topics: set[Topic]) -> None:
        for topic in topics:
            for loop, event in tuple(self._waiters[topic]):
                with contextlib.suppress(RuntimeError):  # a loop that has just closed waits for nothing
                    loop.call_soon_threadsafe(event.set)


class _OneWriter:
    """SQLite's writer thread: takes all that waits into one transaction."""

    def __init__(self, engine: sa.Engine, announced: Callable[[set[Topic]], None]) -> None:
        self._engine = engine
        self._announced = announced
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-write", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[sa.Connection], T]) -> Future[T]:
        done: Future[T] = Future()
        self._queue.put(_Write(work, done))
        return done

    def close(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            ending = False
            while len(batch) < MAX_BATCH and not self._queue.empty():
                if (more := self._queue.get()) is None:
                    ending = True
                    break
                batch.append(more)
            self._commit(batch)
            if ending:
                return

    def _commit(self, batch: list[_Write]) -> None:
        outcomes: list[tuple[_Write, Any, BaseException | None]] = []
        try:
            with self._engine.begin() as connection:
                topics: set[Topic] = set()
                outcomes.extend((write, *_in_savepoint(connection, write.work, topics)) for write in batch)
        except Exception as fault:  # noqa: BLE001  the commit failed: nobody's write is kept, each asker is told
            for write in batch:
                write.done.set_exception(fault)
            return
        for write, value, error in outcomes:
            if error is None:
                write.done.set_result(value)
            else:
                write.done.set_exception(error)
        self._announced(topics)


def _in_savepoint(
    connection: sa.Connection, work: Callable[[sa.Connection], T], topics: set[Topic]
) -> tuple[T | None, Exception | None]:
    connection.info.pop("topics", None)
    _directly(connection, "SAVEPOINT one_write")
    try:
        value = work(connection)
    except sa.exc.OperationalError:
        raise  # the database itself is in trouble (full disk, I/O): nothing of this batch may count
    except Exception as error:  # noqa: BLE001  it goes to the asker; its savepoint is rolled back, the others stand
        _directly(connection, "ROLLBACK TO one_write")
        _directly(connection, "RELEASE one_write")
        return None, error
    _directly(connection, "RELEASE one_write")
    topics |= connection.info.pop("topics", set())
    return value, None


def _directly(connection: sa.Connection, statement: str) -> None:
    """Have SQLite's driver run a statement of a savepoint: SQLAlchemy's own cost more than most writes.

    A fault is raised as SQLAlchemy would: SQLite may have ended the transaction by itself, and loops wait for that.
    """
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  the connection is open
    try:
        driver.execute(statement)
    except sqlite3.Error as fault:
        raise sa.exc.OperationalError(statement, None, fault) from fault


class _WriterPool:
    """PostgreSQL's writers: one transaction for each piece of work, several at once."""

    def __init__(self, engine: sa.Engine, announced: Callable[[set[Topic]], None]) -> None:
        self._engine = engine
        self._announced = announced
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store-write")

    def submit(self, work: Callable[[sa.Connection], T]) -> Future[T]:
        return self._threads.submit(self._run, work)

    def close(self) -> None:
        self._threads.shutdown()

    def _run(self, work: Callable[[sa.Connection], T]) -> T:
        with self._engine.begin() as connection:
            connection.info.pop("topics", None)
            value = work(connection)
            topics = connection.info.pop("topics", set())
        self._announced(topics)
        return value


def _configure_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # sqlite3: BEGIN is ours, not the driver's
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
