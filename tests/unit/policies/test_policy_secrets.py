"""References to secrets, and what they name."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import SecretError, SecretKind, SecretReference
from policies.secrets import MAX_BYTES, BadReference, parse_reference, read


def no_file(path: Path) -> BinaryIO:
    """Stand for a disk without files."""
    raise FileNotFoundError(2, "No such file or directory", str(path))


@pytest.mark.parametrize("text", ["env:X", "env:carrier_1", "file:/run/secrets/a b", "file:/x:y"])
def test_a_reference_reads_as_it_is_written(text: str) -> None:
    """A password would be looked for in another place than the admin named."""
    reference = parse_reference(text)
    assert str(reference) == text
    assert reference == SecretReference(SecretKind(text.partition(":")[0]), text.partition(":")[2])


@given(st.text(max_size=30))
def test_whatever_is_no_reference_is_refused_without_repeating_it(text: str) -> None:
    """A password that stands in the file itself would be used, or shown."""
    try:
        reference = parse_reference(text)
    except BadReference as error:
        assert len(text) < 8 or text not in f"{error} {error.remedy}"  # noqa: PT017 -- either branch is right
    else:
        assert str(reference) == text


def test_a_variable_is_read() -> None:
    """A trunk could not log in."""
    assert read(parse_reference("env:P"), {"P": " pass word "}, no_file) == " pass word "


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"word", "word"), (b"word\n", "word"), (b"word\r\n", "word"), (b" w ", " w "), ("ä\n".encode(), "ä")],
)
def test_a_file_is_read_without_its_last_line_break(content: bytes, secret: str, tmp_path: Path) -> None:
    """A password that an editor saved would be wrong by a line break, or one with spaces by its spaces."""
    path = tmp_path / "secret"
    path.write_bytes(content)
    assert read(parse_reference(f"file:{path}"), {}, lambda name: name.open("rb")) == secret


@pytest.mark.parametrize(
    ("text", "content", "told"),
    [
        ("env:P", None, "the secret env:P is not there; set the variable in the service's environment"),
        ("env:EMPTY", None, "the secret env:EMPTY is empty; put the password there"),
        ("env:BROKEN", None, "the secret env:BROKEN holds a line break or control character"),
        ("file:/p", None, "the secret file:/p cannot be read (No such file or directory)"),
        ("file:/p", b"\n", "the secret file:/p is empty"),
        ("file:/p", b"hunter2\n\n", "the secret file:/p holds a line break"),
        ("file:/p", b"hunter2\xff", "the secret file:/p is not UTF-8"),
        ("file:/p", b"hunter2" * MAX_BYTES, f"the secret file:/p is longer than {MAX_BYTES} bytes"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_reference(text: str, content: bytes | None, told: str) -> None:
    """An admin would search for the reason why a trunk cannot log in, or find the password in a log."""
    environ = {"EMPTY": "", "BROKEN": "hunter2\r\nVia: x"}
    with pytest.raises(SecretError) as raised:
        read(parse_reference(text), environ, no_file if content is None else lambda _: BytesIO(content))
    assert str(raised.value).startswith(told)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
