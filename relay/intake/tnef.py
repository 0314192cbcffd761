"""What Outlook packs into ``winmail.dat`` (MS-OXTNEF), by tnefparse. Runs in the confined child; pure.

Its files are the mail's attachments; what is left, the text as RTF, is the body and nothing to fax. A pack that is
damaged or holds a mail gives no files at all: a fax with a part missing would be a false statement.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tnefparse import TNEF

if TYPE_CHECKING:
    from tnefparse.tnef import TNEFAttachment

#: How the library says that it is lost.
_LOST = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error, UnboundLocalError)


class Damaged(ValueError):
    """The pack cannot be opened whole."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A file of a pack, with the name that its sender gave it."""

    name: str
    data: bytes


def unpacked(data: bytes) -> list[Packed]:
    """Return the files of a pack in their order; raises :class:`Damaged`."""
    try:
        pack = TNEF(data, do_checksum=True)
        if sum(found.length for found in pack.objects) + 6 != len(data):  # section 2.1: signature and key, then objects
            raise Damaged("it was cut off")
        if not all(found.good_checksum for found in pack.objects):
            raise Damaged("a checksum is wrong")
        return [_file(found) for found in pack.attachments]
    except _LOST as fault:
        raise Damaged(str(fault)) from None


def _file(found: TNEFAttachment) -> Packed:
    if hasattr(found, "embed"):
        raise Damaged("it holds a mail")
    name = found.long_filename()
    if not isinstance(found.data, bytes):
        raise Damaged("a file has no content")
    return Packed(name.decode(errors="replace") if isinstance(name, bytes) else str(name), found.data)
