"""A PDF written object by object (ISO 32000-1 section 7.5), in one pass and the same for the same input."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import BinaryIO


class PdfFile:
    """The objects of a PDF and where they stand."""

    def __init__(self, output: BinaryIO) -> None:
        self._output = output
        self._digest = hashlib.sha256()
        self._length = 0
        self._places: list[int] = []
        self._write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")

    def reserve(self) -> int:
        """Return the number of an object that :meth:`put` will write."""
        self._places.append(0)
        return len(self._places)

    def add(self, body: str, stream: bytes | None = None) -> int:
        """Write a new object and return its number."""
        number = self.reserve()
        self.put(number, body, stream)
        return number

    def put(self, number: int, body: str, stream: bytes | None = None) -> None:
        """Write a reserved object."""
        self._places[number - 1] = self._length
        self._write(f"{number} 0 obj\n{body}".encode("ascii"))
        if stream is not None:
            self._write(b"\nstream\n" + stream + b"\nendstream")
        self._write(b"\nendobj\n")

    def finish(self, root: int, info: int) -> None:
        """Write the table of objects and the trailer."""
        start, count = self._length, len(self._places) + 1
        name = self._digest.hexdigest()[:32]
        rows = "".join(f"{place:010d} 00000 n \n" for place in self._places)
        self._write(
            f"xref\n0 {count}\n0000000000 65535 f \n{rows}trailer\n<</Size {count}/Root {root} 0 R/Info {info} 0 R"
            f"/ID[<{name}><{name}>]>>\nstartxref\n{start}\n%%EOF\n".encode("ascii")
        )

    def _write(self, data: bytes) -> None:
        self._output.write(data)
        self._digest.update(data)
        self._length += len(data)


def text_string(value: str) -> str:
    """Return a text string in hexadecimal UTF-16 (ISO 32000-1 section 7.9.2.2): nothing in it can end it."""
    return "<feff" + printable(value).encode("utf-16-be", "replace").hex() + ">"


def printable(value: str) -> str:
    """Return the text with a space for all that cannot be printed: controls, marks of direction, halves of pairs."""
    return "".join(letter if letter.isprintable() else " " for letter in value)
