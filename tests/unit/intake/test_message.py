"""What a reader of mail answers is checked: a message may have taken it over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from relay.errors import Refusal
from relay.intake.message import ParsedMessage, _understood
from relay.intake.pool import Nonsense

if TYPE_CHECKING:
    from pathlib import Path

SAID: dict[str, Any] = {
    "sender": "alice@example.com", "subject": "", "message_id": None, "thread": "", "automatic": False, "hops": 0,
    "looped": False, "requested_number": None, "skipped": [],
    "attachments": [{"name": "a.pdf", "media_type": "application/pdf", "offset": 0, "size": 5, "refusal": None}],
}  # fmt: skip


def answer(folder: Path, said: object, **changes: object) -> tuple[dict[str, object], Path]:
    """Return a child's answer with the content file that goes with it."""
    index = json.dumps(said).encode()
    content = folder / "content"
    content.write_bytes(b"%PDF-" + index)
    return {"at": 5, "size": len(index), **changes}, content


def test_an_honest_answer_is_understood(tmp_path: Path) -> None:
    """Lost otherwise: no mail at all."""
    said = _understood(*answer(tmp_path, SAID))
    assert isinstance(said, ParsedMessage)
    assert said.attachments[0].size == 5


@pytest.mark.parametrize(
    "change",
    [
        {"sender": "x" * 400},
        {"sender": 5},
        {"automatic": "no"},
        {"message_id": "<a b>"},
        {"message_id": "<a>\r\nBcc: everybody@example.com"},
        {"thread": "<a>\r\nBcc: everybody@example.com"},
        {"attachments": [{**SAID["attachments"][0], "size": 6}]},
        {"attachments": [{**SAID["attachments"][0], "offset": -1}]},
        {"attachments": SAID["attachments"] * 201},
        {"proof": "auth"},
    ],
)
def test_what_no_reader_says_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    """Lost otherwise: a hostile mail writes headers into our mail, or reads what lies behind its files."""
    with pytest.raises(Nonsense):
        _understood(*answer(tmp_path, SAID | change))


@pytest.mark.parametrize(
    "change",
    [{"at": -1}, {"at": "5"}, {"size": 0}, {"size": 2**40}, {"at": 2**40}, {"size": 4}],
)
def test_an_index_that_is_not_there_is_not_believed(tmp_path: Path, change: dict[str, Any]) -> None:
    """Lost otherwise: a hostile mail makes the relay read a terabyte, or nothing, for ever."""
    with pytest.raises(Nonsense):
        _understood(*answer(tmp_path, SAID, **change))


def test_a_refusal_has_a_code_that_readers_give(tmp_path: Path) -> None:
    """Lost otherwise: a hostile mail answers 250 for the relay."""
    content = tmp_path / "content"
    refusal = _understood({"refusal": [550, "5.6.1", "No."]}, content)
    assert isinstance(refusal, Refusal)
    for code in ([250, "2.0.0", "Yes."], [550, "2.0.0", "Yes."], [550, "5.6.0"], "no"):
        with pytest.raises(Nonsense):
            _understood({"refusal": code}, content)
