"""Which numbers a rule of the policy files means: by first digits, country and kind."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from policies.entry import Entry, key
from policies.fields import CountryCode, OneOrMore, Prefix, told
from policies.policy import NumberType  # noqa: TC001 -- pydantic reads the keys' types


class SelectorEntry(Entry):
    """Which numbers a rule means. A number must fit every key that is given, and any one value of each."""

    prefix: OneOrMore[Prefix] = key("First digits, with + and country code.", single=True, default_factory=list)
    country: OneOrMore[CountryCode] = key("Countries, such as IL.", single=True, default_factory=list)
    type: OneOrMore[NumberType] = key(
        "Kinds of number. `premium`, `shared_cost` and `satellite` are denied unless an `allow` rule names the type.",
        single=True,
        default_factory=list,
    )

    @model_validator(mode="after")
    def _names_numbers(self) -> Self:
        if not (self.prefix or self.country or self.type):
            raise told(
                "the rule names no numbers", "name a prefix, a country or a type; 'otherwise' is for all numbers"
            )
        return self
