"""Signed links: what is read back is what was made, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.web.links import Action, BadLink, EndedLink, Links

LINKS = Links(b"k" * 32, life=100.0)
ACTIONS = st.sampled_from(Action)
IDS = st.integers(1, 10**19 - 1)


def parts(action: Action, fax_id: int) -> list[str]:
    """Return action, fax, end and signature of a link that was given out at 1000 s."""
    base = "https://fax.example.com"
    url = (
        LINKS.answer(base, action, fax_id, 2, 1100.0) if action.decides else LINKS.url(base, action, fax_id, 1000.0)[0]
    )
    return url.removeprefix("https://fax.example.com/link/").split("/")


@given(ACTIONS, IDS)
def test_a_link_holds_what_it_was_made_for_until_it_ends(action: Action, fax_id: int) -> None:
    """Lost otherwise: links in mails do not work, or work for ever."""
    made = parts(action, fax_id)
    link = LINKS.read(*made, now=1099.9)
    assert (link.action, link.fax_id, link.until) == (action, fax_id, 1100)
    assert link.position == (2 if action.decides else None)
    with pytest.raises(EndedLink):
        LINKS.read(*made, now=1100.0)
    with pytest.raises(BadLink):
        Links(b"x" * 32, life=100.0).read(*made, now=1000.0)


@given(ACTIONS, IDS, st.integers(0, 3), st.text(min_size=1, max_size=60))
def test_no_part_of_a_link_can_be_changed(action: Action, fax_id: int, part: int, other: str) -> None:
    """Lost otherwise: whoever has one link has them all."""
    made = parts(action, fax_id)
    if made[part] == other:
        return
    made[part] = other
    with pytest.raises(BadLink):
        LINKS.read(*made, now=1000.0)


def test_an_ended_link_that_is_forged_is_forged() -> None:
    """Lost otherwise: an answer tells a guesser that a fax exists."""
    made = parts(Action.RESEND, 7)
    made[3] = "A" * 43
    with pytest.raises(BadLink):
        LINKS.read(*made, now=5000.0)
