"""Messages between processes, one of which may have been taken over by a hostile fax."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport import lockstep
from transport.causes import Hangup
from transport.messages import BadMessage, decode, decode_event, encode, encode_event
from transport.order import Outcome
from transport.seam import CallRequest, CallResult, Cause, Negotiated, PageConfirmed, T38Mode

OUTCOME = encode(Outcome(Hangup.DONE, confirmed=2, page_seconds=(1.5, 2.0)))
ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
)


def test_values_come_back_as_they_were() -> None:
    """Lost otherwise: a call is made to another number or with another document than the policy said."""
    request = CallRequest(
        "7", "t", "+12025550100", "+1", "1", Path("/x.tif"), 3, T38Mode.NEVER, ecm=False, seconds=60.5
    )
    assert decode(CallRequest, encode(request)) == request
    result = CallResult("7", Cause.BUSY, 0, last_page_offered=False, simulated=True, page_seconds=(1.0,))
    assert decode(CallResult, encode(result)) == result
    confirmed = PageConfirmed("7", 1, None)
    assert decode_event((Negotiated, PageConfirmed), encode_event(confirmed)) == confirmed


@given(name=st.sampled_from([*OUTCOME, "more"]), value=ANYTHING)
def test_a_field_of_another_type_is_refused(name: str, value: Any) -> None:
    """Lost otherwise: a worker that was taken over makes the line take a text for a count of confirmed pages."""
    try:
        found = decode(Outcome, {**OUTCOME, name: value})
    except BadMessage:
        return
    assert name != "more"
    given_back = getattr(found, name)
    assert given_back == value or isinstance(given_back, tuple | Hangup)
    assert isinstance(found.confirmed, int)
    assert not isinstance(found.confirmed, bool)


@pytest.mark.parametrize("message", [None, [], "x", {}, {"confirmed": 1}])
def test_what_is_no_whole_message_is_refused(message: object) -> None:
    """Lost otherwise: a worker's broken last word raises in the line and takes the other calls with it."""
    with pytest.raises(BadMessage):
        decode(Outcome, message)


def test_an_event_of_another_kind_is_refused() -> None:
    """Lost otherwise: a worker says for the line that a call was answered."""
    with pytest.raises(BadMessage):
        decode_event((Negotiated,), encode_event(PageConfirmed("7", 1, None)))


@given(datagrams=st.lists(st.binary(max_size=400), max_size=8), junk=st.binary(max_size=50))
def test_a_ticks_media_come_back_as_they_were(datagrams: list[bytes], junk: bytes) -> None:
    """Lost otherwise: packets of one tick run into one another, and the page is broken."""
    assert lockstep.unpack(lockstep.pack(datagrams)) == datagrams
    assert all(len(part) <= len(junk) for part in lockstep.unpack(junk))
