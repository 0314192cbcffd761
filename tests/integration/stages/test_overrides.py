"""What a destination's override says reaches the call: from the policy's text to the line's request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from policies import check_recipient, explain
from policies.decision import Decision
from relay.policy import PolicyHolder, recipient_settings
from relay.store import faxes
from transport.seam import T38Mode

from .conftest import Stages

OURS, FAR = "+97231234567", "+12025550123"
POLICY = """\
numbers: [{number: +97231234567, deliver_to: [a@example.com]}]
destinations:
  overrides:
    - {prefix: +1, concurrency: 9}
    - {prefix: +1202, OVERRIDE}
"""


@pytest.mark.parametrize(
    ("override", "ecm", "max_rate", "t38", "slots", "said"),
    [
        ("ecm: false", False, 14400, T38Mode.AUTO, 1, "without error correction"),
        ("max_rate: 9600", True, 9600, T38Mode.AUTO, 1, "at most 9600 bit/s"),
        ("t38: never", True, 14400, T38Mode.NEVER, 1, "never by T.38"),
        ("t38: prefer", True, 14400, T38Mode.PREFER, 1, "T.38 asked for at once"),
        ("concurrency: 3", True, 14400, T38Mode.AUTO, 3, "3 at once"),
        ("notes: an old machine", True, 14400, T38Mode.AUTO, 1, "(an old machine)"),
    ],
)
async def test_an_override_reaches_the_call(
    tmp_path: Path,
    stages_with: Callable[..., Stages],
    override: str,
    ecm: bool,
    max_rate: int,
    t38: T38Mode,
    slots: int,
    said: str,
) -> None:
    """Lost otherwise: a machine that fails with error correction fails for ever, whatever the admin writes."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY.replace("OVERRIDE", override))
    holder = PolicyHolder(tmp_path / "policies")
    verdict = check_recipient(holder.current, FAR, None)
    assert f"calls to +1202: {said}" in explain(Decision(None, None, (verdict,), "en", frozenset(), ()))
    stages = stages_with()
    (fax_id,) = stages.submit(FAR, **recipient_settings(verdict.override))
    async with stages.running():
        await stages.until(fax_id, "sent")
    (request,) = stages.line.requests
    assert (request.ecm, request.max_rate, request.t38) == (ecm, max_rate, t38)
    row = await stages.store.read(faxes.get, fax_id)
    assert row.peer_slots == slots
    assert row.settings.get("destination_notes") == ("an old machine" if "notes" in override else None)
