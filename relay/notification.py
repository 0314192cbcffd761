"""What a mail's sender asked to be told of (RFC 3461): NOTIFY, ORCPT, RET and ENVID, read, kept as JSON, read again.

Pure. Read strictly: what the standard does not allow is refused (501 5.5.4) and never repaired, because a report that
goes to the wrong place or under another name is worse than a client that learns of its fault. Invariants: every text
in a :class:`Wishes` is printable ASCII, so that it can stand in a report's field as it is; what is kept with a fax
reads back as what was asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: The key of a fax's settings that holds its :class:`Wishes`, and that of a submission's with its mail's header.
WISHES: Final = "report"
ORIGINAL: Final = "original_header"

#: RFC 3461 sections 4.2 and 4.4: the longest values, before they are decoded.
MAX_ORCPT: Final = 500
MAX_ENVID: Final = 100
#: RFC 3461 section 4: ``xchar`` is any of these but ``+`` and ``=``; ``hexchar`` has capitals only.
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", re.ASCII)
_HEX = re.compile(r"\+([0-9A-F]{2})", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]*", re.ASCII)
#: RFC 3461 section 4.2: ``addr-type`` is an atom.
_TYPE = re.compile(r"[A-Za-z0-9!#$%&'*/?^_`{|}~-]{1,40}", re.ASCII)
_UTF8: Final = "utf-8"


class BadParameter(ValueError):
    """A parameter that is not as RFC 3461 has it; the message is a sentence for the client."""


class Notify(Enum):
    """An event that a sender wants to hear of."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"


@dataclass(frozen=True, slots=True)
class MailWishes:
    """What MAIL FROM said. ``full``: RET=FULL; ``envid``: decoded, empty where none was given."""

    full: bool = False
    envid: str = ""


@dataclass(frozen=True, slots=True)
class RecipientWishes:
    """What RCPT TO said. ``notify``: ``None`` where it was silent, empty for NEVER.

    ``original``: ORCPT as a report shows it (``rfc822;user@example.com``), empty where none was given.
    """

    notify: frozenset[Notify] | None = None
    original: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a fax's sender asked for, and where a report goes.

    ``address``: the vouched-for return path; empty where none is, and then nothing is reported. ``heard_from``: what
    the client called itself, empty where that is no name. ``read_receipt``: whom a disposition notification goes to
    (RFC 8098), empty for nobody.
    """

    notify: frozenset[Notify] | None = None
    original: str = ""
    full: bool = False
    envid: str = ""
    address: str = ""
    heard_from: str = ""
    read_receipt: str = ""

    def as_settings(self) -> dict[str, Any]:
        """Return it as JSON, without what is empty."""
        notify = None if self.notify is None else sorted(one.value for one in self.notify)
        told = {
            "notify": notify, "original": self.original or None, "full": self.full or None, "envid": self.envid or None,
            "address": self.address or None, "heard_from": self.heard_from or None,
            "read_receipt": self.read_receipt or None,
        }  # fmt: skip
        return {key: value for key, value in told.items() if value is not None}

    @classmethod
    def of_settings(cls, settings: Mapping[str, Any]) -> Wishes:
        """Return what a fax's settings hold; nothing was asked where they are silent."""
        told = dict(settings.get(WISHES, {}))
        notify = told.pop("notify", None)
        return cls(notify=None if notify is None else frozenset(Notify(one) for one in notify), **told)


def decode_xtext(text: str) -> str:
    """Return what xtext means; raises :class:`BadParameter`.

    >>> decode_xtext("a+2Bb+3Dc")
    'a+b=c'
    """
    if not _XTEXT.fullmatch(text):
        raise BadParameter("it is not written as xtext (RFC 3461 section 4)")
    decoded = _HEX.sub(lambda found: chr(int(found[1], 16)), text)
    if not _PRINTABLE.fullmatch(decoded):
        raise BadParameter("it holds characters that cannot be printed")
    return decoded


def encode_xtext(text: str) -> str:
    """Return printable ASCII as xtext.

    >>> encode_xtext("a+b=c d")
    'a+2Bb+3Dc+20d'
    """
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in text)


def take_mail(parameters: Iterable[str]) -> tuple[MailWishes, list[str]]:
    """Read RET and ENVID among MAIL FROM's parameters; return also those that are others'. Raises BadParameter."""
    own, others = _split(parameters, {"RET", "ENVID"})
    kind = own.get("RET")
    if kind is not None and kind.upper() not in {"FULL", "HDRS"}:
        raise BadParameter("RET is FULL or HDRS.")
    return MailWishes(full=kind is not None and kind.upper() == "FULL", envid=_envid(own.get("ENVID"))), others


def take_recipient(parameters: Iterable[str]) -> tuple[RecipientWishes, list[str]]:
    """Read NOTIFY and ORCPT among RCPT TO's parameters; return also those that are others'. Raises BadParameter."""
    own, others = _split(parameters, {"NOTIFY", "ORCPT"})
    return RecipientWishes(_notify(own.get("NOTIFY")), _original(own.get("ORCPT"))), others


def _split(parameters: Iterable[str], names: set[str]) -> tuple[dict[str, str], list[str]]:
    own: dict[str, str] = {}
    others = []
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name = name.upper()
        if name not in names:
            others.append(parameter)
        elif name in own:
            raise BadParameter(f"{name} stands there twice.")
        elif not value:  # RFC 5321 section 4.1.2: esmtp-value has at least one character
            raise BadParameter(f"{name} has no value.")
        else:
            own[name] = value
    return own, others


def _envid(value: str | None) -> str:
    if value is None:
        return ""
    if len(value) > MAX_ENVID:
        raise BadParameter(f"ENVID is longer than {MAX_ENVID} characters.")
    try:
        return decode_xtext(value)
    except BadParameter as bad:
        raise BadParameter(f"ENVID cannot be read: {bad}.") from None


def _notify(value: str | None) -> frozenset[Notify] | None:
    if value is None:
        return None
    words = value.lower().split(",")
    if words == ["never"]:
        return frozenset()
    known = {one.value for one in Notify}
    if "never" in words and known.issuperset(set(words) - {"never"}):
        raise BadParameter("NOTIFY=NEVER stands alone.")
    if not known.issuperset(words):
        raise BadParameter("NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY.")
    if len(words) != len(set(words)):
        raise BadParameter("NOTIFY names an event twice.")
    return frozenset(Notify(word) for word in words)


def _original(value: str | None) -> str:
    if value is None:
        return ""
    if len(value) > MAX_ORCPT:
        raise BadParameter(f"ORCPT is longer than {MAX_ORCPT} characters.")
    kind, separator, address = value.partition(";")
    if not separator or not _TYPE.fullmatch(kind) or not address:
        raise BadParameter("ORCPT is TYPE;ADDRESS, as in rfc822;user@example.com.")
    if kind.lower() == _UTF8:  # RFC 6533 section 3: as Unicode, or spelled in ASCII, which is how it is kept
        address = "".join(char if char.isascii() else f"\\x{{{ord(char):X}}}" for char in address)
    try:
        return f"{kind};{decode_xtext(address)}"
    except BadParameter as bad:
        raise BadParameter(f"ORCPT cannot be read: {bad}.") from None
