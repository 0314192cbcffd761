"""What the policy tells the line: the numbers, how many calls each takes, the accounts whose passwords can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relay.policy import PolicyHolder
from transport.screening import Screen

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

POLICY = """\
numbers:
  - {number: "+97231234567", deliver_to: [a@example.com], inbound_calls: 2}
  - {number: "+97237654321", deliver_to: [a@example.com]}
  - number: "+97235550100"
    features: [mail_to_fax]
    senders: [{match: "@example.com", proof: network, networks: [10.0.0.0/8]}]
    inbound_calls: 3
trunks:
  - {name: first, host: sip.example.net, username: us, password: env:FIRST_PASSWORD, channels: 7}
  - {name: second, host: sip.example.org, username: us, password: env:SECOND_PASSWORD}
"""


def test_the_line_learns_what_it_may_answer_and_with_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: one number's callers take every channel, or one missing password stops every trunk."""
    (tmp_path / "p.yaml").write_text(POLICY)
    monkeypatch.setenv("FIRST_PASSWORD", "s3cret")
    monkeypatch.delenv("SECOND_PASSWORD", raising=False)
    holder = PolicyHolder(tmp_path, real_lines=True)
    table = holder.line_table()
    assert table.numbers == {"+97231234567", "+97237654321"}
    assert table.inbound_channels == {"+97231234567": 2}
    assert [(one.name, one.password, one.channels) for one in table.trunks] == [("first", "s3cret", 7)]
    (fault,) = holder.line_faults
    assert "second" in fault
    assert "SECOND_PASSWORD" in fault
    assert "s3cret" not in fault


def test_the_line_learns_whom_it_does_not_answer(tmp_path: Path) -> None:
    """Lost otherwise: a blocked caller is answered, and refused only after the first page."""
    (tmp_path / "p.yaml").write_text(
        POLICY + "inbound:\n  junk: refuse\n  block:\n    - {csid: SPAM}\n    - {caller: [+1900*, +12025550199]}\n"
        "    - {called: +97231234567, caller: anonymous, junk: quarantine}\n"
    )
    for real_lines in (True, False):
        screens = PolicyHolder(tmp_path, real_lines=real_lines).line_table().screens
        assert screens == (
            Screen(callers=("+12025550199",), prefixes=("+1900",)),
            Screen(refuse=False, called=("+97231234567",), anonymous=True),
        )
