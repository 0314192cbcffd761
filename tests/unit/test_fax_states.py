"""The life of a fax: the table of the code is the table that people read, and it keeps its promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay import fax
from relay.errors import IllegalMove
from relay.fax import INBOUND_MOVES, OUTBOUND_MOVES, Inbound, Outbound

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"


def drawn(section: str) -> dict[str, set[str]]:
    """Return the table of a section of docs/states.md."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"## {section}")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|([^|]*)\|$", text, re.MULTILINE)
    return {before: set(filter(None, re.split(r"[,\s]+", after))) for before, after in rows if before != "from"}


@pytest.mark.parametrize(
    ("section", "moves"), [("A fax that we send", OUTBOUND_MOVES), ("A fax that we receive", INBOUND_MOVES)]
)
def test_the_document_draws_the_tables_of_the_code(section: str, moves: dict[fax.State, frozenset[fax.State]]) -> None:
    """Lost otherwise: an operator reads a state that does not exist, or misses one that does."""
    assert drawn(section) == {before.value: {after.value for after in afters} for before, afters in moves.items()}


def test_sent_is_reached_from_a_call_alone() -> None:
    """Lost otherwise: a fax could be called sent that nobody confirmed."""
    assert {before for before, afters in OUTBOUND_MOVES.items() if Outbound.SENT in afters} == {Outbound.DIALING}


def test_what_has_ended_stays_so() -> None:
    """Lost otherwise: a receipt that was mailed could turn out wrong."""
    ended = {Outbound.SENT, Outbound.FAILED, Outbound.UNCERTAIN, Outbound.CANCELLED}
    assert {state for state in Outbound if fax.terminal(state)} == ended
    assert {state for state in Inbound if fax.terminal(state)} == {Inbound.DELIVERED, Inbound.UNDELIVERABLE}
    for before in ended:
        with pytest.raises(IllegalMove):
            fax.check(before, Outbound.QUEUED)
