"""One row of the benches' table, and how it is printed."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """What was measured, our figure, the peer's in the same run, and the ratio of ours to theirs."""

    measured: str
    ours: str
    peer: str = ""
    ratio: str = ""


HEAD = "| measured | faxrelay | peer | ratio |\n| --- | --- | --- | --- |"


def line(row: Row) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(row) + " |"
