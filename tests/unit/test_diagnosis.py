"""What a trunk's test says in words, and what the capture of a call looks like to a reader of captures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from relay.capture import pcap
from relay.diagnosis import explain


def attempt(cause: str = "confirmed", **result: Any) -> dict[str, Any]:
    """Return an attempt as `fax show --json` has it."""
    known = {
        "sip_code": 200, "sip_reason": "OK", "ring_seconds": 2.0, "heard": 900, "media_lost": 0, "t38": False,
        "ecm": True, "bit_rate": 14400, "remote_ident": "+1 202", "t30_reason": "",
    }  # fmt: skip
    return {"cause": cause, "pages_confirmed": 1, "result": known | result}


def calls(*entries: tuple[str, str, str]) -> list[dict[str, Any]]:
    """Return a trace as `call trace --json` has it."""
    return [{"attempt": 1, "entries": [{"at": 0.0, "arrow": a, "layer": b, "text": c} for a, b, c in entries]}]


OFFER = ">", "sip", "INVITE sip:+12025550123@carrier.example (SDP image t38 udptl 30002)"


@pytest.mark.parametrize(
    ("made", "trace", "step", "ok", "told"),
    [
        (None, calls(), "call", False, "was not dialled"),
        (attempt("rejected", sip_code=403, sip_reason="Forbidden"), calls(), "call", False, "403 Forbidden: rejected"),
        (attempt("not_fax", heard=0), calls(), "media", False, "one-way media"),
        (attempt(t38=True), calls(OFFER), "T.38", True, "T.38 was agreed on"),
        (attempt(), calls(), "T.38", True, "nobody offered T.38"),
        (attempt(), calls(OFFER, ("<", "sip", "488 Not Acceptable Here")), "T.38", True,
         "us offered T.38, the far side answered 488"),
        (attempt(), calls(("-", "media", "latched to 203.0.113.9:4000 instead of 10.0.0.2:4000")), "NAT", True,
         "10.0.0.2"),
        (attempt(), calls(), "fax", True, "1 pages confirmed at 14400 bit/s with error correction by +1 202"),
        (attempt("training", t30_reason="Failed to train"), calls(), "fax", False, "training: Failed to train"),
    ],
)  # fmt: skip
def test_each_trouble_is_named(
    made: dict[str, Any] | None, trace: list[dict[str, Any]], step: str, ok: bool, told: str
) -> None:
    """Lost otherwise: an admin reads SIP captures for a day to find a closed port."""
    found = {entry["step"]: entry for entry in explain(made, trace)}
    assert found[step]["ok"] is ok
    assert told in found[step]["detail"]


def test_a_capture_can_be_read_by_tcpdump(tmp_path: Path) -> None:
    """Lost otherwise: the carrier's support cannot open what we send them."""
    message = {
        "at": 1790000000.5, "outgoing": True, "local": ["192.0.2.1", 5060], "remote": ["203.0.113.9", 5070],
        "text": "OPTIONS sip:203.0.113.9 SIP/2.0\r\nCall-ID: 1\r\n\r\n",
    }  # fmt: skip
    answer = message | {"outgoing": False, "text": "SIP/2.0 200 OK\r\nCall-ID: 1\r\n\r\n"}
    six = message | {"local": ["2001:db8::1", 5060], "remote": ["2001:db8::2", 5060]}
    data = pcap([message, answer, six])
    (tmp_path / "call.pcap").write_bytes(data)
    assert data[:4] == bytes.fromhex("d4c3b2a1")
    assert data.count(b"OPTIONS sip:") == 2
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed; the form was looked at byte by byte")
    read = subprocess.run(
        ["tcpdump", "-nvr", str(tmp_path / "call.pcap")], capture_output=True, text=True, check=True
    ).stdout
    assert "192.0.2.1.5060 > 203.0.113.9.5070" in read
    assert "203.0.113.9.5070 > 192.0.2.1.5060" in read
    assert "2001:db8::1.5060" in read
    assert "bad cksum" not in read
