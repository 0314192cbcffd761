"""One end of SIP: what comes in goes to its dialog, or to the core above as a request out of any."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from transport.sip.remains import AHEAD, Remain, Remains
from transport.sip.stack import messages
from transport.sip.stack.dialogs import Dialog, Surroundings
from transport.sip.stack.exchange import exchange
from transport.sip.stack.invitations import Invitation, InvitationUser, Invite, Summons
from transport.sip.stack.transactions import Transactions
from transport.sip.uri import BadAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.digest import Answerer
    from transport.sip.stack.messages import Flow, Request, Response
    from transport.sip.uri import Uri

_REMEMBERED = 40.0  # seconds that an INVITE is known by its dialog id: a second way of it is no second call
Headers = list[tuple[str, str]]


class Asked:
    """A request out of any dialog, for the core."""

    def __init__(self, station: Station, request: Request, transaction: Any) -> None:
        self._station, self._transaction = station, transaction
        self.request = request
        self.method: str = request.method
        self.flow: Flow = request.flow

    def reply(self, code: int, reason: str, headers: Headers | None = None) -> None:
        """Answer it."""
        self._station.transactions.reply(self.request, self._transaction, code, reason, headers)

    def turn_away(self, code: int, reason: str, headers: Headers | None = None) -> None:
        """Answer it and keep nothing of it: for strangers."""
        self._station.transactions.forget(self._transaction)
        self._station.transactions.refuse_statelessly(self.request, code, reason, headers)

    def drop(self) -> None:
        """Answer nothing."""
        self._station.transactions.forget(self._transaction)

    def summons(self, *, symmetric: bool, answerer: Answerer | None = None) -> Summons:
        """Return an INVITE to be answered later; raises BadAddress where no dialog can come of it."""
        return Summons(
            self._station.around, self.request, self._transaction, symmetric=symmetric, answerer=answerer
        )  # fmt: skip


class Station:
    """The transactions and dialogs of one line."""

    def __init__(
        self,
        *,
        later: Callable[[float, Callable[[], None]], Callable[[], None]],
        hop: Callable[[Uri | None, Flow], Flow],
        requested: Callable[[Asked], None],
        tap: Callable[[bool, str, Flow], None],
        unreadable: Callable[[str, Flow], bool],
        remains: Remains,
    ) -> None:
        """``later``: run a callback after seconds, returns what cancels it. ``requested``: a request of no dialog."""
        self._requested = requested
        self._dialogs: dict[tuple[str, str, str], Dialog] = {}
        self._invitations: dict[tuple[str, str], Invitation] = {}
        self._invited: dict[tuple[str, str], int] = {}
        self._later = later
        self.transactions = Transactions(later, self._request, self._acknowledge, tap, unreadable)
        self.around = Surroundings(self.transactions, hop, later, self._dialogs, remains)

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one message that came by a flow."""
        self.transactions.receive(data, flow)

    def broken(self, flow: Flow, reason: str) -> None:
        """Note that a flow is no more."""
        self.transactions.broken(flow, reason)

    def farewell(self, remain: Remain, flow: Flow) -> None:
        """Say BYE in a dialog that a predecessor left open."""
        request = messages.request(
            "BYE", remain.target, sender=remain.local, receiver=remain.remote, call_id=remain.call_id,
            number=remain.number + AHEAD, routes=list(remain.routes),
        )  # fmt: skip
        self.transactions.send(request, flow, lambda _: None)

    def close(self) -> None:
        """Stop every timer."""
        self.transactions.close()

    @property
    def dialogs(self) -> int:
        """How many dialogs there are, those that have just ended included."""
        return len(self._dialogs)

    def invitation(
        self, user: InvitationUser, invite: Invite, flow: Flow, answerer: Answerer | None, *, symmetric: bool = False
    ) -> Invitation:
        """Return an INVITE of ours, to be sent."""
        return Invitation(self.around, self._invitations, user, invite, flow, answerer, symmetric=symmetric)

    def ask(  # noqa: PLR0913  a request has these parts
        self,
        method: str,
        uri: str,
        flow: Flow,
        done: Callable[[Response], None],
        *,
        sender: str,
        receiver: str,
        call_id: str = "",
        number: int = 1,
        contact: str = "",
        headers: Headers | None = None,
        answerer: Answerer | None = None,
    ) -> Callable[[], None]:
        """Send a request out of any dialog; ``done`` gets the final answer, one with ``fault`` if none came.

        Returns what abandons it. Each try with credentials takes the next number of CSeq.
        """
        call_id, tag, numbers = call_id or secrets.token_hex(16), secrets.token_hex(8), iter(range(number, number + 9))

        def build(more: Headers) -> Request:
            return messages.request(
                method, uri, sender=f"{sender};tag={tag}", receiver=receiver, call_id=call_id, number=next(numbers),
                contact=contact, headers=[*(headers or []), *more],
            )  # fmt: skip

        return exchange(self.transactions, flow, answerer, build, done)

    def _request(self, request: Request, transaction: Any) -> None:
        to, sender = messages.address(request, "to"), messages.address(request, "from")
        call_id = str(request.getHFBody("call-id"))
        if to.tag:
            dialog = self._dialogs.get((call_id, to.tag, sender.tag))
            if dialog is None:
                self.transactions.forget(transaction)
                self.transactions.refuse_statelessly(request, 481, "Call/Transaction Does Not Exist")
            else:
                dialog.receive(request, transaction)
            return
        if request.method == "INVITE":
            number = request.getHFBody("cseq").getCSeqNum()
            known = self._invited.get((call_id, sender.tag))
            if known is not None and number <= known:  # the same call by another way (RFC 3261 8.2.2.2)
                self.transactions.forget(transaction)
                self.transactions.refuse_statelessly(request, 482, "Loop Detected")
                return
        self._requested(Asked(self, request, transaction))

    def remember(self, request: Request) -> None:
        """Note an INVITE that became a call."""
        key: tuple[str, str] = str(request.getHFBody("call-id")), messages.address(request, "from").tag
        self._invited[key] = request.getHFBody("cseq").getCSeqNum()

        def forget() -> None:
            self._invited.pop(key, None)

        self._later(_REMEMBERED, forget)

    def _acknowledge(self, response: Response, flow: Flow) -> None:
        """Take a 2xx to an INVITE that came again, late, or from another fork."""
        del flow
        try:
            ours, theirs = messages.address(response, "from").tag, messages.address(response, "to").tag
            call_id = str(response.getHFBody("call-id"))
            dialog = self._dialogs.get((call_id, ours, theirs))
            if dialog is not None:
                dialog.again(response)
            elif (invitation := self._invitations.get((call_id, ours))) is not None:
                invitation.accepted(response)
        except BadAddress:
            return
