"""What is read out of a mail: which parts become the fax, what the header says, and what is refused."""

from __future__ import annotations

import base64
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from relay.errors import Refusal
from relay.intake.message import ParsedMessage
from relay.intake.mime_worker import read_message

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[bytes], tuple[dict[str, Any], list[bytes]]]
    Sample = Callable[[str], tuple[dict[str, Any], list[bytes]]]

PDF = b"%PDF-1.4\n%%EOF\n"
FROM = b"From: alice@example.com\n"


def part(kind: str, data: bytes = PDF, *, name: str | None = None, more: str = "") -> bytes:
    """Return one MIME part, in base64."""
    named = f'; name="{name}"\nContent-Disposition: attachment; filename="{name}"' if name else ""
    header = f"Content-Type: {kind}{named}\nContent-Transfer-Encoding: base64\n{more}\n"
    return header.encode() + base64.encodebytes(data)


def mixed(*parts: bytes, header: bytes = FROM, kind: bytes = b"multipart/mixed") -> bytes:
    """Return a mail of several parts."""
    body = b"".join(b"--=b\n" + one + b"\n" for one in parts)
    return header + b"MIME-Version: 1.0\nContent-Type: " + kind + b'; boundary="=b"\n\n' + body + b"--=b--\n"


def names(said: dict[str, Any]) -> list[str]:
    """Return the names of the files."""
    return [file["name"] for file in said["attachments"]]


def test_apple_mail_hides_files_inside_the_alternative(sample: Sample) -> None:
    """Lost otherwise: everybody with a Mac is told that there is no attachment."""
    said, files = sample("apple-mail.eml")
    assert names(said) == ["חוזה.pdf", "scan.png"]
    assert files[0] == PDF
    assert said["sender"] == "Michal@Example.COM"
    assert said["subject"] == "חוזה חתום"


@pytest.mark.parametrize(
    "page", [b"<table><tr><td>" * 3000, b"<img src='https://example.com/all.png'>", b"<p>The words of the page</p>"]
)
def test_the_plain_text_stands_for_the_page_beside_it(read: Read, page: bytes) -> None:
    """Lost otherwise: a mail that has its text twice is refused because its web page cannot be drawn."""
    both = part("text/plain", b"The words of the text"), part("text/html", page)
    said, _ = read(mixed(*both, kind=b"multipart/alternative"))
    assert said["body"]["media_type"].startswith("text/plain")
    assert said["body"]["size"] == len(b"The words of the text")


def test_a_page_stands_for_a_plain_text_of_blanks(read: Read) -> None:
    """Lost otherwise: a mail program that writes an empty plain text beside its page sends empty faxes."""
    both = part("text/plain", b" \r\n"), part("text/html", b"<p>The words of the page</p>")
    said, _ = read(mixed(*both, kind=b"multipart/alternative"))
    assert said["body"]["media_type"].startswith("text/html")


def test_outlooks_logo_is_no_page(sample: Sample) -> None:
    """Lost otherwise: each fax from an office with a logo in its signature has a page that shows only the logo."""
    said, _ = sample("outlook-logo.eml")
    assert names(said) == ["order.pdf", "note.txt"]
    assert said["skipped"] == ["body", "body", "inline image"]
    assert said["sender"] == "john.doe@example.com"
    assert said["thread"] == "<first@example.com> <second@example.com> <DB9P1@example.com>"
    assert (said["hops"], said["requested_number"]) == (2, "+972 3-123-4567")


def test_a_signature_is_no_page(sample: Sample) -> None:
    """Lost otherwise: signed mail is refused for the file smime.p7s."""
    said, files = sample("signed.eml")
    assert names(said) == ["signed.pdf"]
    assert files == [PDF]


def test_invitations_and_cards_are_no_pages(sample: Sample) -> None:
    """Lost otherwise: a mail with a meeting in it cannot be faxed."""
    said, _ = sample("invitation.eml")
    assert names(said) == ["agenda.pdf"]
    assert said["automatic"] is False


