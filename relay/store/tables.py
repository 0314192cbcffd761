"""The tables. Times are seconds since 1970 (UTC) as floats; ids are :mod:`relay.ids` integers.

What the rows promise, beside their columns:

* ``fax.state`` is written by :func:`relay.store.faxes.move` alone, with its ``event`` row in the same transaction;
* at most one dialling fax holds a ``(peer, slot)``: a unique index, so that no two processes ever ring the same
  machine at once beyond what the policy allows;
* whoever works on a ``fax``, ``document`` or ``delivery`` holds its lease; the ``fence`` grows with every claim, so
  that a worker whose lease ran out cannot commit over its successor.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    }
)

_Time = sa.Double


def _lease() -> tuple[sa.Column[str], sa.Column[float], sa.Column[int]]:
    return (
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", _Time),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
    )


user = sa.Table(
    "user",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True, doc="what is given at login"),
    sa.Column("password_hash", sa.String(256), nullable=False, doc="Argon2id, as pwdlib writes it"),
    sa.Column("addresses", sa.JSON, nullable=False, doc="who the user may send as: addresses, @domains, @*.domains"),
    sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("changed_at", _Time, nullable=False),
)

submission = sa.Table(
    "submission",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("source", sa.String(16), nullable=False, doc="smtp, command"),
    sa.Column("sender", sa.String(320), doc="the proven address; none for the command line"),
    sa.Column("proof", sa.String(16), nullable=False),
    sa.Column("number", sa.String(16), nullable=False, doc="the sending number, E.164"),
    sa.Column("message_id", sa.String(998)),
    sa.Column("subject", sa.Text, nullable=False, server_default="", doc="as its sender wrote it, decoded"),
    sa.Column("answerable", sa.Boolean, nullable=False, doc="whether its sender may be written to (RFC 3834)"),
    sa.Column("thread", sa.Text, nullable=False, server_default="", doc="the References of the message"),
    sa.Column("settings", sa.JSON, nullable=False, doc="the policy's effective settings, as decided at intake"),
    sa.Column(
        "facts",
        sa.JSON(none_as_null=True),
        doc="what the policy was asked about a mail (relay.replay); none: no mail, or older",
    ),
    sa.Column("created_at", _Time, nullable=False),
)

attachment = sa.Table(
    "attachment",
    metadata,
    sa.Column("submission_id", sa.ForeignKey("submission.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("media_type", sa.String(255), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("blob", sa.String(64), nullable=False, doc="SHA-256 of the decoded bytes"),
)

document = sa.Table(
    "document",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("submission_id", sa.ForeignKey("submission.id")),
    sa.Column("rendering", sa.String(64), nullable=False),
    sa.Column("blob", sa.String(64), doc="the fax TIFF, once it is made"),
    sa.Column("pdf", sa.String(64), doc="the same pages as PDF, where somebody is to read them"),
    sa.Column("refusal", sa.Text, doc="why it cannot be made, as a sentence for its sender"),
    sa.Column("pages", sa.Integer),
    sa.Column("size", sa.BigInteger),
    sa.Column("report", sa.JSON),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", _Time, nullable=False, server_default="0"),
    sa.Column("created_at", _Time, nullable=False),
    *_lease(),
    sa.UniqueConstraint("submission_id", "rendering"),
)
_unmade = sa.and_(document.c.blob.is_(None), document.c.refusal.is_(None))
sa.Index("ix_document_unmade", document.c.id, sqlite_where=_unmade, postgresql_where=_unmade)

fax = sa.Table(
    "fax",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default="", doc="why it is where it is, as a sentence"),
    sa.Column("submission_id", sa.ForeignKey("submission.id"), index=True),
    sa.Column("document_id", sa.ForeignKey("document.id"), index=True),
    sa.Column("number", sa.String(16), nullable=False, doc="the relay's own number, E.164"),
    sa.Column("peer", sa.String(16), nullable=False, doc="the far number as dialled or as it called; may be empty"),
    sa.Column("line_call", sa.String(64), unique=True, doc="inbound: the line's name for the call"),
    sa.Column("peer_written", sa.String(320), nullable=False, server_default="", doc="the recipient as written"),
    sa.Column("peer_slots", sa.Integer, nullable=False, server_default="1", doc="calls at once to this peer"),
    sa.Column("slot", sa.Integer, doc="which of the peer's slots a dialling fax holds"),
    sa.Column("priority", sa.Integer, nullable=False, server_default="5", doc="9 is dialled before 0"),
    sa.Column("not_before", _Time, nullable=False, server_default="0"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0", doc="calls made"),
    sa.Column("free_attempts", sa.Integer, nullable=False, server_default="0", doc="of these, that spent no retry"),
    sa.Column("route", sa.String(512), nullable=False, server_default="", doc="trunks in order, by commas; none: any"),
    sa.Column("rungs_tried", sa.JSON, nullable=False, server_default="[]", doc="the ladder's rungs that failed"),
    sa.Column("pages", sa.Integer),
    sa.Column("pages_confirmed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("remote_ident", sa.String(64), nullable=False, server_default=""),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("resend_of", sa.ForeignKey("fax.id")),
    sa.Column("passes_on", sa.BigInteger, index=True, doc="the received fax that this one brings to a machine of ours"),
    sa.Column("settings", sa.JSON, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("updated_at", _Time, nullable=False),
    *_lease(),
)
_queued = fax.c.state == sa.literal_column("'queued'")
_dialing = fax.c.state == sa.literal_column("'dialing'")
sa.Index(
    "ix_fax_queued",
    fax.c.number, fax.c.priority, fax.c.not_before, fax.c.id,
    sqlite_where=_queued, postgresql_where=_queued,
)  # fmt: skip
sa.Index("uq_fax_peer_slot", fax.c.peer, fax.c.slot, unique=True, sqlite_where=_dialing, postgresql_where=_dialing)
sa.Index("ix_fax_state", fax.c.state, fax.c.id)
sa.Index("ix_fax_number_created", fax.c.number, fax.c.created_at)

submission_key = sa.Table(
    "submission_key",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("fax_id", sa.ForeignKey("fax.id"), nullable=False),
    sa.Column("expires_at", _Time, nullable=False, index=True),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fax_id", sa.ForeignKey("fax.id"), nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False, doc="1 is the first call"),
    sa.Column("trunk", sa.String(64), nullable=False),
    sa.Column("rung", sa.String(32), nullable=False, server_default="", doc="of the ladder, see relay.outbound.ladder"),
    sa.Column("started_at", _Time, nullable=False),
    sa.Column("ended_at", _Time),
    sa.Column("cause", sa.String(16)),
    sa.Column("pages_confirmed", sa.Integer, nullable=False, server_default="0"),
    sa.Column("transmitted", sa.String(64), doc="blob of the transmitted image: the document with its header line"),
    sa.Column("transmitted_size", sa.BigInteger),
    sa.Column("result", sa.JSON, doc="the line's result, as transport.seam.CallResult names its fields"),
    sa.Column("next", sa.Text, nullable=False, server_default="", doc="what followed and why, as a sentence"),
    sa.UniqueConstraint("fax_id", "ordinal"),
)

destination = sa.Table(
    "destination",
    metadata,
    sa.Column("peer", sa.String(40), primary_key=True, doc="E.164, or `device:` and the name of a machine of ours"),
    sa.Column("rung", sa.String(32), doc="the ladder's rung that worked last"),
    sa.Column("rung_at", _Time),
    sa.Column("resolution", sa.String(16), doc="the finest that its machine takes, where that is not every one"),
    sa.Column("resolution_at", _Time),
)

trunk_route = sa.Table(
    "trunk_route",
    metadata,
    sa.Column("trunks", sa.String(512), primary_key=True, doc="each fax.route there is: few, whatever the backlog"),
)

trace = sa.Table(
    "trace",
    metadata,
    sa.Column("fax_id", sa.ForeignKey("fax.id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True, autoincrement=False, doc="its ordinal; 0: an inbound call"),
    sa.Column("call", sa.String(64), nullable=False, doc="the line's name for it"),
    sa.Column("entries", sa.JSON, nullable=False, doc="transport.seam.TraceEntry as [at, arrow, layer, text]"),
    sa.Column("created_at", _Time, nullable=False, index=True),
)

event = sa.Table(
    "event",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fax_id", sa.ForeignKey("fax.id"), nullable=False),
    sa.Column("seq", sa.Integer, nullable=False, doc="counts the events of one fax from 1: its history"),
    sa.Column("at", _Time, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False, doc="fax.accepted, fax.page_confirmed, ..."),
    sa.Column("before", sa.String(16), doc="the state that was left, where the event is a move"),
    sa.Column("after", sa.String(16)),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("detail", sa.JSON),
    sa.Column("routed", sa.Boolean, nullable=False, doc="whether its deliveries are in the outbox"),
    sa.UniqueConstraint("fax_id", "seq"),
)
_unrouted = event.c.routed.is_(sa.false())
sa.Index("ix_event_unrouted", event.c.id, sqlite_where=_unrouted, postgresql_where=_unrouted)

queue_lane = sa.Table(
    "queue_lane",
    metadata,
    sa.Column("number", sa.String(16), primary_key=True),
    sa.Column("priority", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("served", sa.Double, nullable=False, doc="weighted count of calls: the least served goes first"),
    sa.Column("due_at", _Time, doc="no queued fax of this lane is due earlier; none: nothing is queued"),
)
sa.Index("ix_queue_lane_order", queue_lane.c.priority, queue_lane.c.served)

channel = sa.Table(
    "channel",
    metadata,
    sa.Column("trunk", sa.String(64), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("fax_id", sa.BigInteger, doc="the fax on it; none: free"),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
)

target = sa.Table(
    "target",
    metadata,
    sa.Column("lane", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(320), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0", doc="failures in a row"),
    sa.Column("suspended_at", _Time),
    sa.Column("suspended_why", sa.Text),
    sa.Column("due_at", _Time, doc="of an endpoint: no delivery to it is due earlier; none: nothing waits"),
    sa.Column("warned_at", _Time, doc="when its person was mailed of a failure, until something succeeds"),
    sa.Column("sent", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failed", sa.BigInteger, nullable=False, server_default="0", doc="calls that were no success"),
    sa.Column("seconds", sa.Double, nullable=False, server_default="0", doc="of all its calls together"),
)
_waiting = "due_at IS NOT NULL AND suspended_at IS NULL"
_well, _failing = sa.text(f"{_waiting} AND failures = 0"), sa.text(f"{_waiting} AND failures > 0")
sa.Index("ix_target_well", target.c.lane, target.c.due_at, sqlite_where=_well, postgresql_where=_well)
sa.Index("ix_target_failing", target.c.lane, target.c.due_at, sqlite_where=_failing, postgresql_where=_failing)

#: The kind of delivery that makes a received fax ``delivered``.
RECEIVED_FAX = "received_fax"

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("lane", sa.String(16), nullable=False, doc="mail, callback, device"),
    sa.Column("target", sa.String(320), nullable=False),
    sa.Column(
        "order_key", sa.String(352), nullable=False, doc="deliveries of one key go out in the order of their ids"
    ),
    sa.Column("kind", sa.String(32), nullable=False, doc="what is delivered: receipt, received_fax, ..."),
    sa.Column("fax_id", sa.ForeignKey("fax.id"), index=True),
    sa.Column("event_id", sa.ForeignKey("event.id")),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, doc="due, done, failed"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("not_before", _Time, nullable=False),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("ended_at", _Time),
    sa.Column("answer", sa.Text, nullable=False, server_default="", doc="the far side's last words, or our fault"),
    *_lease(),
    sa.UniqueConstraint("event_id", "lane", "target"),  # one event is owed to one target once; a replay has no event
)
_due = delivery.c.state == sa.literal_column("'due'")
sa.Index("ix_delivery_due", delivery.c.lane, delivery.c.not_before, sqlite_where=_due, postgresql_where=_due)
sa.Index(
    "ix_delivery_order", delivery.c.lane, delivery.c.order_key, delivery.c.id, sqlite_where=_due, postgresql_where=_due
)
sa.Index(
    "ix_delivery_target",
    delivery.c.lane, delivery.c.target, delivery.c.not_before, delivery.c.id,
    sqlite_where=_due, postgresql_where=_due,
)  # fmt: skip

callback_call = sa.Table(
    "callback_call",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("delivery_id", sa.BigInteger, nullable=False, index=True),
    sa.Column("endpoint", sa.String(320), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False, doc="the event that was told"),
    sa.Column("fax_id", sa.BigInteger, index=True),
    sa.Column("attempt", sa.Integer, nullable=False, doc="1 is the first call"),
    sa.Column("at", _Time, nullable=False, index=True),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("status", sa.Integer, doc="of the HTTP answer; none: none came"),
    sa.Column("result", sa.String(16), nullable=False, doc="done, retry, failed"),
    sa.Column("reason", sa.Text, nullable=False, doc="why it was no success"),
    sa.Column("body", sa.Text, nullable=False, doc="the first 4 KiB of the answer, as text"),
    sa.Index("ix_callback_call_endpoint_id", "endpoint", "id"),
)

hold = sa.Table(
    "hold",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("fax_id", sa.ForeignKey("fax.id"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False, doc="approval, confirm"),
    sa.Column("why", sa.Text, nullable=False, doc="what it waits for, as a sentence"),
    sa.Column("asked", sa.JSON, nullable=False, doc="the mail addresses of those who may decide"),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("until", _Time, nullable=False, doc="when nobody's answer is a denial"),
    sa.Column("verdict", sa.String(8), doc="approve, deny, moot; none: open"),
    sa.Column("decided_at", _Time),
    sa.Column("decided_by", sa.String(320)),
    sa.Column(
        "reason",
        sa.Text,
        nullable=False,
        server_default="",
        doc="a denial's, or a refusal's that waits, for the sender",
    ),
    sa.UniqueConstraint("fax_id", "kind"),
)
_open = hold.c.verdict.is_(None)
sa.Index("ix_hold_open", hold.c.until, sqlite_where=_open, postgresql_where=_open)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("fax_id", sa.BigInteger, primary_key=True, autoincrement=False, doc="of a fax whose documents are gone"),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("number", sa.String(16), nullable=False, doc="the relay's own number, E.164"),
    sa.Column("outcome", sa.String(16), nullable=False, doc="the state in which it ended"),
    sa.Column("pages", sa.Integer),
    sa.Column("pages_confirmed", sa.Integer, nullable=False),
    sa.Column("digests", sa.JSON, nullable=False, doc="SHA-256 of its document and of each transmitted image"),
    sa.Column("created_at", _Time, nullable=False),
    sa.Column("ended_at", _Time, nullable=False),
    sa.Column("documents_erased_at", _Time, nullable=False),
    sa.Column("rows_erased_at", _Time),
    sa.Column("erased_by", sa.String(64), nullable=False, doc="the policy, or who"),
)

confirmation = sa.Table(
    "confirmation",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("whom", sa.String(340), nullable=False, doc="`from ADDRESS`, the claimed sender, or `by CLIENT`"),
    sa.Column("asked_at", _Time, nullable=False),
    sa.Index("ix_confirmation_whom_asked_at", "whom", "asked_at"),
)

link_use = sa.Table(
    "link_use",
    metadata,
    sa.Column("link", sa.String(64), primary_key=True),
    sa.Column("used_at", _Time, nullable=False),
)

mailbox_message = sa.Table(
    "mailbox_message",
    metadata,
    sa.Column("mailbox", sa.String(64), primary_key=True, doc="SHA-256 of server, user and folder"),
    sa.Column("validity", sa.BigInteger, primary_key=True, autoincrement=False, doc="UIDVALIDITY"),
    sa.Column("uid", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("received", sa.String(40), nullable=False, doc="INTERNALDATE, as the server wrote it"),
    sa.Column("digest", sa.String(64), nullable=False, doc="SHA-256 of the message; empty where it was not fetched"),
    sa.Column("fate", sa.String(16), nullable=False, doc="waiting, accepted, rejected"),
    sa.Column("created_at", _Time, nullable=False, doc="when it was first judged"),
    sa.Column("seen_at", _Time, nullable=False, index=True, doc="when it was last seen on the server"),
    sa.Index("ix_mailbox_message_digest", "mailbox", "digest"),
)
