"""The words of a language: a folder ``templates/mail/LANGUAGE`` with its sentences and its mails.

English stands in for a language that has no folder. Values are filled into sentences as text, never read as a format.
HTML is escaped by its template; a name that a template does not know is an error and not an empty place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import jinja2
import yaml

from converters.errors import told
from relay.mailer import writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from transport.seam import Cause

ENGLISH: Final = "en"
_MINUTE: Final = 60
_KIBI: Final = 1024


@dataclass(frozen=True, slots=True)
class CauseWords:
    """How a call ended: ``outcome`` for a table, ``sentence`` for whoever waits for the fax, ``advice``: or nothing."""

    outcome: str
    sentence: str
    advice: str


@dataclass(frozen=True, slots=True)
class Language:
    """One language's words. ``refusals``: of documents, none for English, in which the converters speak."""

    name: str
    sentences: Mapping[str, str]
    causes: Mapping[str, CauseWords]
    environment: jinja2.Environment
    refusals: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def right_to_left(self) -> bool:
        """Whether it is written from right to left."""
        return self.sentences["direction"] == "rtl"

    def say(self, key: str, **values: object) -> str:
        """Return a sentence with its values."""
        return self.sentences[key].format(**{name: self.embed(str(value)) for name, value in values.items()})

    def embed(self, value: str) -> str:
        """Return a value as it stands in a sentence: a telephone number keeps its order among words that run left."""
        return writing.left_to_right(value) if self.right_to_left else value

    def count(self, key: str, count: int, **values: object) -> str:
        """Return the sentence for this many: ``KEY_one`` or ``KEY_other``."""
        return self.say(f"{key}_{'one' if count == 1 else 'other'}", count=count, **values)

    def duration(self, seconds: float) -> str:
        """Return a duration, such as ``1 min 48 s``."""
        minutes, rest = divmod(round(seconds), _MINUTE)
        if not minutes:
            return self.say("seconds", seconds=rest)
        return (
            self.say("minutes_seconds", minutes=minutes, seconds=rest) if rest else self.say("minutes", minutes=minutes)
        )

    def size(self, count: int) -> str:
        """Return a count of bytes, such as ``24 KB``."""
        return self.say("bytes", count=count) if count < _KIBI else self.say("kilobytes", count=round(count / _KIBI))

    def weekday(self, at: datetime) -> str:
        """Return the name of a day of the week."""
        return self.say(f"weekday_{at.isoweekday()}")

    def cause(self, cause: Cause) -> CauseWords:
        """Return how a cause is told."""
        return self.causes[cause.value]

    def reason(self, text: str) -> str:
        """Return why a fax failed before any call: a refusal of a document in this language, others as they are."""
        refused = told(text) if self.refusals else None
        if refused is None:
            return self.embed(writing.sentence(text))
        reason, source, detail = refused
        phrase = self.refusals["phrases"].get(detail) or (self.embed(detail) if detail else "")
        return self.refusals["reasons"][reason.value].format(source=self.embed(source), detail=phrase)

    def render(self, template: str, **values: Any) -> str:
        """Return a template of this language, filled in."""
        return self.environment.get_template(f"{self.name}/{template}").render(**values)


class Languages:
    """The languages that there are."""

    @cached_property
    def _environment(self) -> jinja2.Environment:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("templates", "mail"),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters["ltr"] = writing.left_to_right
        return environment

    @cached_property
    def _known(self) -> dict[str, Language]:
        folder = resources.files("templates") / "mail"
        return {
            entry.name: self._read(entry.name) for entry in folder.iterdir() if (entry / "sentences.yaml").is_file()
        }

    def get(self, name: str) -> Language:
        """Return the language, or English."""
        return self._known.get(name, self._known[ENGLISH])

    def _read(self, name: str) -> Language:
        text = (resources.files("templates") / "mail" / name / "sentences.yaml").read_text(encoding="utf-8")
        words = yaml.safe_load(text)
        causes = {cause: CauseWords(**told) for cause, told in words.pop("causes").items()}
        refusals = resources.files("templates") / "mail" / name / "refusals.yaml"
        refused = yaml.safe_load(refusals.read_text(encoding="utf-8")) if refusals.is_file() else {}
        return Language(name, words, causes, self._environment, refused)
