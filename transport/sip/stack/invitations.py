"""The first INVITE of a call, ours (RFC 3261 13.2) and theirs (13.3), until there is a dialog or a refusal."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from transport.sip.stack import messages
from transport.sip.stack.dialogs import ALLOW, Dialog, DialogUser, Reply, Surroundings, reason_of, routes_of
from transport.sip.stack.exchange import Authorizer
from transport.sip.uri import BadAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.digest import Answerer
    from transport.sip.stack.messages import Flow, Request, Response

_OK = range(200, 300)
_LINGERS = 64.0  # seconds that answers of further forks are still ended


@dataclass(frozen=True, slots=True)
class Invite:
    """What an INVITE of ours says. ``sender`` and ``receiver``: values of From (without tag) and To."""

    uri: str
    sender: str
    receiver: str
    contact: str
    body: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an INVITE of ours was refused. ``fault``: nobody answered or the way broke; a sentence, else empty."""

    code: int
    reason: str
    fault: str = ""
    contacts: tuple[str, ...] = ()


class InvitationUser(DialogUser, Protocol):
    """Who invites."""

    def progressed(self, code: int) -> None:
        """Take a provisional response."""

    def accepted(self, dialog: Dialog, body: str) -> None:
        """Take the 2xx: there is a dialog."""

    def refused(self, refusal: Refusal) -> None:
        """Take the end without one."""


class Invitation:
    """An INVITE of ours on one flow."""

    def __init__(
        self,
        around: Surroundings,
        table: dict[tuple[str, str], Invitation],
        user: InvitationUser,
        invite: Invite,
        flow: Flow,
        answerer: Answerer | None,
        *,
        symmetric: bool = False,
    ) -> None:
        self.call_id, self.tag = secrets.token_hex(16), secrets.token_hex(8)
        self.silent = True
        self._around, self._table, self._user, self._invite = around, table, user, invite
        self.flow, self._answerer, self._symmetric = flow, answerer, symmetric
        self._number = secrets.randbelow(30000) + 1
        self._authorizer = Authorizer(answerer)
        self._given_up = self._finished = False
        self._transaction: Any = None
        table[self.call_id, self.tag] = self

    def send(self) -> None:
        """Send it; apart from the making, so that who made it knows its Call-ID by then."""
        self._attempt()

    def same_flow(self) -> Flow:
        """Return the flow, for an INVITE that goes the same way."""
        return self.flow

    def cancel(self) -> None:
        """Give the call up: CANCEL, and BYE to a 200 that crosses it (RFC 3261 9.1)."""
        if self._transaction is not None and not self._finished and not self._given_up:
            self._given_up = True
            self._around.transactions.cancel(self._transaction)

    def leave(self) -> None:
        """Give a silent target up: repeat no more, cancel should it wake."""
        self.cancel()
        if self._transaction is not None:
            self._around.transactions.hush(self._transaction)

    def _attempt(self) -> None:
        invite = self._invite
        self._number += 1
        request = messages.request(
            "INVITE", invite.uri, sender=f"{invite.sender};tag={self.tag}", receiver=invite.receiver,
            call_id=self.call_id, number=self._number, contact=invite.contact, body=invite.body,
            headers=[("Allow", ALLOW), *invite.headers, *self._authorizer.headers.items()],
        )  # fmt: skip
        self._transaction = self._around.transactions.send(request, self.flow, self._answered)

    def _answered(self, response: Response) -> None:
        if not response.fault:
            self.silent = False
        if response.scode < _OK.start:
            if not self._given_up:
                self._user.progressed(response.scode)
        elif response.scode in _OK:
            self.accepted(response)
        elif not self._given_up and self._authorizer.again(response, "INVITE", self._invite.uri):
            self._attempt()
        else:
            self._finish()
            if not self._given_up:
                self._user.refused(_refusal(response))

    def accepted(self, response: Response) -> None:
        """Take a 2xx: the first makes the call, any other is acknowledged and ended at once (RFC 3261 13.2.2.4)."""
        first = not self._finished and not self._given_up
        self._finish()
        try:
            dialog = self._dialog(response, self._user if first else _Nobody())
        except BadAddress:  # a Record-Route that cannot be read: there is no way to a dialog
            if first:
                self._user.refused(Refusal(502, "Bad Gateway", "the answer has a Record-Route that cannot be read"))
            return
        dialog.acknowledge(response)
        if first:
            self._user.accepted(dialog, messages.body_of(response)[0])
        else:
            dialog.bye()

    def _dialog(self, response: Response, user: DialogUser) -> Dialog:
        remote = messages.text(response, "to")
        try:
            contact = messages.address(response, "contact").uri
        except BadAddress:
            contact = None
        return Dialog(
            self._around, user, call_id=self.call_id, local=f"{self._invite.sender};tag={self.tag}", remote=remote,
            tags=(self.tag, messages.address(response, "to").tag), contact=self._invite.contact,
            target=str(contact) if contact is not None and contact.host else self._invite.uri,
            routes=routes_of(response, reverse=True), number=self._number, flow=self.flow, answerer=self._answerer,
            symmetric=self._symmetric or contact is None or not contact.host,
        )  # fmt: skip

    def _finish(self) -> None:
        if not self._finished:
            self._finished = True
            self._around.later(_LINGERS, self._forget)

    def _forget(self) -> None:
        self._table.pop((self.call_id, self.tag), None)


