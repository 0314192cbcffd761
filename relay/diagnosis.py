"""What a call's result and trace say of the trunk, as sentences for the person who sets it up. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Step = dict[str, Any]

_IMAGE = re.compile(r"SDP [^)]*image")
_REFUSED = re.compile(r"(4\d\d|5\d\d|6\d\d) ")
_ANSWERED = 200
_LATCHED = re.compile(r"latched|instead of")


def explain(attempt: Mapping[str, Any] | None, calls: Sequence[Mapping[str, Any]]) -> list[Step]:
    """Return the steps of a test call: the call itself, media both ways, T.38, addresses, pages.

    ``attempt`` as ``faxrelay fax show --json`` has it, ``calls`` as ``faxrelay call trace --json`` has them.
    """
    if attempt is None or not attempt.get("result"):
        return [_step("call", ok=False, detail="the test fax was not dialled; `faxrelay queue` says what it waits for")]
    result = attempt["result"]
    if result["sip_code"] != _ANSWERED:
        told = f"{result['sip_code'] or 'no answer from the trunk'} {result['sip_reason']}".strip()
        return [_step("call", ok=False, detail=f"{told}: {attempt['cause']}")]
    entries = calls[-1]["entries"] if calls else []
    return [
        _step("call", ok=True, detail=f"answered after {result['ring_seconds']:.1f} s"),
        _media(result),
        _t38(result, entries),
        *_addresses(entries),
        _pages(attempt, result),
    ]


def _media(result: Mapping[str, Any]) -> Step:
    if result["heard"]:
        return _step("media", ok=True, detail=f"{result['heard']} packets came, {result['media_lost']} were lost")
    return _step(
        "media", ok=False,
        detail="one-way media: the far side answered, but no packet of it reached us. A firewall or NAT stops them: "
        "open lines.sip.media_first to media_last for UDP, and set lines.sip.external_address",
    )  # fmt: skip


def _t38(result: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> Step:
    """Say who offered T.38 and what came of it; its absence is no fault, but calls in audio are more fragile."""
    if result["t38"]:
        return _step("T.38", ok=True, detail="T.38 was agreed on")
    offered: str | None = None
    for entry in entries:
        if entry["layer"] != "sip":
            continue
        if _IMAGE.search(entry["text"]):
            offered = "us" if entry["arrow"] == ">" else "the far side"
        elif offered and (refused := _REFUSED.match(entry["text"])):
            who = "the far side" if offered == "us" else "we"
            told = f"{offered} offered T.38, {who} answered {refused[1]}: the call stayed in audio"
            return _step("T.38", ok=True, detail=told)
    return _step("T.38", ok=True, detail="nobody offered T.38: the call stayed in audio (G.711)")


def _addresses(entries: Iterable[Mapping[str, Any]]) -> list[Step]:
    moved = [entry["text"] for entry in entries if entry["layer"] == "media" and _LATCHED.search(entry["text"])]
    if not moved:
        return []
    return [_step("NAT", ok=True, detail=f"the far side's media come from another address than it told: {moved[0]}")]


def _pages(attempt: Mapping[str, Any], result: Mapping[str, Any]) -> Step:
    good = attempt["cause"] == "confirmed"
    told = f"{attempt['pages_confirmed']} pages confirmed"
    if good:
        ecm = "with" if result["ecm"] else "without"
        machine = result["remote_ident"] or "a machine without ident"
        told += f" at {result['bit_rate']} bit/s {ecm} error correction by {machine}"
    else:
        told += f"; {attempt['cause']}: {result['t30_reason'] or result['sip_reason']}"
    return _step("fax", ok=good, detail=told)


def _step(step: str, *, ok: bool, detail: str) -> Step:
    return {"step": step, "ok": ok, "detail": detail}
