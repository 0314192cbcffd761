"""The shape of ``cover`` in the policy files: how cover pages look, and what stands on all of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import PlainValidator

from policies.cover import MAX_LOGO, MAX_SIDE, CoverPage, Look, logo_fault
from policies.entry import Entry, key
from policies.fields import text_of, told, written
from policies.policy import Body, MailOption

if TYPE_CHECKING:
    from policies.schema import NumberEntry
    from policies.scope import Scope

#: Characters of a line in the head of a cover page, so that it stays one line.
_MAX_LINE = 60
_MAX_NAME = 200
#: In place of a file's name: no logo, where the section names one.
_NO_LOGO = "none"


def _line(value: object) -> str:
    text = text_of(value).strip()
    if len(text) > _MAX_LINE or not text.isprintable():
        raise told(f"a line of a cover page holds up to {_MAX_LINE} printable characters", "shorten it")
    return text


def _beside(value: object) -> str:
    text = text_of(value)
    path = PurePosixPath(text)
    if len(text) > _MAX_NAME or not text.isprintable() or path.is_absolute() or ".." in path.parts or not path.name:
        raise told("a logo is a file beside the policy file, or in a folder below", "write it like logo.png")
    return text


CoverLine: TypeAlias = Annotated[str, PlainValidator(_line), written("text", type=["string", "number"])]
LogoFile: TypeAlias = Annotated[str, PlainValidator(_beside), written("file, such as `logo.png`")]


class CoverEntry(Entry):
    """How cover pages look and what stands on all of them; `faxrelay policy cover NUMBER` draws one to look at."""

    look: Look = key(
        "`plain`: the facts, then the text. `office`: company and logo in the head, the facts in a table. `letter`: a "
        "formal letter under a letterhead.",
        default=Look.PLAIN,
    )
    company: CoverLine = key(
        f"Name in the head, up to {_MAX_LINE} printable characters. Without it, the number's `header`.", default=""
    )
    phone: CoverLine = key("Telephone number for people, in the head, as it is to be shown.", default="")
    logo: LogoFile | None = key(
        "PNG or JPEG picture beside the policy file that names it, or in a folder below, up to "
        f"{MAX_LOGO // 1024} KB and {MAX_SIDE} pixels a side; it becomes black and white. `{_NO_LOGO}`: none.",
        default=None,
    )


class Covers:
    """The cover pages of numbers: what the section says for all, and the keys that a number gives itself."""

    def __init__(self) -> None:
        self.base = CoverPage()
        self._logos: dict[Path, tuple[str, str] | None] = {}

    def merged(self, scope: Scope, entry: CoverEntry) -> CoverPage:
        """Return the base with the keys that ``entry`` gives; a logo's file is looked at once for all that name it."""
        given = {name: getattr(entry, name) for name in entry.model_fields_set - {"logo"}}
        if entry.logo is not None:
            given["logo"] = self._logo(scope, entry.logo)
        return replace(self.base, **given, source=scope.source())

    def of_number(self, scope: Scope, entry: NumberEntry) -> CoverPage:
        """Return the cover page of a number whose scope this is."""
        if entry.cover is None:
            return self.base
        if entry.body is not Body.COVER and MailOption.COVER not in entry.mail_options:
            remedy = "write 'body: cover', or add cover to mail_options"
            scope.tell("it has no effect without a cover page", remedy, "cover", key=True)
        return self.merged(scope.at("cover"), entry.cover)

    def _logo(self, scope: Scope, name: str) -> str:
        if name == _NO_LOGO:
            return ""
        path = Path(scope.source("logo").file).absolute().parent / name
        if path not in self._logos:
            self._logos[path] = logo_fault(path)
        if (fault := self._logos[path]) is not None:
            scope.tell(*fault, "logo")
        return str(path)