def test_what_the_child_says_is_what_the_relay_understands(sample: Sample) -> None:
    """Lost otherwise: every mail is refused as unreadable after a change on one side only."""
    for name in ("apple-mail.eml", "outlook-logo.eml", "signed.eml", "invitation.eml"):
        said, _ = sample(name)
        assert ParsedMessage.model_validate_json(json.dumps(said)).sender == said["sender"]


def test_a_picture_that_nothing_refers_to_is_a_page(read: Read) -> None:
    """Lost otherwise: a photo that a telephone sends inline never leaves."""
    picture = part("image/png", b"\x89PNG\r\n\x1a\n", more="Content-Disposition: inline\nContent-ID: <p1>\n")
    said, _ = read(mixed(b"Content-Type: text/html\n\n<p>no picture here</p>\n", picture))
    assert names(said) == ["attachment 1"]


def test_a_mail_of_one_document_and_nothing_else(read: Read) -> None:
    """Lost otherwise: scanners, which send the PDF as the whole mail, are refused."""
    said, files = read(FROM + part("application/pdf", name="scan.pdf"))
    assert (names(said), files) == (["scan.pdf"], [PDF])


@pytest.mark.parametrize(
    ("header", "automatic"),
    [
        (b"", False),
        (b"Auto-Submitted: no\n", False),
        (b"Auto-Submitted: auto-replied (vacation)\n", True),
        (b"Auto-Submitted: auto-generated; owner=x\n", True),
        (b"List-Id: <news.example.com>\n", True),
        (b"Precedence: Bulk\n", True),
        (b"Precedence: first-class\n", False),
    ],
)
def test_automatic_mail_is_known(read: Read, header: bytes, automatic: bool) -> None:
    """Lost otherwise: the relay and a vacation programme answer each other for ever."""
    said, _ = read(FROM + header + part("application/pdf"))
    assert said["automatic"] is automatic


@pytest.mark.parametrize(
    ("value", "sender"),
    [
        (b"alice@example.com", "alice@example.com"),
        (b"John Q. Public <jqp@example.com>", "jqp@example.com"),
        (b'"bob@evil.example" <alice@example.com>', "alice@example.com"),
        (b"=?utf-8?B?4pml?= <alice@example.com>", "alice@example.com"),
        ("אליס <alice@example.com>".encode(), "alice@example.com"),
        ("<δοκιμή@παράδειγμα.example>".encode(), "δοκιμή@παράδειγμα.example"),
        (b"\xe9t\xe9 <alice@example.com>", "alice@example.com"),
        (b"alice@example.com (bob@evil.example)", "alice@example.com"),
        (b"\n <alice@example.com>", "alice@example.com"),
    ],
)
def test_from_lines_of_real_life(read: Read, value: bytes, sender: str) -> None:
    """Lost otherwise: people with ordinary names in their From line are refused."""
    said, _ = read(b"From: " + value + b"\n" + part("application/pdf"))
    assert said["sender"] == sender


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (b"", "The message has no From line"),
        (b"From: \n", "The message has no From line"),
        (FROM + b"From: bob@example.com\n", "it has more than one From line"),
        (FROM + b"fRoM: bob@example.com\n", "it has more than one From line"),
        (FROM + b"From : bob@example.com\n", "a line of its header is no header line"),
        (b"From: alice@example.com, bob@example.com\n", "names more than one address"),
        (b"From: Doe, John <alice@example.com>\n", "names more than one address"),
        (b"From: office: alice@example.com;\n", "names a group"),
        (b"From: undisclosed:;\n", "names a group"),
        (b"From: <alice@example.com> <bob@example.com>\n", "The From line cannot be read"),
        (b"From: alice@example.com bob@example.com\n", "The From line cannot be read"),
        (b"From: =?utf-8?q?alice?=@example.com\n", "The From line cannot be read"),
        (b"From: <alice@example.com\n", "The From line cannot be read"),
        (b"From: alice @ example.com\n", "The From line cannot be read"),
        (b"From: Alice\n", "The From line cannot be read"),
        (b"From: alice@example.com\x01\n", "The From line cannot be read"),
        (b"From: " + b"(" * 900 + b"\n", "too complicated"),
        (b"From: " + b"\n ".join([b"a" * 900] * 2) + b"\n", "longer than 1000 characters"),
        (b"From alice@example.com Sat Nov 21\n" + FROM, "a line of its header is no header line"),
        (b" folded: before anything\n" + FROM, "a line of its header is no header line"),
        (FROM + b"Content-Type: text/plain\n", "it has more than one Content-Type line"),
        (FROM + b"Message-ID: <a@b>\nMessage-ID: <c@d>\n", "it has more than one Message-Id line"),
        (FROM + b"X-Long: " + b"\n ".join([b"a" * 900] * 80) + b"\n", "its header is longer than 64 KB"),
        (FROM + b"X-Line: " + b"a" * 1000 + b"\n", "a line is longer than 998 bytes"),
        (FROM + b"X-Nul: a\0b\n", "it contains NUL characters"),
    ],
)
def test_headers_that_can_be_read_in_two_ways_are_refused(read: Read, header: bytes, sentence: str) -> None:
    """Lost otherwise: a forger shows one sender to the policy and another to the reader."""
    with pytest.raises((Refusal, RecursionError)) as refused:
        read(header + part("application/pdf"))
    # serve() gives the RecursionError its sentence, in the child that it happens in
    told = str(refused.value) if isinstance(refused.value, Refusal) else "too complicated"
    assert sentence in told


