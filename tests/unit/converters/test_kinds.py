"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from converters import Kind, Reason, Refused, detect

TAKEN = [
    (b"%PDF-1.4\n", "a.pdf", "application/pdf", Kind.PDF),
    (b"\r\n junk before %PDF-1.4\n", "a.pdf", "", Kind.PDF),
    (b"II*\0\x08\0\0\0", "scan", "application/octet-stream", Kind.TIFF),
    (b"MM\0*\0\0\0\x08", "", "", Kind.TIFF),
    (b"\xff\xd8\xff\xe0", "photo.png", "image/png", Kind.JPEG),
    (b"\x89PNG\r\n\x1a\n", "x.PDF", "application/pdf", Kind.PNG),
    (b"GIF89a", "x.gif", "", Kind.GIF),
    (b"BM" + bytes(12) + b"\x28\0\0\0", "x", "", Kind.BMP),
    (b"RIFF\0\0\0\0WEBPVP8 ", "x.jpg", "image/jpeg", Kind.WEBP),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "IMG_1.HEIC", "", Kind.HEIC),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "x", "", Kind.AVIF),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "x", "", Kind.HEIC),
    (b"Dear Sir,\n", "letter.txt", "text/plain", Kind.TEXT),
    (b"a;b\n", "list.csv", "text/csv", Kind.TEXT),
    (b"<!-- x -->\n<html>", "README.md", "text/markdown", Kind.TEXT),
    ("Привет".encode("koi8-r"), "", "", Kind.TEXT),
    ("\ufeffשלום".encode("utf-16-le"), "note.txt", "", Kind.TEXT),  # noqa: RUF001  Hebrew is meant
    ("plain words, no mark".encode("utf-16-be"), "note.txt", "", Kind.TEXT),
    (b"<!DOCTYPE html><p>", "page.html", "text/html", Kind.HTML),
    (b"\xef\xbb\xbf <!-- saved --> <HTML lang=en>", "", "", Kind.HTML),
    (b"<p>without a beginning</p>", "page.htm", "", Kind.HTML),
    (b"<html><table>", "export.xls", "application/vnd.ms-excel", Kind.HTML),
    (b'<?xml version="1.0"?><svg xmlns="x">', "d.svg", "", Kind.SVG),
    (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "svg11.dtd">\n<svg >', "", "image/svg+xml", Kind.SVG),
    (b"{\\rtf1", "x.rtf", "", Kind.RTF),
    (b"{\\rtf1", "x.doc", "application/msword", Kind.RTF),
    (b"PK\x03\x04....[Content_Types].xml", "report.docx", "", Kind.DOCX),
    (b"PK\x03\x04....xl/workbook.xml", "report", "", Kind.XLSX),
    (
        b"PK\x03\x04" + bytes(22) + b"\x08\0\0\0mimetypeapplication/vnd.oasis.opendocument.presentationPK",
        "x",
        "",
        Kind.ODP,
    ),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "x.xls", "", Kind.XLS),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "x", "application/vnd.ms-powerpoint", Kind.PPT),
]

REFUSED = [
    (b"", "a.pdf", "", Reason.EMPTY, "is empty"),
    (b"PK\x03\x04....", "all.zip", "", Reason.UNSUPPORTED, "a ZIP archive"),
    (b"PK\x03\x04....", "bill.pdf", "", Reason.MISMATCH, "a ZIP archive"),
    (b"PK\x03\x04....word/document.xml", "bill.pdf", "", Reason.MISMATCH, "a Word document"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "talk.msg", "", Reason.UNSUPPORTED, "an Outlook message"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "photo.jpg", "", Reason.MISMATCH, "a Word document"),
    (b"<!DOCTYPE html><p>", "page.txt", "text/plain", Reason.MISMATCH, "a web page"),
    (b"<!DOCTYPE html><p>", "bill.pdf", "application/pdf", Reason.MISMATCH, "a web page"),
    (b"<svg onload='x'>", "photo.png", "image/png", Reason.MISMATCH, "an SVG drawing"),
    (b"{\\rtf1", "scan.tif", "", Reason.MISMATCH, "a rich text document"),
    (b'<?xml version="1.0"?><data>', "x.xml", "", Reason.UNSUPPORTED, "an XML file"),
    (b"MIME-Version: 1.0\r\n", "page.mht", "", Reason.UNSUPPORTED, "a web archive"),
    (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "film.mov", "", Reason.UNSUPPORTED, "a video"),
    (b"\x7fELF\x02", "x", "", Reason.UNSUPPORTED, "a program"),
    (b"\0\1\2\3" * 9, "x.dat", "", Reason.UNSUPPORTED, "a file of an unknown type"),
    (b"%!PS-Adobe-3.0 %PDF-", "bill.pdf", "", Reason.MISMATCH, "a PostScript program"),
    (b"MZ\x90\0", "bill.pdf", "", Reason.MISMATCH, "a program"),
    (b"MZ\x90\0", "bill", "application/pdf", Reason.MISMATCH, "a program"),
    (b"hello", "scan.tiff", "", Reason.DAMAGED, "does not begin as a TIFF picture does"),
    (b"hello", "letter.docx", "", Reason.DAMAGED, "does not begin as a Word document does"),
]


@pytest.mark.parametrize(("head", "name", "declared", "kind"), TAKEN)
def test_content_decides(head: bytes, name: str, declared: str, kind: Kind) -> None:
    """Lost otherwise: a good attachment is refused because its sender's program named it wrongly."""
    assert detect(head, name, declared) is kind


@pytest.mark.parametrize(("head", "name", "declared", "reason", "words"), REFUSED)
def test_other_types_are_refused_by_name(head: bytes, name: str, declared: str, reason: Reason, words: str) -> None:
    """Lost otherwise: a program is faxed as a page of signs, or the refusal does not say what was wrong."""
    with pytest.raises(Refused) as refusal:
        detect(head, name, declared)
    assert refusal.value.reason is reason
    assert words in refusal.value.sentence
    assert refusal.value.sentence.count(".") >= 2


def test_the_beginning_is_enough() -> None:
    """Lost otherwise: a text that is cut within a character at the end of the first bytes is taken for binary."""
    head = ("ä" * 4000).encode()[:4095]
    assert detect(head, "umlauts.txt") is Kind.TEXT


@pytest.mark.timeout(10)
def test_a_file_of_nothing_but_comments_is_judged_at_once() -> None:
    """Lost otherwise: two small mails stop the intake for a minute."""
    with pytest.raises(Refused):
        detect(b"<!---->" * 500 + b"\0\1")
    assert detect(b"<!---->\n" * 500 + b"<!doctype html>", "page.html", "text/html") is Kind.HTML
