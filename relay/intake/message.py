"""What a mail says, read in confined children (:mod:`relay.intake.pool`).

A child sees one message at a time, holds no other file and reaches no network. What it answers is checked like
anything from outside: types and lengths here, the address by the desk. A message that ends a fresh child is refused.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relay.confine import MIB, Limits
from relay.errors import Refusal
from relay.intake.bounds import MAX_ADDRESSED, MAX_RETURNED
from relay.intake.pool import EndedChild, Nonsense, Pool
from relay.intake.returned import MAX_WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from relay.confine import Confinement

log = structlog.get_logger()

T = TypeVar("T")
Said = TypeVar("Said", bound=BaseModel)

ENTRY: Final = "relay.intake.mime_worker:serve"
#: Seconds for one message, and bytes of what the child says of it.
READING_SECONDS: Final = 30.0
_MAX_INDEX: Final = MIB
_LIFE_SECONDS: Final = 3600.0
_REPLIES: Final = frozenset({(550, "5.6.0"), (550, "5.6.1")})


class Attachment(BaseModel):
    """One file of a mail: ``size`` decoded bytes from ``offset`` of the content file.

    ``refusal``: why this kind of file cannot be faxed, as a sentence for its sender.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    media_type: Annotated[str, Field(max_length=100)]
    offset: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(gt=0)]
    refusal: Annotated[str, Field(max_length=1000)] | None


class ParsedMessage(BaseModel):
    """What a mail says. ``sender``: the one From address as written; ``thread``: the References of an answer.

    ``automatic``: a program sent it (RFC 3834); ``hops``: its Received lines; ``looped``: a fax relay made it.
    ``requested_number``: the text of X-Fax-From; ``options``: what other X-Fax headers ask for, as written.
    ``addressed``: the addresses of its To, Cc, Delivered-To and X-Original-To, each once; ``bounce``: its Return-Path
    is the null one. ``read_receipt``: the one address of Disposition-Notification-To (RFC 8098); ``header``: what of
    the header a report gives back. ``skipped``: the parts that are nothing to fax, in words. ``body``: the text, if it
    has any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sender: Annotated[str, Field(min_length=3, max_length=320)]
    subject: Annotated[str, Field(max_length=300)]
    message_id: Annotated[str, Field(max_length=252, pattern=r"^<[!-~]+>$")] | None
    thread: Annotated[str, Field(max_length=6000, pattern=r"^[!-~]*( [!-~]+)*$")]
    automatic: bool
    hops: int
    looped: bool
    requested_number: Annotated[str, Field(max_length=1000)] | None
    options: Annotated[dict[str, Annotated[str, Field(max_length=40)]], Field(max_length=10)] = Field(
        default_factory=dict
    )
    attachments: Annotated[list[Attachment], Field(max_length=200)]
    skipped: Annotated[list[str], Field(max_length=200)]
    body: Attachment | None = None
    addressed: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=MAX_ADDRESSED)] = Field(
        default_factory=list
    )
    bounce: bool = False
    read_receipt: Annotated[str, Field(max_length=320)] = ""
    header: Annotated[str, Field(max_length=MAX_RETURNED)] = ""


class Reported(BaseModel):
    """What a report on a mail of ours says. ``kind``: empty where it says nothing; ``words``: of the far server.

    ``addressed``: as in :class:`ParsedMessage`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Annotated[str, Field(pattern="^(returned|opened|)$")]
    words: Annotated[str, Field(max_length=MAX_WORDS)]
    addressed: Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=MAX_ADDRESSED)]


class MailReader:
    """Reads mails. ``children``: messages read at once."""

    def __init__(self, confinement: Confinement, *, message_bytes: int, children: int = 2) -> None:
        limits = Limits(
            cpu=60,
            file_size=message_bytes + 2 * _MAX_INDEX,
            address_space=1024 * MIB,
            open_files=32,
            wall=_LIFE_SECONDS,
        )
        self._pool = Pool(lambda: confinement.spawn(ENTRY, (), limits), children=children)

    async def read(self, message: Path, content: Path, *, head: bool = False) -> ParsedMessage:
        """Return what ``message`` says; its files, decoded, are in ``content`` (an existing file) afterwards.

        ``head``: the file holds a header without its message.
        Raises :class:`relay.errors.Refusal` for a message that cannot be taken, and :class:`relay.confine.ChildDied`
        where no child could be started, which is no fault of the message.
        """
        return await self._ask({"head": head}, message, content, _understood)

    async def report(self, message: Path, content: Path) -> Reported:
        """Return what a report says; ``content`` is an existing file for what is read. Raises as :meth:`read`."""
        return await self._ask({"report": True}, message, content, _reported)

    async def _ask(
        self,
        request: dict[str, bool],
        message: Path,
        content: Path,
        understood: Callable[[dict[str, object], Path], T | Refusal],
    ) -> T:
        try:
            said = await self._pool.ask(
                request,
                lambda: _opened(message, content),
                lambda answer: understood(answer, content),
                seconds=READING_SECONDS,
            )
        except (EndedChild, TimeoutError, Nonsense) as fault:
            if isinstance(fault, EndedChild) and fault.status == -signal.SIGKILL:
                # None of the limits does this to a first message: the machine's memory.
                raise Refusal(451, "4.3.0", "Mail cannot be read here at the moment. Try again later.") from None
            log.warning("a mail cannot be read", fault=str(fault) or "too slow")
            raise Refusal(550, "5.6.0", "The message cannot be read: it is damaged or too complicated.") from None
        if isinstance(said, Refusal):
            raise said
        return said

    async def close(self) -> None:
        """End the idle children."""
        await self._pool.close()


@contextlib.contextmanager
def _opened(message: Path, content: Path) -> Iterator[tuple[int, ...]]:
    source = os.open(message, os.O_RDONLY)
    try:
        sink = os.open(content, os.O_WRONLY | os.O_TRUNC)
        try:
            yield source, sink
        finally:
            os.close(sink)
    finally:
        os.close(source)


def _reported(answer: dict[str, object], content: Path) -> Reported | Refusal:
    """Return what a child's answer means; raise :class:`Nonsense` for what no child of ours says."""
    index = _index(answer, content)
    return index if isinstance(index, Refusal) else _checked(Reported, index[0])


def _understood(answer: dict[str, object], content: Path) -> ParsedMessage | Refusal:
    """Return what a child's answer means; raise :class:`Nonsense` for what no child of ours says."""
    index = _index(answer, content)
    if isinstance(index, Refusal):
        return index
    said, at = _checked(ParsedMessage, index[0]), index[1]
    if any(file.offset + file.size > at for file in [*said.attachments, *([said.body] if said.body else [])]):
        raise Nonsense("an answer that names bytes which are not there")
    return said


def _checked(kind: type[Said], index: bytes) -> Said:
    try:
        return kind.model_validate_json(index)
    except ValidationError as fault:
        raise Nonsense(f"an answer with {fault.error_count()} errors") from None


def _index(answer: dict[str, object], content: Path) -> tuple[bytes, int] | Refusal:
    """Return the object that an answer names, and where it begins; or the refusal that it is."""
    match answer:
        case {"refusal": [int(code), str(enhanced), str(sentence)]} if (code, enhanced) in _REPLIES:
            return Refusal(code, enhanced, sentence)
        case {"at": int(at), "size": int(size)} if at >= 0 and 0 < size <= _MAX_INDEX:
            with content.open("rb") as file:
                file.seek(at)
                return file.read(size), at
        case _:
            raise Nonsense("an answer of no known shape")
