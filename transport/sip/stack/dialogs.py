"""Dialogs (RFC 3261 12 to 15), one a call: re-INVITE and UPDATE both ways, ACK, BYE, refreshes (RFC 4028).

What the media are is the user's affair: it is asked for the answer to an offer, told the answer to its own, and told
once when the dialog is gone. Invariants: an answered INVITE is acknowledged, also one that crossed our CANCEL or came
from a second fork; of two offers at once one gets 491 (14.1); an ended dialog says no more than BYE.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from transport.sip.remains import Remain, Remains
from transport.sip.stack import messages
from transport.sip.stack.exchange import Authorizer, exchange
from transport.sip.uri import BadAddress, Uri, parse_address, parse_uri, split

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.digest import Answerer
    from transport.sip.stack.messages import Flow, Message, Request, Response
    from transport.sip.stack.transactions import Transactions

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"
_OK = range(200, 300)
#: Answers to a request within a dialog that end it (RFC 3261 12.2.1.2).
_ENDING = (408, 481)
_SHORTEST_SESSION = 90
_LINGERS = 40.0  # seconds that an ended dialog still answers what was under way
_OFFERLESS = ("UPDATE",)
_SIMPLE = {
    "INFO": (200, "OK"),
    "OPTIONS": (200, "OK"),
    "REFER": (603, "Decline"),
    "NOTIFY": (481, "Subscription Does Not Exist"),
    "SUBSCRIBE": (489, "Bad Event"),
    "PRACK": (481, "Call/Transaction Does Not Exist"),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """The user's answer to an offer; ``body``: SDP."""

    code: int
    reason: str
    body: str = ""


class DialogUser(Protocol):
    """Who has a dialog."""

    def offered(self, body: str) -> Reply:
        """Return the answer to a re-INVITE or UPDATE; an empty body asks for an offer of ours (RFC 3261 14.2)."""

    def acknowledged(self, body: str) -> None:
        """Take the ACK of our answer to an INVITE, with the answer to our offer where that answer held one."""

    def answered(self, code: int, reason: str, body: str) -> None:
        """Take the final answer to a re-INVITE of ours."""

    def gone(self, reason: str) -> None:
        """Take the end that the far side or the network made."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the dialogs of a line share. ``hop``: the flow toward a URI (``None``: the same end), given that we have."""

    transactions: Transactions
    hop: Callable[[Uri | None, Flow], Flow]
    later: Callable[[float, Callable[[], None]], Callable[[], None]]
    table: dict[tuple[str, str, str], Dialog]
    remains: Remains


