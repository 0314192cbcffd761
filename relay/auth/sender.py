"""The one From address of a message, as strictly as it can be read. Pure.

Source: RFC 5322 sections 3.4 and 3.6.2, RFC 6532 (UTF-8 in names and addresses). DMARC speaks of the domain that
people are shown, and programs disagree about every irregular From: several addresses, groups, routes, comments and
quoted local parts with an @, missing brackets. So the grammar here is a small part of RFC 5322's, and what is outside
of it has no domain. The pattern never goes back over a word (possessive quantifiers): linear.
"""

from __future__ import annotations

import re
from typing import Final

from relay.auth.domains import BadDomain, domain_of

#: Bytes of an unfolded From that is read at all.
MAX_FROM: Final = 1000

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_ADDRESS = rf"(?P<local>{_ATOM}(?:\.{_ATOM})*)@(?P<domain>[A-Za-z0-9.\u0080-\U0010ffff-]+)"
_QUOTED = r'"(?:[^"\\\r\n]|\\[^\r\n])*"'
#: A display name: words and quoted words. Dots are common and belong to no address here, for there is no @.
_NAME = rf"(?:[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.\u0080-\U0010ffff-]++|{_QUOTED}|[ \t]++)*+"
#: A comment that can be taken for nothing else.
_COMMENT = r"(?:[ \t]*\([^()<>@,;:\\\"]*\))?"
_BARE = re.compile(rf"{_ADDRESS}{_COMMENT}")
_NAMED = re.compile(rf"{_NAME}<{_ADDRESS}>{_COMMENT}")
#: Format characters turn text around or hide it: an address with one is not what people see.
_INVISIBLE = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


class BadFrom(ValueError):
    """The From line does not name one address in one way. The text says why."""


def from_address(value: bytes) -> tuple[str, str]:
    """Return the local part as written and the domain in its one spelling, of an unfolded From value.

    Raises :class:`BadFrom`.
    """
    if len(value) > MAX_FROM:
        raise BadFrom(f"the From line is longer than {MAX_FROM} characters")
    try:
        text = value.decode("utf-8").strip(" \t")
    except UnicodeDecodeError:
        raise BadFrom("the From line is not UTF-8") from None
    matched = (_NAMED if "<" in text else _BARE).fullmatch(text)
    if matched is None:
        raise BadFrom("the From line does not hold one plain address")
    if _INVISIBLE.search(matched["local"] + matched["domain"]):
        raise BadFrom("the From address holds invisible characters")
    try:
        return matched["local"], domain_of(matched["domain"])
    except BadDomain:
        raise BadFrom("the domain of the From address cannot be read") from None
