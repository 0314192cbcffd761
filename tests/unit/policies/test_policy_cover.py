"""Cover pages in the policy: the section's keys, a number's own, and the file of a logo."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies import Look
from policies.cover import MAX_LOGO, logo_fault

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

ENTRY = "{number: '+97231234567', deliver_to: [a@example.com], body: cover%s}"


def png(width: int, height: int) -> bytes:
    """Return as much of a PNG as a policy looks at."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def jpeg(width: int, height: int) -> bytes:
    """Return as much of a JPEG: a table, then a progressive frame."""
    return b"\xff\xd8\xff\xdb\x00\x04ab\xff\xc2\x00\x0b\x08" + struct.pack(">HH", height, width) + bytes(4)


def test_a_number_has_the_sections_keys_but_for_its_own(load_text: LoadText, tmp_path: Path) -> None:
    """Lost otherwise: a department's faxes go out under the name of another."""
    (tmp_path / "logo.png").write_bytes(png(300, 100))
    policy = load_text(f"""
        cover: {{look: office, company: Example Ltd, phone: "*2700", logo: logo.png}}
        numbers:
          - {ENTRY % ", cover: {company: Accounting, logo: none}"}
          - {ENTRY.replace("67", "68") % ""}
    """)
    own, other = (policy.numbers[number].cover for number in ("+97231234567", "+97231234568"))
    assert (own.look, own.company, own.phone, own.logo) == (Look.OFFICE, "Accounting", "*2700", "")
    assert (other.company, other.logo) == ("Example Ltd", str(tmp_path / "logo.png"))


def test_without_a_key_a_cover_is_plain(load_text: LoadText) -> None:
    """Lost otherwise: an upgrade changes how faxes look."""
    assert load_text(f"numbers: [{ENTRY % ''}]").numbers["+97231234567"].cover.look is Look.PLAIN


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("logo: logo.png", "numbers[0].cover.logo: there is no file logo.png; put the logo beside the policy file"),
        ("logo: ../logo.png", "numbers[0].cover.logo: a logo is a file beside the policy file"),
        ("logo: /etc/passwd", "numbers[0].cover.logo: a logo is a file beside the policy file"),
        ("look: fancy", "numbers[0].cover.look: 'fancy' is none of the possible values; write one of plain, office"),
        (f"company: {'x' * 61}", "numbers[0].cover.company: a line of a cover page holds up to 60"),
    ],
)
def test_a_mistake_is_told_at_its_key(mistakes: Mistakes, tmp_path: Path, written: str, told: str) -> None:
    """Lost otherwise: the first who sees that the logo is missing is the recipient."""
    (error,) = mistakes(f"numbers:\n  - {ENTRY % f', cover: {{{written}}}'}")
    place, _, rest = error.replace(f"{tmp_path}/", "").partition(" ")
    assert place.startswith("a.yaml:2:")
    assert rest.startswith(told)


def test_a_cover_that_never_goes_out_is_told(mistakes: Mistakes) -> None:
    """Lost otherwise: an administrator waits for covers that no fax has."""
    entry = ENTRY.replace(", body: cover", "") % ", cover: {look: office}"
    (error,) = mistakes(f"numbers: [{entry}]")
    assert "numbers[0].cover: it has no effect without a cover page; write 'body: cover'" in error


def test_the_section_stands_once(mistakes: Mistakes) -> None:
    """Lost otherwise: which of two looks counts depends on the names of files."""
    assert mistakes("cover: {look: office}", "cover: {look: letter}") == [
        "b.yaml:1:8: cover: section cover already stands in a.yaml:1; keep one of the two"
    ]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (png(300, 100), None),
        (jpeg(300, 100), None),
        (png(2001, 10), "2001 x 10 pixels"),
        (jpeg(10, 2001), "10 x 2001 pixels"),
        (png(300, 100) + bytes(MAX_LOGO), "more than 256 KB"),
        (png(0, 100), "no PNG or JPEG"),
        (b"\xff\xd8\xff\xdb\x00\x00", "no PNG or JPEG"),
        (b"\xff\xd8\xff", "no PNG or JPEG"),
        (b"<svg/>", "no PNG or JPEG"),
        (b"", "no PNG or JPEG"),
    ],
)
def test_a_logo_is_known_by_its_content(tmp_path: Path, data: bytes, fault: str | None) -> None:
    """Lost otherwise: a policy is taken whose logo no cover can show, or whose picture fills the memory."""
    path = tmp_path / "logo.png"
    path.write_bytes(data)
    found = logo_fault(path)
    assert (found is None) if fault is None else (found is not None and fault in found[0])


def test_what_is_no_file_is_no_logo(tmp_path: Path) -> None:
    """Lost otherwise: a folder or a pipe by that name ends or stops the reading of the policy."""
    assert logo_fault(tmp_path) is not None