def _refusal(response: Response) -> Refusal:
    why = reason_of(response)
    text = "".join(one for one in response.reason if " " <= one <= "~")[:100]
    contacts = tuple(messages.texts(response, "contact"))
    return Refusal(response.scode, f"{text} ({why})" if why else text, response.fault, contacts)


class _Nobody:
    """The user of a dialog that is ended at once."""

    def offered(self, body: str) -> Reply:
        del body
        return Reply(488, "Not Acceptable Here")

    def acknowledged(self, body: str) -> None:
        pass

    def answered(self, code: int, reason: str, body: str) -> None:
        pass

    def gone(self, reason: str) -> None:
        pass


class Summons:
    """An INVITE of theirs, not answered yet."""

    def __init__(
        self,
        around: Surroundings,
        request: Request,
        transaction: Any,
        *,
        symmetric: bool,
        answerer: Answerer | None = None,
    ) -> None:
        """Take it; raises :class:`~transport.sip.uri.BadAddress` where no dialog could come of it."""
        self._around, self.request, self._transaction = around, request, transaction
        self._symmetric, self._answerer = symmetric, answerer
        self.tag = secrets.token_hex(8)
        self.call_id = str(request.getHFBody("call-id"))
        self.body, self.kind = messages.body_of(request)
        self.cancelled: Callable[[], None] = lambda: None
        self._target = messages.address(request, "contact").uri
        if not self._target.host:
            raise BadAddress("a Contact without a host")
        self._routes = routes_of(request, reverse=False)
        if transaction.r487 is not None:
            transaction.r487.getHFBody("to").setTag(self.tag)
        transaction.cancel_cb = lambda *_: self.cancelled()

    def trying(self) -> None:
        """Say that we have it: no retransmission any more (RFC 3261 17.2.1)."""
        self._around.transactions.reply(self.request, self._transaction, 100, "Trying")

    def refuse(self, code: int, reason: str, headers: list[tuple[str, str]] | None = None) -> None:
        """Refuse it."""
        self._around.transactions.reply(self.request, self._transaction, code, reason, headers, tag=self.tag)

    def answer(self, user: DialogUser, contact: str, body: str) -> Dialog:
        """Answer it; the dialog is the user's from now on, its ACK is told as ``acknowledged``."""
        request = self.request
        to = messages.text(request, "to")
        dialog = Dialog(
            self._around, user, call_id=self.call_id, local=f"{to.rstrip('; ')};tag={self.tag}",
            remote=messages.text(request, "from"), tags=(self.tag, messages.address(request, "from").tag),
            contact=contact, target=str(self._target), routes=self._routes, number=0, flow=request.flow,
            answerer=self._answerer, symmetric=self._symmetric,
        )  # fmt: skip
        dialog.awaits_ack(self._transaction, request.getHFBody("cseq").getCSeqNum())
        headers = [("Contact", contact), ("Allow", ALLOW), *dialog.session(request, ours=False)]
        self._around.transactions.reply(
            request, self._transaction, 200, "OK", headers, body, tag=self.tag,
            acked=dialog.confirmed, not_acked=dialog.never_confirmed,
        )  # fmt: skip
        return dialog
