"""Confirmation: what becomes of a mail that proves nothing yet, once its sender has clicked a link. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from policies.evaluator import decide
from policies.policy import Proof

if TYPE_CHECKING:
    from policies.decision import Decision, Facts
    from policies.policy import Policy


def once_confirmed(policy: Policy, facts: Facts, now: Decision) -> Decision | None:
    """Return the decision that holds when the sender has confirmed the mail; None where that would change nothing.

    ``now``: the decision on ``facts``. Only a mail that no other proof lets through is worth the question.
    """
    if now.sender is not None or Proof.CONFIRM not in now.missing_proofs:
        return None
    later = decide(policy, replace(facts, proofs=facts.proofs | {Proof.CONFIRM}))
    return None if later.sender is None else later
