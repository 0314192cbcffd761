"""Whatever arrives, the reader of mail gives an answer: a message that the relay understands, or a refusal."""

from __future__ import annotations

import io
import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import Refusal
from relay.intake.message import ParsedMessage
from relay.intake.mime_worker import read_message

FOLDER = Path(__file__).parents[2] / "data" / "mail"
MAILS = [path.read_bytes().replace(b"\n", b"\r\n") for path in sorted(FOLDER.iterdir())]
#: What mail is made of, and what breaks it.
PIECES = [
    b"\r\n", b"\r\n\r\n", b"--", b";", b'"', b"=?utf-8?q?", b"?=", b"=?x?B?", b"boundary=", b"multipart/signed",
    b"<", b">", b"(", b":", b"\xff", b"\0", b"\r", b"\n", b"From: a@b.example\r\n", b"From: <@",
    b"Content-Type: multipart/mixed; boundary=_004_\r\n", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: ", b"Content-Type: ;;=;\r\n", b"Content-Transfer-Encoding: uuencode\r\n", b"begin 644 a\r\n",
    b"Content-Disposition: attachment; filename*0*=x''%\r\n", b"filename*=utf-16''%00%d8.pdf",
    b"Message-ID: <", b"References: <<>>", b"Subject: =?utf-7?b?+2AA-?=\r\n",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a mail with pieces cut out, put in and repeated."""
    data = draw(st.sampled_from(MAILS))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        piece = draw(st.sampled_from(PIECES) | st.binary(max_size=6))
        data = data[:start] + piece + data[end:]
    return data


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_every_message_gets_an_answer(data: bytes) -> None:
    """Lost otherwise: a mail that nobody thought of ends the reader, and nobody can tell its sender why."""
    sink = io.BytesIO()
    try:
        answer = read_message(data, sink)
    except Refusal as refusal:
        assert (refusal.code, refusal.enhanced) in {(550, "5.6.0"), (550, "5.6.1")}  # noqa: PT017  either is a property
    else:
        index = sink.getvalue()[answer["at"] :][: answer["size"]]
        said = ParsedMessage.model_validate_json(index)
        assert json.loads(index)["sender"] == said.sender
        assert sum(file.size for file in [*said.attachments, *filter(None, [said.body])]) == answer["at"]
