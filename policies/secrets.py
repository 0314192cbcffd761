"""References to secrets: ``env:NAME`` or ``file:PATH`` in place of the value, which never stands in a policy file.

:func:`parse_reference` is pure and its errors never repeat what was written, since that may be the secret itself.
:func:`read` is for whoever needs the value; the policy holds the reference alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Bytes of a secret; more is another kind of file.
MAX_BYTES: Final = 1024
_MAX_NAME = 500
#: POSIX 8.1, and lower case, which shells take as well.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
REMEDY: Final = "write env:NAME of a variable, or file:/PATH of a file, that holds it"


class BadReference(ValueError):
    """The text is no reference. ``remedy`` says what to write; neither repeats the text."""

    def __init__(self, message: str, remedy: str = REMEDY) -> None:
        super().__init__(message)
        self.remedy = remedy


class SecretError(Exception):
    """A secret cannot be read; the sentence names its reference, and never the value."""


class SecretKind(Enum):
    """Where a secret is kept."""

    ENV = "env"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class SecretReference:
    """``name``: that of a variable of the environment, or the absolute path of a file."""

    kind: SecretKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}"


def parse_reference(text: str) -> SecretReference:
    """Return the reference that ``text`` is; raise :class:`BadReference`.

    >>> str(parse_reference("env:CARRIER_PASSWORD"))
    'env:CARRIER_PASSWORD'
    >>> parse_reference("hunter2")
    Traceback (most recent call last):
        ...
    policies.secrets.BadReference: a secret is never written into a policy file
    """
    kind, colon, name = text.partition(":")
    if not colon or kind not in {each.value for each in SecretKind}:
        raise BadReference("a secret is never written into a policy file")
    if kind == SecretKind.ENV.value:
        if not _VARIABLE.fullmatch(name):
            remedy = "write letters, digits and _ after env:, as in env:CARRIER_PASSWORD"
            raise BadReference("this is no name of a variable of the environment", remedy)
    elif not name.startswith("/") or len(name) > _MAX_NAME or not name.isprintable():
        raise BadReference("the path of the file must be absolute", "write it like file:/etc/faxrelay/carrier")
    return SecretReference(SecretKind(kind), name)


def read(reference: SecretReference, environ: Mapping[str, str], open_file: Callable[[Path], BinaryIO]) -> str:
    r"""Return the secret; raise :class:`SecretError`.

    ``open_file`` opens a path for reading bytes. A file's content is taken without one line break at its end, which
    editors put there; other control characters are an error, since no password has them and no SIP header may.
    """
    value = _variable(reference, environ) if reference.kind is SecretKind.ENV else _content(reference, open_file)
    if not value:
        raise SecretError(f"the secret {reference} is empty; put the password there")
    if not value.isprintable():
        raise SecretError(
            f"the secret {reference} holds a line break or control character; leave the password alone there"
        )
    return value


def _variable(reference: SecretReference, environ: Mapping[str, str]) -> str:
    try:
        return environ[reference.name]
    except KeyError:
        sentence = f"the secret {reference} is not there; set the variable in the service's environment"
        raise SecretError(sentence) from None


def _content(reference: SecretReference, open_file: Callable[[Path], BinaryIO]) -> str:
    try:
        with open_file(Path(reference.name)) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        sentence = f"the secret {reference} cannot be read ({reason}); make it a file that the service's user can read"
        raise SecretError(sentence) from None
    if len(content) > MAX_BYTES:
        raise SecretError(f"the secret {reference} is longer than {MAX_BYTES} bytes; leave the password alone there")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise SecretError(f"the secret {reference} is not UTF-8; save the file as UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
