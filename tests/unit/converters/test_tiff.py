"""Fax TIFF through libtiff: what is written is what was meant, what is read is believed only when it is whole."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from converters.errors import Broken, Refused
from converters.faxtiff import fax_pages
from converters.tiff import Page, Writer, of_strip, opened, verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def descriptor() -> Iterator[int]:
    """A file in memory."""
    opened_file = os.memfd_create("fax")
    yield opened_file
    os.close(opened_file)


def pattern(width: int = 1728, height: int = 300) -> Page:
    """A page of lines and specks."""
    rng = np.random.default_rng(11)
    ink = rng.random((height, width)) < 0.02
    ink[::9, 100:-100] = True
    return Page(width, height, 204, 196, np.packbits(ink, axis=1).tobytes())


def test_pages_come_back_as_they_were(descriptor: int) -> None:
    """Lost otherwise: the far end gets other pixels than the receipt shows."""
    pages = [pattern(), pattern(2048, 40), pattern(2432, 7)]
    writer = Writer(descriptor, len(pages))
    for page in pages:
        writer.add(page)
    sizes = writer.close()
    with opened(descriptor) as reader:
        read = [reader.page(tags.height) for tags in reader.directories(10)]
    assert [page.rows for page in read] == [page.rows for page in pages]
    assert [page.faults for page in read] == [0, 0, 0]
    assert verify(descriptor, 10) == 3
    assert sum(sizes) < os.fstat(descriptor).st_size


@pytest.mark.parametrize("cut", [8, 40, 2000])
def test_a_truncated_file_does_not_pass(descriptor: int, cut: int) -> None:
    """Lost otherwise: a T.30 engine sends half of the page and reports success."""
    writer = Writer(descriptor)
    writer.add(pattern())
    writer.close()
    data = bytearray(os.pread(descriptor, 10_000_000, 0))
    with opened(descriptor) as reader:
        reader.select(0)
        strip = reader.raw_strip()
    start = bytes(data).index(strip)
    data[start + len(strip) - cut : start + len(strip)] = bytes(cut)
    os.pwrite(descriptor, data, 0)
    with pytest.raises(Refused):
        verify(descriptor, 10)


def test_damage_between_writing_and_checking_is_noticed(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: a full disk or a faulty library makes a fax of garbage that counts as sent."""
    writer = Writer(descriptor)
    writer.add(pattern())
    close = writer._handle.close

    def close_and_spoil() -> None:
        close()
        os.pwrite(descriptor, b"\0" * 64, 900)

    monkeypatch.setattr(writer._handle, "close", close_and_spoil)
    with pytest.raises(Broken):
        writer.close()


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt", "packbits", None])
def test_every_coding_of_a_fax_passes_pixel_by_pixel(tmp_path: Path, compression: str | None) -> None:
    """Lost otherwise: faxes of other servers are drawn anew, blurred, or refused."""
    page = pattern(1728, 500)
    ink = np.unpackbits(np.frombuffer(page.rows, np.uint8)).reshape(500, 1728)
    picture = Image.fromarray(ink == 0)
    picture.save(tmp_path / "in.tif", compression=compression, dpi=(204, 98))
    with (tmp_path / "in.tif").open("rb") as file:
        read = fax_pages(file.fileno(), 10, 10)
        assert read is not None
        assert [(one.rows, one.y_dpi) for one in read] == [(page.rows, 98)]


def test_other_tiffs_are_pictures(tmp_path: Path) -> None:
    """Lost otherwise: a gray scan or a drawing is sent as if its pixels were a fax's."""
    for name, picture, dpi in (
        ("gray", Image.new("L", (1728, 500)), (204, 196)),
        ("wide", Image.new("1", (1700, 500)), (204, 196)),
        ("scan", Image.new("1", (1728, 500)), (300, 300)),
    ):
        picture.save(tmp_path / name, "TIFF", dpi=dpi)
        with (tmp_path / name).open("rb") as file:
            assert fax_pages(file.fileno(), 10, 10) is None, name


def test_any_strip_is_survived() -> None:
    """Lost otherwise: a hostile caller's page ends the worker or is taken for a good one."""
    rng = random.Random(4)
    for length in (1, 3, 50, 5000):
        page = of_strip(1728, 400, 204, 196, rng.randbytes(length))
        assert page.faults
        assert len(page.rows) == 400 * 216