class Dialog:
    """One dialog, made of an INVITE and its 2xx."""

    def __init__(  # noqa: PLR0913  RFC 3261 12.1: a dialog has these parts
        self,
        around: Surroundings,
        user: DialogUser,
        *,
        call_id: str,
        local: str,
        remote: str,
        tags: tuple[str, str],
        contact: str,
        target: str,
        routes: list[str],
        number: int,
        flow: Flow,
        answerer: Answerer | None = None,
        symmetric: bool = False,
    ) -> None:
        """Make it. ``local``, ``remote``: From and To with tags; ``symmetric``: stay on the flow, whatever URIs say."""
        self._around, self._user = around, user
        self.call_id, self._local, self._remote = call_id, local, remote
        self.tags = tags
        self._contact, self._target, self._routes = contact, target, routes
        self._number, self._heard = number, -1
        self._base, self._answerer, self._symmetric = flow, answerer, symmetric
        self._flow = self._next_hop()
        self._ended = False
        self._offering: Any = None
        self._unacknowledged = False
        self._bye_waits = False
        self._acks: dict[int, tuple[str, Flow]] = {}
        self._refresh: Callable[[], None] = lambda: None
        self._answering: Any = None
        self._updates = False
        around.table[call_id, *tags] = self
        around.remains.keep(self._remain())

    # ours

    def offer(self, body: str) -> bool:
        """Send a re-INVITE with an offer; returns whether one may be sent now."""
        if self._ended or self._offering is not None or self._unacknowledged:
            return False
        authorizer = Authorizer(self._answerer)

        def attempt() -> None:
            request = self._request("INVITE", body, list(authorizer.headers.items()))
            self._offering = self._around.transactions.send(request, self._flow, lambda one: answered(request, one))

        def answered(request: Request, response: Response) -> None:
            if response.scode < _OK.start:
                return
            self._offering = None
            if response.scode in _OK:
                self.acknowledge(response)
            elif not self._ended and authorizer.again(response, "INVITE", request.uri):
                attempt()
                return
            if self._ended:
                return
            if response.scode in _ENDING:
                self._lost(f"a re-INVITE got {response.scode} {response.fault or response.reason}")
            else:
                self._user.answered(response.scode, response.reason, messages.body_of(response)[0])

        attempt()
        return True

    def bye(self) -> None:
        """End the dialog; before our answer was acknowledged, as soon as it is (RFC 3261 15)."""
        if self._ended:
            return
        if self._unacknowledged:
            self._bye_waits = True
            return
        self._end()
        self._ask("BYE", lambda _: None)

    def acknowledge(self, response: Response) -> None:
        """Send the ACK of a 2xx, whose Contact is the target from now on (RFC 3261 12.2.1.2, 13.2.2.4)."""
        number = response.getHFBody("cseq").getCSeqNum()
        if number not in self._acks:
            with contextlib.suppress(BadAddress):  # a Contact that cannot be read leaves the target as it was
                self._refreshed(response)
            self.session(response, ours=True)
        request = messages.request(
            "ACK", self._target, sender=self._local, receiver=self._remote, call_id=self.call_id, number=number,
            routes=self._routes,
        )  # fmt: skip
        self._acks[number] = self._around.transactions.send_once(request, self._flow), self._flow
        for old in list(self._acks)[:-2]:
            del self._acks[old]

    def again(self, response: Response) -> None:
        """Acknowledge a 2xx that came again, or later than its transaction lived."""
        known = self._acks.get(response.getHFBody("cseq").getCSeqNum())
        if known is None:
            self.acknowledge(response)
        else:
            text, flow = known
            self._around.transactions.transmitData(flow, text, flow.remote)

    def awaits_ack(self, transaction: Any, number: int | None = None) -> None:
        """Note that our 2xx to an INVITE goes out; ``number``: the CSeq of the INVITE that began the dialog."""
        self._unacknowledged = True
        self._answering = transaction
        if number is not None:
            self._heard = number

    def confirmed(self, request: Request) -> None:
        """Take the ACK of our 2xx."""
        self._unacknowledged = False
        if self._bye_waits:
            self._bye_waits = False
            self.bye()
        elif not self._ended:
            self._user.acknowledged(messages.body_of(request)[0])

    def never_confirmed(self) -> None:
        """Give our 2xx up: nobody acknowledged it within 64*T1 (RFC 3261 13.3.1.4)."""
        self._unacknowledged = False
        if not self._ended:
            self.bye()
            if not self._bye_waits:
                self._user.gone("our answer was never acknowledged")

    # theirs

    def receive(self, request: Request, transaction: Any) -> None:
        """Take a request within the dialog."""
        reply = self._around.transactions.reply
        number, method = request.getHFBody("cseq").getCSeqNum(), request.method
        if number <= self._heard:
            reply(request, transaction, 500, "Server Internal Error")
            return
        self._heard = number
        if method == "BYE":
            reply(request, transaction, 200, "OK")
            if not self._ended:
                self._end()
                self._user.gone(_why(request))
        elif self._ended:
            reply(request, transaction, 481, "Call/Transaction Does Not Exist")
        elif method in ("INVITE", "UPDATE"):
            self._offered(request, transaction)
        else:
            code, reason = _SIMPLE.get(method, (405, "Method Not Allowed"))
            reply(request, transaction, code, reason, [("Allow", ALLOW)])

    def _offered(self, request: Request, transaction: Any) -> None:
        reply = self._around.transactions.reply
        body, kind = messages.body_of(request)
        if self._offering is not None and (body or request.method == "INVITE"):
            reply(request, transaction, 491, "Request Pending")
            return
        if body and kind and not kind.startswith("application/sdp"):
            reply(request, transaction, 415, "Unsupported Media Type", [("Accept", "application/sdp")])
            return
        try:
            if messages.texts(request, "contact"):
                self._refreshed(request)
        except BadAddress:
            reply(request, transaction, 400, "Bad Contact")
            return
        answer = Reply(200, "OK") if request.method in _OFFERLESS and not body else self._user.offered(body)
        headers = [("Contact", self._contact), ("Allow", ALLOW), *self.session(request, ours=False)]
        if request.method == "UPDATE" or answer.code not in _OK:
            reply(request, transaction, answer.code, answer.reason, headers if answer.code in _OK else [], answer.body)
            return
        self.awaits_ack(transaction)
        reply(
            request, transaction, answer.code, answer.reason, headers, answer.body,
            acked=self.confirmed, not_acked=self.never_confirmed,
        )  # fmt: skip

    # refreshes

    def session(self, message: Message, *, ours: bool) -> list[tuple[str, str]]:
        """Keep a session timer alive where that is our part; return what a 2xx of ours says of it (RFC 4028 9)."""
        self._updates = self._updates or "UPDATE" in messages.text(message, "allow").upper()
        value = messages.text(message, "session-expires") or messages.text(message, "x")
        seconds, _, params = value.partition(";")
        if not seconds.strip().isdigit():
            return []
        interval = min(max(int(seconds), _SHORTEST_SESSION), 86400)
        refresher = next(
            (
                one.partition("=")[2].strip().lower()
                for one in params.split(";")
                if one.strip().lower().startswith("refresher")
            ),
            "uac" if not ours else "",
        )
        mine = refresher == ("uac" if ours else "uas")
        self._refresh()
        if mine:
            self._refresh = self._around.later(interval / 2, lambda: self._refresh_now(interval))
        if ours or "timer" not in ",".join(messages.texts(message, "supported")).lower():
            return []
        return [("Session-Expires", f"{interval};refresher={refresher}"), ("Require", "timer")]

    def _refresh_now(self, interval: int) -> None:
        if self._ended:
            return
        self._refresh = self._around.later(interval / 2, lambda: self._refresh_now(interval))
        headers = [("Session-Expires", f"{interval};refresher=uac"), ("Supported", "timer")]

        def done(response: Response) -> None:
            if response.scode in _ENDING:
                self._lost(f"a session refresh got {response.scode} {response.fault or response.reason}")

        if self._updates:
            self._ask("UPDATE", done, headers)
        elif self._offering is None:
            answer = self._user.offered("")
            if answer.code in _OK:
                self.offer(answer.body)

    # both

    def _ask(self, method: str, done: Callable[[Response], None], headers: list[tuple[str, str]] | None = None) -> None:
        exchange(
            self._around.transactions, self._flow, self._answerer,
            lambda more: self._request(method, "", [*(headers or []), *more]), done,
        )  # fmt: skip

    def _request(self, method: str, body: str, headers: list[tuple[str, str]]) -> Request:
        self._number += 1
        self._flow = self._next_hop()  # a connection may have ended since
        if method in ("INVITE", "UPDATE"):
            headers = [("Allow", ALLOW), *headers]
        return messages.request(
            method, self._target, sender=self._local, receiver=self._remote, call_id=self.call_id, number=self._number,
            contact=self._contact if method in ("INVITE", "UPDATE") else "", routes=self._routes, headers=headers,
            body=body,
        )  # fmt: skip

    def _refreshed(self, message: Message) -> None:
        """Take the Contact as the target (RFC 3261 12.2)."""
        if messages.texts(message, "contact"):
            uri = messages.address(message, "contact").uri
            if uri.host:
                self._target = str(uri)
                self._flow = self._next_hop()

    def _next_hop(self) -> Flow:
        if self._symmetric:
            return self._around.hop(None, self._base)
        try:
            first = parse_address(self._routes[0]).uri if self._routes else parse_uri(self._target)
        except BadAddress:
            first = None
        return self._around.hop(first, self._base)

    def _lost(self, reason: str) -> None:
        if not self._ended:
            self.bye()
            self._user.gone(reason)

    def _remain(self) -> Remain:
        """Return what a successor of this process needs to say BYE."""
        flow = self._flow
        target = getattr(flow, "target", None)
        return Remain(
            self.call_id, self._local, self._remote, self._target, tuple(self._routes), self._number, flow.transport,
            *flow.remote, name=target.name if target else "", ca=target.ca if target else "",
        )  # fmt: skip

    def _end(self) -> None:
        self._ended = True
        self._around.remains.drop(self.call_id, self._remote)
        self._refresh()
        if self._answering is not None:
            self._around.transactions.hush(self._answering)  # nobody acknowledges an answer to what is over
        self._around.later(_LINGERS, self._forget)

    def _forget(self) -> None:
        self._around.table.pop((self.call_id, *self.tags), None)


def routes_of(message: Message, *, reverse: bool) -> list[str]:
    """Return the route set of a message's Record-Route (RFC 3261 12.1.1, 12.1.2), as values of Route."""
    routes = [part for value in messages.texts(message, "record-route") for part in split(value)]
    for route in routes:
        parse_address(route)
    return routes[::-1] if reverse else routes


def _why(request: Request) -> str:
    """Return why a BYE came, with the text of its Reason (RFC 3326)."""
    reason = reason_of(request)
    return f"the far end hung up ({reason})" if reason else "the far end hung up"


def reason_of(message: Message) -> str:
    """Return what a Reason header says in words, empty where there is none; printable, short."""
    value = messages.text(message, "reason")
    if not value:
        return ""
    protocol, *params = split(value, ";")
    said = {key.strip().lower(): one.strip().strip('"') for key, _, one in (param.partition("=") for param in params)}
    words = " ".join(word for word in (protocol, said.get("cause", ""), said.get("text", "")) if word)
    return "".join(one for one in words if " " <= one <= "~")[:100]