@pytest.mark.parametrize("text", [b"bare\nline", b"bare\rreturn", b"end\n", b"\r\r\n"])
def test_bare_line_ends_are_refused(read: Read, text: bytes) -> None:
    """Lost otherwise: what two servers understand of one mail differs."""
    with pytest.raises(Refusal, match=r"5\.6\.0 .* do not end with CR and LF"):
        read(b"From: alice@example.com\r\n\r\n" + text + b"\r\n")


def nested(levels: int) -> bytes:
    """Return multiparts inside each other."""
    opened = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(levels))
    closed = b"".join(b"\n--b%d--\n" % n for n in reversed(range(levels)))
    return FROM + b"MIME-Version: 1.0\n" + opened + part("application/pdf") + closed


def test_twenty_levels_are_read(read: Read) -> None:
    """Lost otherwise: a limit that nobody needs turns honest mail away."""
    said, _ = read(nested(20))
    assert len(said["attachments"]) == 1


@pytest.mark.parametrize("levels", [21, 3000])
def test_more_levels_are_refused(read: Read, levels: int) -> None:
    """Lost otherwise: 171 KB of nesting end the reader."""
    with pytest.raises(Refusal, match="more than 20 of its parts hold other parts"):
        read(nested(levels))


def test_two_hundred_parts_are_the_most(read: Read) -> None:
    """Lost otherwise: a mail of a million parts keeps a reader busy for a minute."""
    said, _ = read(mixed(*[part("application/pdf")] * 199))
    assert len(said["attachments"]) == 199
    with pytest.raises(Refusal, match="more than 200 parts"):
        read(mixed(*[part("application/pdf")] * 200))


@pytest.mark.parametrize(
    ("mail", "refusal"),
    [
        (
            mixed(part("application/ms-tnef", name="winmail.dat")),
            "550 5.6.1 The files are packed in winmail.dat",
        ),
        (
            mixed(part("application/octet-stream", name="winmail.dat")),
            "550 5.6.1 The files are packed in winmail.dat",
        ),
        (mixed(part("application/zip", name="a.zip")), '550 5.6.1 The attachment "a.zip" is a zip archive'),
        (
            FROM + part("application/pkcs7-mime; smime-type=enveloped-data", name="smime.p7m"),
            "5.6.1 The mail is encrypted",
        ),
        (mixed(part("application/pgp-encrypted"), kind=b"multipart/encrypted"), "5.6.1 The mail is encrypted"),
        (
            mixed(b"Content-Type: message/rfc822\n\n" + FROM + b"\nforwarded\n"),
            '550 5.6.1 The attachment "message" is a forwarded mail',
        ),
        (mixed(part("application/pdf", b"", name="a.pdf")), '550 5.6.0 The attachment "a.pdf" is empty.'),
        (
            mixed(b"Content-Type: application/pdf; name=a.pdf\nContent-Transfer-Encoding: base64\n\nJVBERi0!!xLjQK\n"),
            '550 5.6.0 The attachment "a.pdf" is damaged',
        ),
        (mixed(part("application/pdf")).replace(b"--=b--\n", b""), "550 5.6.0 The message is damaged: it was cut off"),
        (FROM + b"Content-Type: multipart/mixed\n\n" + PDF, "550 5.6.0 The message is damaged"),
        (
            mixed(part("application/pdf", more="Content-Type: text/html\n")),
            "550 5.6.0 The message is malformed: a part has more than one Content-Type line.",
        ),
        (
            mixed(
                part(
                    "application/pdf",
                    more="Content-Description: " + "\n ".join(["x" * 900] * 10) + "\n",
                )
            ),
            "a part's description exceeds 8 KB",
        ),
    ],
)
def test_what_cannot_be_opened_fails_the_mail(read: Read, mail: bytes, refusal: str) -> None:
    """Lost otherwise: a fax leaves with a document missing, and nobody is told."""
    with pytest.raises(Refusal) as refused:
        read(mail)
    assert refusal in str(refused.value)


