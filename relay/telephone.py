"""What an operator can ask of the telephone line: the state of its trunks and devices, a test, a capture of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.errors import NotFound, RelayError
from transport.seam import LineDown

if TYPE_CHECKING:
    from transport.seam import Line

Json = dict[str, Any]


class TelephoneOperations:
    """The operations on a running line; ``None``: this node has none."""

    def __init__(self, line: Line | None) -> None:
        self._line = line

    async def trunk_status(self) -> Json:
        """Return each trunk's and each device's state: registered, answering, calls, last code; and who is banned."""
        return await self._ask("status")

    async def trunk_test(self, name: str) -> Json:
        """Try a trunk now: look it up, ask it, register; return the steps, each with ``ok`` and a sentence."""
        answer = await self._ask("test", name)
        if not answer.get("steps"):
            known = ", ".join(trunk["name"] for trunk in (await self._ask("status"))["trunks"])
            raise NotFound(f"there is no trunk {name}; the policy has {known or 'none'}")
        return answer

    async def call_capture(self, call: str) -> Json:
        """Return the SIP messages of a recent call, as the line still remembers them; raises :class:`NotFound`."""
        answer = await self._ask("capture", call)
        if not answer.get("messages"):
            raise NotFound(
                f"the line does not remember the messages of call {call} any more; it keeps the last ones only"
            )
        return answer

    async def _ask(self, question: str, name: str = "") -> Json:
        if self._line is None:
            raise RelayError("this node has no telephone line; set `lines` in faxrelay.yaml")
        try:
            return await self._line.ask(question, name)
        except LineDown as down:
            raise RelayError(str(down)) from down
