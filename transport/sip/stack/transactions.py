"""The transactions of RFC 3261 17, by sippy's SipTransactionManager, on flows and timers of ours.

What is changed of the library, each for a reason measured or read in it: its sockets and threads are not made; its
timers run on the caller's clock; nothing is retransmitted on reliable transports (17.1.1.2); retransmissions are
capped at T2 (17.1.2.2); the ACK of a 2xx is the dialog's affair (13.2.2.4), so that forked and repeated answers find
it; a response that matches nothing is offered to the dialogs; its caches are bounded; it prints nothing.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import sippy.SipTransactionManager
from sippy.SipTransactionManager import RINGING, TERMINATED, TRYING, SipTMRetransmitO, SipTransactionManager
from sippy.Time.MonoTime import MonoTime

from transport.sip.stack import messages
from transport.sip.stack.messages import BadMessage, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from sippy.SipResponse import SipResponse

    from transport.sip.stack.messages import Flow, Message

_SHORTEST = 32  # bytes: less is a keep-alive (RFC 5626 4.4.1)
T2 = 4.0
_PURGE = 32.0
_MOST_REMEMBERED = 20_000
_MOST_SERVED = 10_000
_CLASS_2 = range(200, 300)

#: schedule(seconds, callback) -> cancel()
Schedule = "Callable[[float, Callable[[], None]], Callable[[], None]]"


class _Timer:
    """What sippy expects of a timer."""

    schedule: Any = None

    def __init__(self, callback: Callable[..., None], seconds: float, _ticks: int = 1, *arguments: object) -> None:
        self._stop = _Timer.schedule(seconds, lambda: callback(*arguments))

    def cancel(self) -> None:
        self._stop()


class _Recent(OrderedDict[bytes, Any]):
    """The last messages that came, by checksum, with what was answered; bounded."""

    def __setitem__(self, key: bytes, value: Any) -> None:
        super().__setitem__(key, value)
        while len(self) > _MOST_REMEMBERED:
            self.popitem(last=False)


class _Table(dict[Any, Any]):
    """Transactions by their ids. Two may come to one id, where a peer makes it so: the second leaves an empty place."""

    def __delitem__(self, key: Any) -> None:
        self.pop(key, None)


class Transactions(SipTransactionManager):  # type: ignore[misc]  # sippy has no types
    """The transactions of one line.

    ``schedule``: runs a callback after seconds, returns what cancels it. ``requested(request, transaction)``: a new
    request came; answer by :meth:`reply`. ``acknowledge(response, flow)``: a 2xx to an INVITE that no
    transaction waits for. ``tap(outgoing, text, flow)``: sees every message. ``unreadable(reason, flow)``: told
    of what could not be read, returns whether its sender is somebody we know.
    """

    def __init__(
        self,
        schedule: Callable[[float, Callable[[], None]], Callable[[], None]],
        requested: Callable[[Request, Any], None],
        acknowledge: Callable[[Response, Flow], None],
        tap: Callable[[bool, str, Flow], None],
        unreadable: Callable[[str, Flow], bool],
    ) -> None:
        # not super().__init__: it opens sockets
        self.schedule = schedule
        self.requested = requested
        self.acknowledge = acknowledge
        self.tap = tap
        self.unreadable = unreadable
        self.global_config = None
        self.tclient = _Table()
        self.tserver = _Table()
        self.req_consumers: dict[str, Any] = {}
        self.req_cb = self._request
        self.l1rcache: Any = _Recent()
        self.l2rcache: Any = _Recent()
        self._purging = schedule(_PURGE, self._purge)
        self._turn(lambda: None)

    def _turn(self, work: Callable[[], Any]) -> Any:
        """Do something in the library with its timers on this line's clock."""
        before, _Timer.schedule = _Timer.schedule, self._schedule
        try:
            return work()
        finally:
            _Timer.schedule = before

    def _schedule(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        return self.schedule(seconds, lambda: self._turn(callback))

    def _purge(self) -> None:
        self.l2rcache, self.l1rcache = self.l1rcache, _Recent()
        self._purging = self.schedule(_PURGE, self._purge)

    def close(self) -> None:
        """Stop: no timer fires any more."""
        self._purging()
        for transaction in (*self.tclient.values(), *self.tserver.values()):
            for name in ("teA", "teB", "teC", "teD", "teE", "teF", "teG"):
                if (timer := getattr(transaction, name, None)) is not None:
                    timer.cancel()
        self.tclient.clear()
        self.tserver.clear()

    # what comes in

    def receive(self, data: bytes, flow: Flow) -> None:
        """Take one message: a datagram, or a frame of a stream."""
        if len(data) < _SHORTEST:
            return
        checksum = hashlib.blake2b(data, key=repr(flow.remote).encode()[:64], digest_size=16).digest()
        known = self.l1rcache.get(checksum) or self.l2rcache.get(checksum)
        if known is not None:
            if known.data is not None:
                self.transmitData(known.userv, known.data, known.address)
            return
        try:
            message = messages.read(data)
        except BadMessage as fault:
            self.l1rcache[checksum] = SipTMRetransmitO()
            known = self.unreadable(str(fault), flow)
            if fault.answer is not None:
                if not known:
                    fault.answer.setSCode(400, "Bad Request")  # strangers are told the same whatever they send
                self.transmitData(flow, fault.answer.localStr(flow.getSIPaddr()), flow.remote, checksum)
            return
        self.tap(False, data.decode("utf-8", "replace"), flow)  # noqa: FBT003  the tap's one question
        self._turn(lambda: self._take(message, checksum, flow))

    def _take(self, message: Message, checksum: bytes, flow: Flow) -> None:
        message.rtime = MonoTime()
        if isinstance(message, Response):
            transaction = self.tclient.get(message.getTId(wCSM=True, wBRN=True))
            if transaction is None:
                if message.scode in _CLASS_2 and message.getHFBody("cseq").getCSeqMethod() == "INVITE":
                    self.acknowledge(message, flow)
                return
            self.incomingResponse(message, transaction, checksum)
            return
        via = message.getHFBody("via")
        via.params.pop("received", None)  # only we say where it came from (RFC 3261 18.2.1, RFC 3581 4)
        if via.getAddr()[0] != flow.remote[0]:
            via.params["received"] = flow.remote[0]
        if "rport" in via.params:
            via.params["rport"] = str(flow.remote[1])
        message.flow = flow
        message.checksum = checksum
        message.setSource(_Source(flow))
        new = message.getTId(wBRN=True) not in self.tserver
        if new and message.method not in ("ACK", "CANCEL") and len(self.tserver) >= _MOST_SERVED:
            self.refuse_statelessly(message, 503, "Service Unavailable", [("Retry-After", "10")])
            return
        self.incomingRequest(message, checksum, (), _Server(flow))

    def _request(self, request: Request, transaction: Any) -> None:
        transaction.userv = transaction.userv.flow
        self.requested(request, transaction)

    def incomingResponse(self, msg: Response, t: Any, checksum: bytes) -> None:  # noqa: N802  sippy's
        """Take a response to a request of ours (RFC 3261 17.1.1.2, 17.1.2.2)."""
        if t.state is TERMINATED:
            return
        _stop(t, "teA", "teB")
        if msg.scode < _CLASS_2.start:
            t.teB = _Timer(self.timerB, t.expires, 1, t)
            if t.state is TRYING:
                t.state = RINGING
                if t.cancelPending:
                    t.cancelPending = False
                    self._cancel(t)
            t.resp_cb(msg)
            return
        if t.needack and msg.scode not in _CLASS_2:
            t.ack.getHFBody("to").body = messages.text(msg, "to")
            self.transmitMsg(t.userv, t.ack, t.address, checksum)
        callback = t.resp_cb
        del self.tclient[t.tid]
        t.cleanup()
        callback(msg)

    # what goes out

    def send(self, request: Request, flow: Flow, answered: Callable[[Response], None]) -> Any:
        """Send a request; ``answered`` gets each response, one made here (408, 503 with ``fault``) if none comes."""
        return self._turn(lambda: self._send(request, flow, answered))

    def _send(self, request: Request, flow: Flow, answered: Callable[[Response], None]) -> Any:
        request.setTarget((flow.remote, "udp"))
        transaction = self.newTransaction(request, answered, userv=flow)
        failed = Response(scode=408, reason="Request Timeout", sipver="SIP/2.0")
        failed.headers = [header for header in transaction.r408.headers if header.name != "via"]
        failed.fault = "no answer"
        transaction.r408 = failed
        if flow.reliable:
            _stop(transaction, "teA")
        return transaction

    def send_once(self, request: Request, flow: Flow) -> str:
        """Send an ACK of a 2xx, which has no transaction; return it for when the answer comes again."""
        text: str = request.localStr(flow.getSIPaddr())
        self.transmitData(flow, text, flow.remote)
        return text

    def cancel(self, transaction: Any) -> None:
        """Cancel an INVITE of ours: now if a provisional response came, else when one comes (RFC 3261 9.1)."""
        if transaction.tid is None or transaction.tid not in self.tclient:
            return
        if transaction.state is RINGING:
            self._turn(lambda: self._cancel(transaction))
        else:
            transaction.cancelPending = True

    def _cancel(self, transaction: Any) -> None:
        """Send the CANCEL; the INVITE then ends within 64*T1 (RFC 3261 9.1)."""
        cancel = transaction.cancel
        cancel.setTarget((transaction.userv.remote, "udp"))
        self._send_plain(cancel, transaction.userv)
        _stop(transaction, "teB")
        transaction.expires = 32
        transaction.teB = _Timer(self.timerB, 32, 1, transaction)

    def _send_plain(self, request: Any, flow: Flow) -> None:
        made = self.newTransaction(request, lambda _: None, userv=flow)
        if flow.reliable:
            _stop(made, "teA")

    def abandon(self, transaction: Any) -> None:
        """Wait for no response any more; one that comes finds nothing (a 2xx: the dialogs)."""
        if transaction.tid is None or self.tclient.pop(transaction.tid, None) is None:
            return
        _stop(transaction, "teA", "teB", "teC")
        transaction.cleanup()

    def hush(self, transaction: Any) -> None:
        """Repeat a request no more, but still wait for what it gets."""
        _stop(transaction, "teA")

    def broken(self, flow: Flow, reason: str) -> None:
        """Tell every request that went by a flow that it is no more (RFC 3261 17.1.4)."""
        for transaction in [one for one in self.tclient.values() if one.userv is flow]:
            _stop(transaction, "teA", "teB", "teC")
            failed, callback = transaction.r408, transaction.resp_cb
            failed.setSCode(503, "Service Unavailable")
            failed.fault = reason
            del self.tclient[transaction.tid]
            transaction.cleanup()
            callback(failed)

    def reply(
        self,
        request: Request,
        transaction: Any,
        code: int,
        reason: str,
        headers: list[tuple[str, str]] | None = None,
        body: str = "",
        *,
        acked: Callable[[Request], None] | None = None,
        not_acked: Callable[[], None] | None = None,
        tag: str = "",
    ) -> None:
        """Answer a request; harmless where its transaction has ended. ``tag``: of To, random where empty."""
        if transaction.tid is None or transaction.state not in (TRYING, RINGING):
            return
        response = messages.response(request, code, reason, headers or [], body)
        if tag:
            response.getHFBody("to").setTag(tag)
        self._turn(lambda: self._reply(response, transaction, acked, not_acked))

    def _reply(self, response: SipResponse, transaction: Any, acked: Any, not_acked: Any) -> None:
        transaction.noack_cb = not_acked
        flow = transaction.userv
        self.sendResponse(response, transaction, ack_cb=acked)
        if flow.reliable and transaction.tid is not None and response.scode not in _CLASS_2:
            _stop(transaction, "teA")

    def refuse_statelessly(
        self, request: Request, code: int, reason: str, headers: list[tuple[str, str]] | None = None
    ) -> None:
        """Answer a stranger's request without keeping anything but the answer for a while (RFC 3261 8.2.7)."""
        response = messages.response(request, code, reason, headers or [])
        response.getHFBody("to").genTag()
        flow = request.flow
        self.transmitData(
            flow, response.localStr(flow.getSIPaddr()), response.getHFBody("via").getTAddr(), request.checksum
        )

    def forget(self, transaction: Any) -> None:
        """Drop a request without an answer."""
        if transaction.tid is not None and self.tserver.pop(transaction.tid, None) is not None:
            _stop(transaction, "teE")
            transaction.cleanup()

    # sippy's own timers and ways out

    def timerA(self, t: Any) -> None:  # noqa: N802  sippy's
        """Retransmit a request, or a final response to an INVITE; the interval grows to T2, an INVITE's on and on."""
        self.transmitData(t.userv, t.data, t.address)
        t.tout *= 2
        if t.tid not in self.tclient or t.method != "INVITE":
            t.tout = min(t.tout, T2)
        t.teA = _Timer(self.timerA, t.tout, 1, t)

    def timerB(self, t: Any) -> None:  # noqa: N802  sippy's
        """Give a request up; a late response finds no transaction."""
        failed, callback = t.r408, t.resp_cb
        self.abandon(t)
        if callback is not None:
            callback(failed)

    def transmitData(  # noqa: N802  sippy's
        self, userv: Any, data: str, address: object, cachesum: bytes | None = None, lossemul: int = 0
    ) -> None:
        """Send text by a flow, and remember it as the answer to what had this checksum."""
        del lossemul
        flow = userv.flow if isinstance(userv, _Server) else userv
        flow.send_to(data, address)
        self.tap(True, data, flow)  # noqa: FBT003  the tap's one question
        if cachesum is not None:
            self.l1rcache[cachesum] = SipTMRetransmitO(flow, data, address)


class _Source:
    """Where a request came from, in the library's form."""

    def __init__(self, flow: Flow) -> None:
        self.address, self.transport = flow.remote, flow.transport


class _Options:
    @staticmethod
    def isWildCard() -> bool:  # noqa: N802  sippy's
        return False


class _Server:
    """A flow as the library's incomingRequest expects its servers."""

    uopts = _Options()

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def getSIPaddr(self) -> Any:  # noqa: N802  sippy's
        return self.flow.getSIPaddr()


def _stop(transaction: Any, *names: str) -> None:
    for name in names:
        if (timer := getattr(transaction, name, None)) is not None:
            timer.cancel()
            setattr(transaction, name, None)


sippy.SipTransactionManager.Timeout = _Timer
sippy.SipTransactionManager.print = lambda *_, **__: None
