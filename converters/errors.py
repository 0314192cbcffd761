"""What the converters raise: a refusal, which the sender can mend, or a fault of our own.

Invariant: a refusal's sentence names the file as its sender wrote it and says what to do; it is plain text of one
line, safe to log and to quote, but escaped by whoever writes it into HTML or a header.
"""

from __future__ import annotations

import re
from enum import Enum

#: Characters of a file's name that a sentence shows.
SHOWN = 80


class Reason(Enum):
    """Why a document is refused: the closed list."""

    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    EMPTY = "empty"
    NO_PAGES = "no_pages"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_MANY_FILES = "too_many_files"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    MISMATCH = "mismatch"
    TOO_LONG = "too_long"
    NEEDS_NETWORK = "needs_network"


#: What the sender reads, with ``{source}`` and ``{detail}``.
SENTENCES = {
    Reason.ENCRYPTED: "{source} is protected by a password. Please remove the password and send it again.",
    Reason.DAMAGED: "{source} is damaged and cannot be read{detail}. Please export or scan it again.",
    Reason.EMPTY: "{source} is empty. Please check the file and send it again.",
    Reason.NO_PAGES: "{source} contains no pages. Please check the file and send it again.",
    Reason.TOO_MANY_PAGES: "{source} brings the fax to more than {detail} pages. Please send it in parts.",
    Reason.TOO_MANY_FILES: "{source}: a fax is made of at most {detail} files. Please send them in parts.",
    Reason.TOO_LARGE: "{source} is too large to be drawn on a fax page{detail}. Please send a smaller version.",
    Reason.UNSUPPORTED: "{source} is {detail}, which cannot be faxed. Please send it as a PDF.",
    Reason.MISMATCH: "{source} is not what its name says: it is {detail}. Please send it as a PDF.",
    Reason.TOO_LONG: "{source} takes too long to convert. Please print it to a new, simpler PDF and send that.",
    Reason.NEEDS_NETWORK: "{source} shows only what would have to be fetched from the network, and nothing is. "
    "Please send it as a PDF.",
}


class Refused(Exception):
    """A document that cannot be faxed, for a reason that its sender can mend.

    ``source`` is the file's name as its sender wrote it, ``sentence`` what the sender reads.
    """

    def __init__(self, reason: Reason, source: str = "", sentence: str | None = None, *, detail: str = "") -> None:
        told = sentence or SENTENCES[reason].format(source=shown(source), detail=shown_detail(detail))
        super().__init__(told)
        self.reason = reason
        self.source = source
        self.sentence = told
        self.detail = detail

    def named(self, source: str) -> Refused:
        """Return this refusal as one of the file ``source``: a reader knows its bytes but not their name."""
        return Refused(self.reason, source, detail=self.detail)


def told(sentence: str) -> tuple[Reason, str, str] | None:
    """Return the reason, the source as shown and the detail of a refusal's sentence; ``None`` for another sentence.

    >>> told('"a.pdf" is protected by a password. Please remove the password and send it again.')
    (<Reason.ENCRYPTED: 'encrypted'>, '"a.pdf"', '')
    """
    for reason, pattern in SENTENCES.items():
        written = re.escape(pattern).replace(r"\{source\}", '(?P<source>"[^"]*"|The document)')
        if found := re.fullmatch(written.replace(r"\{detail\}", "(?P<detail>.*)"), sentence):
            return reason, found["source"], found.groupdict().get("detail") or ""
    return None


class Broken(Exception):
    """A fault of the converters or their confinement, not of the document: trying again may help."""


def shown(name: str) -> str:
    r"""Return a file's name as a sentence shows it: quoted, printable, not long.

    >>> shown("a\tb.pdf")
    '"a b.pdf"'
    """
    printable = "".join(letter if letter.isprintable() else " " for letter in name.replace('"', "'"))
    if len(printable) > SHOWN:
        printable = printable[: SHOWN - 1] + "…"
    return f'"{printable}"' if printable.strip() else "The document"


def shown_detail(detail: str) -> str:
    """Return a detail on one printable line."""
    return "".join(letter if letter.isprintable() else " " for letter in detail)[:200]
