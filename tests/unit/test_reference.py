"""The pages that are made from the code say what the code says."""

from __future__ import annotations

from pathlib import Path

from relay import reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_page_is_up_to_date() -> None:
    """Lost otherwise: an admin looks a key up that does not exist (mend it: make docs)."""
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == reference.render()
