"""The mails themselves: text and HTML from templates, what is attached, and the headers of automatic mail.

RFC 5322 (message), RFC 2387 and 2392 (the picture that the HTML shows), RFC 3834 (automatic answers:
``Auto-Submitted``, null return path, threads), RFC 3458 (``Message-Context``). Invariants: the Message-ID is that of
the delivery, so that a repeat is recognisable; every mail carries the loop mark that the relay's own intake refuses;
no value from outside reaches a header but as one line of text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from typing import TYPE_CHECKING, Any, Final

from relay.mailer import multipart, writing
from relay.mailer.letter import MAIL, MAIL_UTF8, Letter, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.mailer.asking import Enclosed
    from relay.mailer.language import Language
    from relay.mailer.notice import Notice
    from relay.mailer.receipt import Receipt
    from relay.mailer.received import ReceivedFax

LOOP_MARK: Final = "X-Faxrelay-Loop"
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>", re.ASCII)
_SUBJECT = 150


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the relay's mail is from: an address, and the name beside it."""

    address: str
    name: str

    @property
    def domain(self) -> str:
        """The domain of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whom a mail is for, and its delivery: the id that names it, and when it was made (seconds since 1970)."""

    to: str
    delivery: int
    made_at: float


@dataclass(frozen=True, slots=True)
class Thread:
    """The message that a receipt answers: its Message-ID and References as they were written, or empty."""

    message_id: str = ""
    references: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that does something once: ``until`` is its end, ready to read."""

    url: str
    until: str


def receipt_letter(
    receipt: Receipt,
    language: Language,
    identity: Identity,
    envelope: Envelope,
    *,
    thread: Thread,
    pdf: bytes | None,
    resend: Invitation | None,
    machine: multipart.Machine | None = None,
) -> Letter:
    """Return a receipt's mail. Without ``pdf`` it says that there is none; ``machine`` makes it a report."""
    simulated = language.say("simulated") if receipt.simulated else ""
    asked = f": {receipt.subject}" if receipt.subject else ""
    message = _message(identity, envelope, f"{simulated}{receipt.title}{asked}")
    message["Auto-Submitted"] = "auto-replied"
    _join(message, thread)
    values = {"receipt": receipt, "pdf": pdf is not None, "resend": resend}
    body = message if machine is None else MIMEPart(policy=message.policy)
    _write(body, language, "receipt", values)
    if pdf is not None:
        body.add_attachment(pdf, "application", "pdf", filename=f"receipt_{receipt.fax_id}.pdf")
    if machine is not None:
        multipart.enclose(message, body, machine)
    return _letter(message, envelope, sender="")


def notice_letter(
    notice: Notice,
    language: Language,
    identity: Identity,
    envelope: Envelope,
    *,
    thread: Thread,
    machine: multipart.Machine | None = None,
    enclosed: Sequence[Enclosed] = (),
) -> Letter:
    """Return the mail of a notice; it joins the thread of the mail that asked for the fax, if its reader sent that.

    ``machine`` makes it a report.
    """
    simulated = language.say("simulated") if notice.simulated else ""
    message = _message(identity, envelope, f"{simulated}{notice.title}")
    message["Auto-Submitted"] = "auto-replied" if thread.message_id else "auto-generated"
    _join(message, thread)
    body = message if machine is None else MIMEPart(policy=message.policy)
    _write(body, language, "notice", {"notice": notice})
    for one in enclosed:
        body.add_attachment(one.data, *one.media_type.split("/"), filename=one.name)
    if machine is not None:
        multipart.enclose(message, body, machine)
    return _letter(message, envelope, sender="")


def received_letter(
    fax: ReceivedFax,
    language: Language,
    identity: Identity,
    envelope: Envelope,
    *,
    pdf: bytes | None,
    thumbnail: bytes | None = None,
    link: Invitation | None = None,
    reports: str = "",
    receipt: bool = False,
) -> Letter:
    """Return the mail of a received fax with its PDF, or, without one, of a call that brought no page.

    ``link``: gives the fax, too. ``reports``: where the mail comes back to, in place of the sender; ``receipt``: a
    receipt is asked for there, which is the return path, as RFC 8098 section 2.1 wants it.
    """
    message = _message(identity, envelope, fax.title)
    message["Auto-Submitted"] = "auto-generated"
    if receipt and reports:
        message["Disposition-Notification-To"] = f"<{reports}>"
    message["Message-Context"] = "fax-message"
    picture = f"page1.{envelope.delivery}@{identity.domain}"
    message.set_content(language.render("received.txt", fax=fax, link=link))
    page = language.render("received.html", fax=fax, link=link, thumbnail=picture if thumbnail else "")
    message.add_alternative(page, subtype="html")
    if thumbnail is not None:
        html = message.get_payload()[1]  # type: ignore[index]  # the alternative that was just added
        html.add_related(thumbnail, "image", "png", cid=f"<{picture}>", filename="page1.png", disposition="inline")  # type: ignore[union-attr]
    if pdf is not None:
        message.add_attachment(pdf, "application", "pdf", filename=fax.file_name)
    return _letter(message, envelope, sender=reports or identity.address)


def refusal_letter(
    reasons: Sequence[str],
    subject: str,
    language: Language,
    identity: Identity,
    envelope: Envelope,
    *,
    thread: Thread,
) -> Letter:
    """Return the mail that says why a mail, or what part of it, is not faxed. It quotes nothing but the subject."""
    message = _message(identity, envelope, language.say("title_refused", subject=subject or language.say("no_subject")))
    message["Auto-Submitted"] = "auto-replied"
    _join(message, thread)
    values = {"reasons": list(reasons), "subject": writing.one_line(subject, _SUBJECT)}
    message.set_content(language.render("refusal.txt", **values))
    message.add_alternative(language.render("refusal.html", **values), subtype="html")
    return _letter(message, envelope, sender="")


def _write(body: MIMEPart, language: Language, template: str, values: dict[str, Any]) -> None:
    """Write what people read, as text and as HTML."""
    body.set_content(language.render(f"{template}.txt", **values))
    body.add_alternative(language.render(f"{template}.html", **values), subtype="html")


def _message(identity: Identity, envelope: Envelope, subject: str) -> EmailMessage:
    """Return a message with the headers that every mail of ours has."""
    message = EmailMessage(MAIL if (identity.address + envelope.to).isascii() else MAIL_UTF8)
    message["From"] = Address(plain(writing.one_line(identity.name)), addr_spec=identity.address)
    # An address may look like an encoded word, and stays what it is: the envelope names it, this line need not.
    message["To"] = Address(addr_spec=envelope.to) if plain(envelope.to) == envelope.to else "undisclosed-recipients:;"
    message["Subject"] = writing.one_line(subject, _SUBJECT)
    message["Date"] = datetime.fromtimestamp(envelope.made_at, UTC)
    message["Message-ID"] = f"<{envelope.delivery}@{identity.domain}>"
    message[LOOP_MARK] = str(envelope.delivery)
    message["X-Auto-Response-Suppress"] = "All"
    return message


def _join(message: EmailMessage, thread: Thread) -> None:
    """Put an answer under the message that it answers (RFC 5322 section 3.6.4)."""
    if not _MESSAGE_ID.fullmatch(thread.message_id):
        return
    message["In-Reply-To"] = thread.message_id
    known = _MESSAGE_ID.findall(thread.references)
    message["References"] = " ".join(dict.fromkeys([*known, thread.message_id]))


def _letter(message: EmailMessage, envelope: Envelope, *, sender: str) -> Letter:
    return Letter(f"{envelope.delivery}", sender, envelope.to, message)
