"""Causes: the table from what is known at a call's end to why it ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.causes import Ending, Hangup, cause_of, cause_of_refusal
from transport.seam import Cause


def sending(
    hangup: Hangup, code: int | None, confirmed: int = 0, *, contact: bool = True, trained: bool = True
) -> Ending:
    """Return the ending of a call that sent a document of two pages."""
    return Ending(hangup, pages=2, confirmed=confirmed, contact=contact, trained=trained, code=code)


def receiving(
    hangup: Hangup, code: int | None, confirmed: int = 0, *, contact: bool = True, last_page: bool = False
) -> Ending:
    """Return the ending of a call that received."""
    return Ending(hangup, None, confirmed, contact=contact, trained=contact, code=code, last_page=last_page)


@pytest.mark.parametrize(
    ("ending", "cause"),
    [
        (sending(Hangup.DONE, 0, 2), Cause.CONFIRMED),
        (sending(Hangup.FAR, 49, 2), Cause.CONFIRMED),  # many machines hang up instead of waiting for DCN
        (sending(Hangup.DONE, 21, 2), Cause.CONFIRMED),
        (sending(Hangup.LOST_WORKER, None, 2), Cause.CONFIRMED),
        (sending(Hangup.FAR, 49, 1), Cause.LOST_CALL),
        (sending(Hangup.FAR, None, 1), Cause.LOST_CALL),
        (sending(Hangup.DONE, 21, 1), Cause.LOST_CALL),  # no answer to the page: the far end vanished
        (sending(Hangup.DEADLINE, None, 1), Cause.LOST_CALL),
        (sending(Hangup.CANCELLED, None, 1), Cause.CANCELLED),
        (sending(Hangup.FAULT, None), Cause.LOCAL),
        (sending(Hangup.LOST_WORKER, None, 1), Cause.LOCAL),
        (sending(Hangup.DOCUMENT, None, contact=False), Cause.DOCUMENT),
        (sending(Hangup.DONE, 0), Cause.DOCUMENT),  # libspandsp is content with a document that it could not read
        (sending(Hangup.DONE, 43), Cause.DOCUMENT),
        (sending(Hangup.DONE, 41, contact=False), Cause.DOCUMENT),
        (sending(Hangup.DONE, 11), Cause.DOCUMENT),
        (sending(Hangup.DONE, 6, trained=False), Cause.TRAINING),
        (sending(Hangup.DONE, 20, trained=False), Cause.TRAINING),
        (sending(Hangup.DONE, 6), Cause.PAGE_FAILED),  # trained, but at no speed a page was taken
        (sending(Hangup.DONE, 15, 1), Cause.PAGE_FAILED),
        (sending(Hangup.DONE, 48), Cause.PAGE_FAILED),
        (sending(Hangup.DONE, 9), Cause.REJECTED),
        (sending(Hangup.DONE, 17, contact=False), Cause.REJECTED),
        (sending(Hangup.DONE, 2, contact=False), Cause.NOT_FAX),
        (sending(Hangup.FAR, 49, contact=False), Cause.NOT_FAX),
        (sending(Hangup.NO_CONTACT, None, contact=False), Cause.NOT_FAX),
        (sending(Hangup.DEAF, None, contact=False), Cause.NOT_FAX),
        (receiving(Hangup.DONE, 0, 2, last_page=True), Cause.CONFIRMED),
        (receiving(Hangup.DONE, None, 2, last_page=True), Cause.CONFIRMED),  # its DCN was lost
        (receiving(Hangup.FAR, 49, 2), Cause.LOST_CALL),
        (receiving(Hangup.DONE, 0), Cause.LOST_CALL),
        (receiving(Hangup.DEAF, None, 1), Cause.LOST_CALL),
        (receiving(Hangup.TOO_LONG, None, 1), Cause.PAGE_FAILED),
        (receiving(Hangup.FAR, None, contact=False), Cause.NOT_FAX),
        (receiving(Hangup.DONE, 41), Cause.LOCAL),
        (receiving(Hangup.CANCELLED, None), Cause.CANCELLED),
        (receiving(Hangup.LOST_WORKER, None, 1), Cause.LOCAL),
    ],
)
def test_each_ending_has_its_cause(ending: Ending, cause: Cause) -> None:
    """Lost otherwise: the receipt names the wrong reason, and the retry rule waits for the wrong thing."""
    assert cause_of(ending) is cause


@given(
    hangup=st.sampled_from(Hangup), pages=st.none() | st.integers(1, 5), confirmed=st.integers(0, 5),
    contact=st.booleans(),    trained=st.booleans(), code=st.none() | st.integers(-5, 200), last_page=st.booleans(),
)  # fmt: skip
def test_confirmed_means_that_every_page_was(
    hangup: Hangup, pages: int | None, confirmed: int, contact: bool, trained: bool, code: int | None, last_page: bool
) -> None:
    """Lost otherwise: a fax is called delivered that is not."""
    ending = Ending(hangup, pages, confirmed, contact, trained, code, last_page)
    whole = confirmed >= pages if pages is not None else confirmed > 0 and last_page
    assert (cause_of(ending) is Cause.CONFIRMED) == whole


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (486, Cause.BUSY), (600, Cause.BUSY), (404, Cause.BAD_NUMBER), (484, Cause.BAD_NUMBER), (604, Cause.BAD_NUMBER),
        (480, Cause.NO_ANSWER), (408, Cause.NO_ANSWER), (403, Cause.REJECTED), (488, Cause.REJECTED),
        (603, Cause.REJECTED),
        (500, Cause.TRUNK_DOWN), (503, Cause.TRUNK_DOWN), (None, Cause.TRUNK_DOWN),
    ],
)  # fmt: skip
def test_each_refusal_has_its_cause(code: int | None, cause: Cause) -> None:
    """Lost otherwise: a number that does not exist is dialled again and again, or a busy one is given up."""
    assert cause_of_refusal(code) is cause
