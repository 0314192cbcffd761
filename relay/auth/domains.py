"""Domain names in the one spelling in which they may be compared: A-labels, lower case, no dot at the end. Pure.

Source: RFC 5321 section 2.3.5, RFC 5890. Two names are never compared by their ends as text: ``a-b.example`` ends
with ``b.example`` and is a stranger to it.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from policies import BadAddress, normalise_domain

_MAX_WRITTEN: Final = 300
#: IDNA takes the ideographic full stop for a dot, most programs take it for a letter.
_OTHER_DOT: Final = "\u3002"


class BadDomain(ValueError):
    """The text is no domain name that mail can come from."""


def domain_of(text: str) -> str:
    """Return the one spelling of a domain with at least two labels, written in A-labels or U-labels.

    Raises :class:`BadDomain`: for address literals, dots at the end, and characters that only look like a name's
    (a full-width letter is another name to one program and the same to the next).
    """
    lowered = text.lower()
    if len(text) > _MAX_WRITTEN or _OTHER_DOT in text or unicodedata.normalize("NFKC", lowered) != lowered:
        raise BadDomain("the domain is not written plainly")
    try:
        domain = normalise_domain(text)
    except (BadAddress, ValueError) as error:
        raise BadDomain(str(error)) from None
    if "." not in domain:
        raise BadDomain("the domain has one label")
    return domain


def is_within(domain: str, above: str) -> bool:
    """Whether ``domain`` is ``above`` or a name below it; both in their one spelling."""
    return domain == above or domain.endswith("." + above)
