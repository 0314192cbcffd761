"""What callbacks tell of a fax that went its whole way: the same that its rows say, as it was then."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from relay.callbacks import reading
from relay.callbacks.event import Event, Name, Totals, decode, encode
from relay.fax import Inbound
from relay.store import faxes
from relay.store.tables import event
from relay.testing import ScriptedLine, confirmed
from transport.seam import CallResult, Cause

from .conftest import Stages

Build = Callable[..., Stages]
TO, OTHER = "+12025550123", "+12025550124"
BUSY = CallResult("", Cause.BUSY, 0, last_page_offered=False, simulated=True, sip_code=486, sip_reason="Busy Here")


def told(connection: sa.Connection, fax_id: int) -> dict[Name, Event]:
    """Return what would be told of each event of a fax now; the last one of a name."""
    made: dict[Name, Event] = {}
    for row_id in connection.execute(sa.select(event.c.id).where(event.c.fax_id == fax_id).order_by(event.c.seq)):
        one = reading.told(reading.read(connection, row_id.id))
        if one is not None:
            assert decode(encode(one)) == one
            made[one.name] = one
    return made


async def test_a_callback_tells_what_the_rows_say(stages_with: Build) -> None:
    """Lost otherwise: a program hears of other pages, calls or people than the receipt names."""
    stages = stages_with(ScriptedLine({TO: [BUSY, confirmed(2)], OTHER: [confirmed(2)]}))
    first, second = stages.submit(TO, OTHER, ident="+972 3 1234567", header="Office", billing="A-1", resolution="fine")
    async with stages.running():
        await stages.until(second, "sent")
        await stages.until(first, "sent")
    events = await stages.store.read(told, first)
    assert {*events} == {Name.ACCEPTED, Name.QUEUED, Name.DIALING, Name.ATTEMPT_FAILED, Name.SENT}

    sent = events[Name.SENT]
    assert sent.fax is not None
    assert sent.submission is not None
    assert (sent.success, sent.inbound, sent.fax.simulated) == (True, False, True)
    assert (sent.fax.pages, sent.fax.pages_confirmed, sent.fax.peer) == (2, 2, TO)
    assert (sent.fax.ident, sent.fax.header, sent.fax.billing) == ("+972 3 1234567", "Office", "A-1")
    assert (sent.fax.retries, sent.fax.step, sent.fax.ended_at) == (3, 1, sent.at)
    assert [one.cause for one in sent.fax.attempts] == ["busy", "confirmed"]
    assert [one.sip_code for one in sent.fax.attempts] == [486, None]
    assert sent.submission.totals == Totals(recipients=2, called=2, sent=2)
    assert (sent.submission.subject, sent.submission.sender) == ("Hello", "user@example.com")

    failed = events[Name.ATTEMPT_FAILED]
    assert failed.fax is not None
    assert (failed.fax.state, failed.fax.ended_at) == ("queued", None)
    assert [one.cause for one in failed.fax.attempts] == ["busy"]
    accepted = events[Name.ACCEPTED]
    assert accepted.fax is not None
    assert accepted.fax.attempts == ()
    other = (await stages.store.read(told, second))[Name.SENT]
    assert other.fax is not None
    assert other.fax.step == 2


async def test_a_received_fax_and_its_mail_are_told(stages_with: Build) -> None:
    """Lost otherwise: programs do not hear of what arrives, or of a mailbox that refused it."""
    stages = stages_with()
    ids, now = stages.ids, stages.clock()
    result = {"talk_seconds": 61.0, "subaddress": "77", "simulated": True}

    def arrive(connection: sa.Connection) -> int:
        row = {
            "direction": "inbound", "number": "+97231234567", "peer": TO, "line_call": "in-1", "settings": {},
            "created_at": now,
        }  # fmt: skip
        fax_id = faxes.create(connection, ids, row, reason="it rings")
        changes = {"pages_confirmed": 2, "pages": 2, "remote_ident": "FAR END"}
        faxes.move(
            connection, ids, fax_id, Inbound.RECEIVED, at=now + 61, reason="2 pages", changes=changes,
            detail={"result": result},
        )  # fmt: skip
        detail = {reading.RECIPIENT: "bob@example.com", reading.ANSWER: "550 no such user"}
        faxes.note(connection, ids, fax_id, "mail.bounced", at=now + 70, reason="refused", detail=detail)
        return fax_id

    fax_id = await stages.store.write(arrive)
    events = await stages.store.read(told, fax_id)
    assert {*events} == {Name.RECEIVED, Name.MAIL_BOUNCED}
    received, bounced = events[Name.RECEIVED], events[Name.MAIL_BOUNCED]
    assert received.fax is not None
    assert (received.inbound, received.submission, received.fax.attempts) == (True, None, ())
    assert (received.fax.talk_seconds, received.fax.subaddress, received.fax.remote_ident) == (61.0, "77", "FAR END")
    assert (received.fax.caller_id, received.fax.ident, received.fax.simulated) == (TO, "", True)
    assert bounced.mail is not None
    assert (bounced.mail.recipient, bounced.mail.answer) == ("bob@example.com", "550 no such user")
    assert bounced.fax is not None
    assert bounced.fax.ended_at == received.at