@pytest.mark.parametrize(
    ("declared", "name"),
    [
        ('filename="../../etc/passwd"', "passwd"),
        ('filename="a\u202efdp.exe"', "a fdp.exe"),
        ('filename="=?utf-8?B?15fXldeW15QucGRm?="', "חוזה.pdf"),
        ("filename*=utf-8''%D7%97%D7%95%D7%96%D7%94.pdf", "חוזה.pdf"),
        ('filename*0="con"; filename*1="tract.pdf"', "contract.pdf"),
        ("filename*=no-such-charset''%ff.pdf", "ÿ.pdf"),
        (f'filename="{"a" * 300}.pdf"', "a" * 96 + ".pdf"),
        ('filename="a\tb.pdf"', "a b.pdf"),
        ('filename="חוזה.pdf"', "חוזה.pdf"),
        ('filename=""', "attachment 1"),
    ],
)
def test_file_names_are_for_people(read: Read, declared: str, name: str) -> None:
    """Lost otherwise: a name becomes a path, or shows as something that it is not."""
    header = f"Content-Type: application/pdf\nContent-Disposition: attachment; {declared}\n"
    said, _ = read(mixed(header.encode() + b"\n" + PDF))
    assert names(said) == [name]


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.docx", b"PK\x03\x04", '"a.docx" is damaged'),
        ("a.pdf", b"<html>", '"a.pdf" is not what its name says'),
        ("a.bin", b"\x7fELF\x02\x01\x01\0", "cannot be faxed"),
    ],
)
def test_files_that_cannot_be_faxed_are_named(read: Read, name: str, data: bytes, sentence: str) -> None:
    """Lost otherwise: the sender hears of it an hour later, or not which of his files it was."""
    said, _ = read(mixed(part("application/octet-stream", data, name=name)))
    assert sentence in said["attachments"][0]["refusal"]


def test_a_web_page_is_the_text_of_a_mail_that_has_no_other(read: Read) -> None:
    """Lost otherwise: a mail that a program wrote as a web page alone is faxed without its words or its logo."""
    picture = b"Content-Type: image/png\nContent-ID: <logo@x>\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n"
    page = (
        b'Content-Type: text/html; charset=iso-8859-1\n\n<p>Gr\xfc\xdfe <img src="cid:logo%40x"><img src="cid:none">\n'
    )
    said, _ = read(mixed(page, picture, kind=b"multipart/related"))
    sink = io.BytesIO()
    answer = read_message(mixed(page, picture, kind=b"multipart/related").replace(b"\n", b"\r\n"), sink)
    body = said["body"]
    text = sink.getvalue()[: answer["at"]][body["offset"] :][: body["size"]].decode()
    assert body["media_type"] == "text/html; charset=utf-8"
    assert "<p>Grüße" in text
    assert 'src="data:image/png;base64,iVBORw0KGgo="' in text
    assert 'src="cid:none"' in text


def test_the_plain_text_is_taken_before_the_web_page(read: Read) -> None:
    """Lost otherwise: the text of a cover page is markup."""
    said, _ = read(mixed(b"Content-Type: text/html\n\n<p>x\n", b"Content-Type: text/plain\n\nx\n"))
    assert said["body"]["media_type"] == "text/plain"
