"""What of a mail is faxed: its attachments, and its text where the sending number's policy has it so. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from policies import Body
from relay.confine import MIB
from relay.errors import Refusal
from relay.intake.parts import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from policies import Number
    from relay.intake.message import Attachment, ParsedMessage

#: RFC 5321 section 6.3: a mail that passed so many servers goes in circles.
MAX_HOPS: Final = 30


def files(mail: ParsedMessage, number: Number, *, covered: bool) -> list[Attachment]:
    """Return what is faxed, the text first: as the text of the cover page where there is one, else as pages of its own.

    ``covered``: the fax has a cover page.
    """
    if mail.body is not None and (covered or number.body is Body.PAGE):
        return [mail.body, *mail.attachments]
    return mail.attachments


def check_files(found: Sequence[Attachment], largest: int, skipped: Sequence[str] = ()) -> None:
    """Raise :class:`relay.errors.Refusal` for what cannot be faxed.

    ``largest``: bytes of one file, decoded; ``skipped``: the parts of the mail that are nothing to fax.
    """
    if not found:
        never = sorted({told for told in skipped if told not in {"body", "inline image"}})
        if never:
            sentence = f"The mail holds only what is never faxed ({', '.join(never)}): attach the document itself."
            raise Refusal(550, "5.6.0", sentence)
        raise Refusal(550, "5.6.0", "The mail has no attachment: attach the document that is to be faxed.")
    for file in found:
        if file.size > largest:
            sentence = f"The attachment {shown(file.name)} is larger than {largest / MIB:.4g} MB."
            raise Refusal(552, "5.3.4", sentence)
        if file.refusal is not None:
            raise Refusal(550, "5.6.1", file.refusal)


def check_loop(mail: ParsedMessage) -> None:
    """Raise :class:`relay.errors.Refusal` for a mail that goes in circles."""
    if mail.looped:
        raise Refusal(554, "5.4.6", "This mail was made by a fax relay: it is not faxed again, lest it go in circles.")
    if mail.hops > MAX_HOPS:
        raise Refusal(554, "5.4.6", f"The mail passed more than {MAX_HOPS} servers: it goes in circles.")
