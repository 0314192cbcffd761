"""What can be asked of the policy in force, which may be an older one than the folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies.difference import layout

if TYPE_CHECKING:
    from policies.difference import Layout
    from relay.policy import PolicyHolder


class PolicyOperations:
    """The operations on the policy in force."""

    def __init__(self, policy: PolicyHolder) -> None:
        self._policy = policy

    async def policy_layout(self) -> Layout:
        """Return all that it says, by objects and fields."""
        return layout(self._policy.current)
