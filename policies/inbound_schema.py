"""The shape of ``inbound`` in the policy files: which calls are not wanted, and who gets the faxes of the others."""

from __future__ import annotations

import re
from typing import Annotated, Self, TypeAlias

from pydantic import PlainValidator, ValidationInfo, model_validator

from policies.entry import Entry, key
from policies.fields import (
    CountryCode,
    LineName,
    MailAddress,
    OneOrMore,
    TelephoneNumber,
    Text,
    shown,
    text_of,
    told,
    written,
)
from policies.inbound import ANONYMOUS, Junk, bare
from policies.numbers import BadNumber, parse_number

_PREFIX = re.compile(r"\+[1-9][0-9]{0,14}\*", re.ASCII)
_IDENT = re.compile(r"[ -~]{1,64}", re.ASCII)
#: ITU-T T.30 5.3.6.2.4 and table 3: what a SUB frame holds.
_SUBADDRESS = re.compile(r"[0-9*# ]{1,20}", re.ASCII)


def _caller(value: object, info: ValidationInfo) -> str:
    text = text_of(value)
    if text == ANONYMOUS or _PREFIX.fullmatch(text):
        return text
    remedy = f"write +12025550123, +1202* for its first digits, or {ANONYMOUS} for a withheld number"
    if "*" in text:
        raise told(f"{shown(text)} is no caller", remedy)
    try:
        return parse_number(text, info.data.get("default_region"))
    except BadNumber as error:
        sentence = error.sentence.rstrip(".")
        raise told(sentence[0].lower() + sentence[1:], remedy) from None


def _glob(value: object) -> str:
    text = text_of(value)
    if not _IDENT.fullmatch(text) or not text.strip():
        raise told("an ident is up to 64 printable ASCII signs", "write it like '*SPAM*'; * stands for any signs")
    return text


def _subaddress(value: object) -> str:
    text = text_of(value)
    if not _SUBADDRESS.fullmatch(text) or not text.strip():
        raise told("a sub-address holds up to 20 of digits, * and # (ITU-T T.30)", "write it like '204'")
    return bare(text)


CallerText: TypeAlias = Annotated[
    str,
    PlainValidator(_caller),
    written(f"telephone number, first digits such as `+1900*`, or `{ANONYMOUS}`", type=["string", "integer"]),
]
IdentGlob: TypeAlias = Annotated[
    str, PlainValidator(_glob), written("ident, with `*` and `?`", type=["string", "integer"])
]
SubAddress: TypeAlias = Annotated[
    str, PlainValidator(_subaddress), written("digits, `*`, `#`", type=["string", "integer"])
]

_CALLED = "The relay's own numbers that are called; none: all."


class BlockEntry(Entry):
    """Calls that are not wanted. A call must fit every key that is given, and any one value of each."""

    default_region: CountryCode | None = key("Country whose rules read national digits in this entry.", default=None)
    called: OneOrMore[TelephoneNumber] = key(_CALLED, single=True, default_factory=list)
    caller: OneOrMore[CallerText] = key(
        "Who calls: a whole number, first digits and a star, or `anonymous` for whoever withholds the number or "
        "sends none that can be read.",
        single=True,
        default_factory=list,
    )
    csid: OneOrMore[IdentGlob] = key(
        "What the far machine calls itself; case and spaces do not count, `*` stands for any signs.",
        single=True,
        default_factory=list,
    )
    junk: Junk | None = key("In place of `inbound.junk`, for these calls.", default=None)
    notes: Text = key("For people.", default="")

    @model_validator(mode="after")
    def _names_callers(self) -> Self:
        if not (self.caller or self.csid):
            raise told("the entry blocks nobody", "name a caller or a csid")
        return self


class RouteEntry(Entry):
    """Who gets the faxes of some calls. A call must fit every key that is given, and any one value of each."""

    default_region: CountryCode | None = key("Country whose rules read national digits in this entry.", default=None)
    called: OneOrMore[TelephoneNumber] = key(_CALLED, single=True, default_factory=list)
    caller: OneOrMore[CallerText] = key("Who calls, as in `block`.", single=True, default_factory=list)
    csid: OneOrMore[IdentGlob] = key(
        "What the far machine calls itself, as in `block`.", single=True, default_factory=list
    )
    subaddress: OneOrMore[SubAddress] = key(
        "The sub-address that the far machine asks for (T.30 SUB).", single=True, default_factory=list
    )
    deliver_to: list[MailAddress] = key(
        "Mail addresses that get the fax. Unlike a number's own, they may not send as the number.",
        default_factory=list,
    )
    deliver_to_devices: list[LineName] = key("Names of `devices` that get the fax.", default_factory=list)
    notes: Text = key("For people.", default="")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.called or self.caller or self.csid or self.subaddress):
            raise told("the route names no calls", "name called, caller, csid or subaddress")
        if not (self.deliver_to or self.deliver_to_devices):
            raise told("the route leads nowhere", "add deliver_to or deliver_to_devices; block keeps calls away")
        return self


class InboundEntry(Entry):
    """What becomes of calls that come in."""

    junk: Junk = key(
        "What is done with blocked calls. `refuse`: a blocked caller is not answered (SIP 603), one with a blocked "
        "ident is hung up on before its first page. `quarantine`: the fax is kept and mailed to nobody; `faxrelay fax "
        "release` lets it out. `deliver`: it is delivered with a mark in the subject.",
        default=Junk.REFUSE,
    )
    block: list[BlockEntry] = key(
        "Calls that are not wanted. Entries without `csid` are looked at first, while it rings; the first that fits "
        "decides.",
        default_factory=list,
    )
    routes: list[RouteEntry] = key(
        "Who gets a fax; the first that fits. Where none does, the number's own `deliver_to` and `deliver_to_devices`.",
        default_factory=list,
    )
