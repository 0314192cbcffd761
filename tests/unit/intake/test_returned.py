"""What reports on mails of ours say: the samples of programs that write them, and what is no report."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import Refusal
from relay.intake.mime_worker import read_report
from relay.intake.returned import MAX_WORDS

REPORTS = Path(__file__).parents[2] / "data" / "reports"
ADDRESS = "report-7-abc@fax.example.com"


def read(data: bytes) -> dict[str, Any]:
    """Return what a report says."""
    sink = io.BytesIO()
    answer = read_report(data.replace(b"\n", b"\r\n"), sink)
    said: dict[str, Any] = json.loads(sink.getvalue()[answer["at"] :][: answer["size"]])
    return said


def sample(name: str, *changes: tuple[str, str]) -> bytes:
    """Return a sample, with some of its text changed."""
    text = (REPORTS / f"{name}.eml").read_text("utf-8").replace("@@TO@@", ADDRESS)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("returned-postfix", "returned", "552 5.2.2 <bob@example.com>: Mailbox is over quota"),
        ("returned-exchange", "returned", "5.1.10"),
        ("delayed-postfix", "", ""),
        ("displayed-thunderbird", "opened", ""),
        ("deleted-unread", "", ""),
        ("vacation", "", ""),
    ],
)
def test_only_the_part_for_programs_counts(name: str, kind: str, words: str) -> None:
    """Lost otherwise: a mail that waits is told as returned, or an absent reader as one who has read."""
    assert read(sample(name)) == {"kind": kind, "words": words, "addressed": [ADDRESS]}


@pytest.mark.parametrize(
    ("name", "old", "new", "kind"),
    [
        ("returned-postfix", "multipart/report; report-type=delivery-status", "multipart/mixed", ""),
        ("returned-postfix", "Action: failed", "Action: failed\nAction: delivered", ""),
        ("returned-postfix", "Action: failed", "X-Action: failed", ""),
        ("returned-postfix", "Action: failed", "Action: FAILED", "returned"),
        ("returned-postfix", "message/delivery-status", "message/global-delivery-status", "returned"),
        ("displayed-thunderbird", "; displayed", "; displayed/warning", "opened"),
        ("displayed-thunderbird", "; displayed", ";  Displayed ", "opened"),
        ("displayed-thunderbird", "; displayed", "", ""),
        ("displayed-thunderbird", "; displayed", "; denied, displayed", ""),
        ("displayed-thunderbird", "Disposition: ", "Disposition: a; b\nDisposition: ", ""),
        ("displayed-thunderbird", "message/disposition-notification", "text/plain", ""),
    ],
)
def test_a_report_is_read_strictly(name: str, old: str, new: str, kind: str) -> None:
    """Lost otherwise: what can be read in two ways is told as true."""
    assert read(sample(name, (old, new)))["kind"] == kind


def test_what_a_server_says_is_one_line_of_bounded_length() -> None:
    """Lost otherwise: a server's words write lines of their own into a mail, a log or a callback."""
    long = "\\r\\n \x07" + "=?utf-8?q?a=0AB?= " + "x" * 900
    said = read(sample("returned-postfix", ("552 5.2.2 <bob@example.com>: Mailbox is over quota", long)))
    assert said["kind"] == "returned"
    assert len(said["words"]) <= MAX_WORDS
    assert not {"\n", "\r", "\x07"} & set(said["words"])


@given(st.sampled_from(sorted(one.stem for one in REPORTS.glob("*.eml"))), st.data())
def test_a_damaged_report_is_refused_or_says_something_of_the_known_kinds(name: str, data: st.DataObject) -> None:
    """Lost otherwise: a damaged report ends the child that reads mail, over and over."""
    whole = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(1, 255))
    kind = ""
    with contextlib.suppress(Refusal):
        kind = read(bytes(whole))["kind"]
    assert kind in {"", "returned", "opened"}
