"""Submissions on their way from an accepting process to main, which commits them all. See :mod:`relay.acceptors`.

Invariant: an answer that says `made` was sent after the commit; where the way is gone, nothing was promised.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from relay.errors import Refusal
from relay.outbox.mails import MailReport
from relay.submission import File, Recipient, Submission, Submitted

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from relay.intake.committer import Committer
    from transport.link import Link

log = structlog.get_logger()


class CommitterGone(Exception):
    """Main did not commit: it met a fault, or is no more."""


class RemoteCommitter:
    """Main's committer, seen from an accepting process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Submitted | bool]] = {}
        self._gone = False

    async def commit(self, asked: Submission, beside: Callable[[sa.Connection], None] | None = None) -> Submitted:
        """Have a submission committed, as :meth:`relay.intake.committer.Committer.commit` does; no ``beside`` here."""
        if beside is not None:
            raise TypeError("what is written beside a submission is written where the database is")
        made = await self._ask("commit", _written(asked))
        if not isinstance(made, Submitted):
            raise CommitterGone("main answered something else")
        return made

    async def note(self, report: MailReport) -> bool:
        """Have a report noted, as :meth:`relay.intake.committer.Committer.note` does."""
        changed = await self._ask("note", asdict(report))
        return changed is True

    async def _ask(self, what: str, values: dict[str, Any]) -> Submitted | bool:
        if self._gone:
            raise CommitterGone("main is gone")
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            # By memory: a link's messages are short, and a hundred names of files need not be.
            content = os.memfd_create("submission")
            try:
                os.write(content, json.dumps(values).encode())
                self._link.post({"do": what, "number": number}, [content])
            finally:
                os.close(content)
            return await self._asked[number]
        finally:
            del self._asked[number]

    def answered(self, answer: dict[str, Any]) -> None:
        """Take main's answer."""
        waiting = self._asked.get(answer.get("number", 0))
        if waiting is None or waiting.done():
            return
        match answer:
            case {"made": [submission, int(first), [*faxes], int(repeats)]}:
                waiting.set_result(Submitted(submission, first, tuple(faxes), repeats))
            case {"changed": bool(changed)}:
                waiting.set_result(changed)
            case {"refusal": [int(code), str(enhanced), str(sentence)]}:
                waiting.set_exception(Refusal(code, enhanced, sentence))
            case _:
                waiting.set_exception(CommitterGone("main did not commit"))

    def gone(self) -> None:
        """Tell all that wait, and all that will ask, that nobody answers any more."""
        self._gone = True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(CommitterGone("main is gone"))


async def answer(committer: Committer, link: Link, request: dict[str, Any], content: int) -> None:
    """Commit what an accepting process asks for (in the file ``content``, which is closed) and tell it."""
    told: dict[str, Any] = {"number": request["number"]}
    try:
        with os.fdopen(content, "rb") as file:
            file.seek(0)
            values = json.load(file)
        if request["do"] == "note":
            told["changed"] = await committer.note(MailReport(**values))
        else:
            made = await committer.commit(_read(values))
            told["made"] = [made.id, made.first, list(made.faxes), made.repeats]
    except Refusal as refusal:
        told["refusal"] = [refusal.code, refusal.enhanced, refusal.sentence]
    except Exception:
        log.exception("what an accepting process asked for was not committed")
        told["fault"] = True
    link.post(told)


def _written(asked: Submission) -> dict[str, Any]:
    values = {name: getattr(asked, name) for name in Submission.__slots__}
    values["files"] = [[one.name, one.media_type, one.size, one.blob] for one in asked.files]
    values["recipients"] = [[one.number, one.written, one.settings, one.refusal] for one in asked.recipients]
    return values


def _read(values: dict[str, Any]) -> Submission:
    files = tuple(File(*one) for one in values.pop("files"))
    recipients = tuple(Recipient(*one) for one in values.pop("recipients"))
    return Submission(files=files, recipients=recipients, **values)
