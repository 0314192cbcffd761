"""winmail.dat: what Outlook packs is faxed, and nothing of a damaged pack is."""

from __future__ import annotations

import struct
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Refusal
from relay.intake.parts import contents
from relay.intake.tnef import Damaged, Packed, unpacked

_MESSAGE, _ATTACHMENT = 1, 2
_VERSION, _RENDERING, _TITLE, _DATA, _PROPERTIES = 0x00089006, 0x00069002, 0x00018010, 0x0006800F, 0x00069005
_LONG_NAME, _UNICODE = 0x3707, 0x001F


def attribute(level: int, name: int, data: bytes) -> bytes:
    """Return an attribute with its checksum (MS-OXTNEF 2.1.3)."""
    return struct.pack("<BII", level, name, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)


def pack(*files: tuple[str, bytes], long_names: bool = False) -> bytes:
    """Return a winmail.dat."""
    whole = struct.pack("<IH", 0x223E9F78, 1) + attribute(_MESSAGE, _VERSION, struct.pack("<I", 0x10000))
    for name, data in files:
        title = name[:8] if long_names else name
        whole += attribute(_ATTACHMENT, _RENDERING, bytes(14))
        whole += attribute(_ATTACHMENT, _TITLE, title.encode() + b"\0") + attribute(_ATTACHMENT, _DATA, data)
        if long_names:
            text = (name + "\0").encode("utf-16-le")
            padded = text + bytes(-len(text) % 4)
            prop = struct.pack("<IHHII", 1, _UNICODE, _LONG_NAME, 1, len(text)) + padded
            whole += attribute(_ATTACHMENT, _PROPERTIES, prop)
    return whole


def mail(data: bytes, name: str = "winmail.dat", kind: str = "ms-tnef") -> EmailMessage:
    """Return a mail with such a pack."""
    made = EmailMessage()
    made.set_content("See the attachment.")
    made.add_attachment(data, maintype="application", subtype=kind, filename=name)
    return made


@pytest.mark.parametrize("kind", ["ms-tnef", "vnd.ms-tnef", "octet-stream"])
def test_the_files_of_outlook_are_faxed(kind: str) -> None:
    """Lost otherwise: half of the offices that use Exchange cannot send a fax."""
    found = contents(mail(pack(("offer.pdf", b"%PDF-1.4 one"), ("plan.tif", b"II*\0two")), kind=kind))
    assert [(file.name, file.media_type, file.data) for file in found.files] == [
        ("offer.pdf", "application/pdf", b"%PDF-1.4 one"), ("plan.tif", "image/tiff", b"II*\0two"),
    ]  # fmt: skip
    assert found.skipped == ("body",)


def test_a_files_long_name_counts() -> None:
    """Lost otherwise: a refusal names OFFER~1.PDF, which nobody has ever seen."""
    name = "Angebot für März.pdf"
    assert unpacked(pack((name, b"%PDF"), long_names=True)) == [Packed(name, b"%PDF")]


def test_a_pack_of_the_text_alone_is_a_body() -> None:
    """Lost otherwise: a mail with a good attachment is refused because Outlook packed its text."""
    made = mail(pack())
    made.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="offer.pdf")
    found = contents(made)
    assert [file.name for file in found.files] == ["offer.pdf"]
    assert found.skipped == ("body", "body")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (pack(("offer.pdf", b"%PDF"))[:-1], "cannot be opened"),
        (pack(("offer.pdf", b"%PDF"))[:60], "cannot be opened"),
        (pack(("offer.pdf", b"%PDF"))[:-1] + b"\xff", "cannot be opened"),
        (b"not a pack at all", "cannot be opened"),
        (pack(("a.zip", b"PK")), "is a zip archive"),
        (pack(("winmail.dat", pack(("a.pdf", b"%PDF")))), "is packed twice"),
        (pack(("a.p7m", b"signed")), "encrypted"),
        (pack(("a.pdf", b""), ("b.pdf", b"%PDF")), "is empty"),
        (pack(*((f"{n}.pdf", b"%PDF") for n in range(201))), "more than 200 parts"),
    ],
)
def test_a_pack_that_cannot_be_faxed_whole_is_refused(data: bytes, told: str) -> None:
    """Lost otherwise: a page is missing in the fax, and nobody knows."""
    with pytest.raises(Refusal, match=told):
        contents(mail(data))


@given(st.binary(max_size=300), st.integers(0, 200))
def test_any_octets_are_opened_or_refused(noise: bytes, at: int) -> None:
    """Lost otherwise: one forged winmail.dat ends a reader of mail."""
    good = pack(("offer.pdf", b"%PDF"), ("b.tif", b"II*\0"), long_names=True)
    for data in (noise, good[:at] + noise + good[at:], good[:6] + noise):
        try:
            files = unpacked(data)
        except Damaged:
            continue
        assert all(isinstance(file.name, str) and isinstance(file.data, bytes) for file in files)
