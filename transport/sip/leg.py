"""One call by SIP: what is dialled or answered, the media that are agreed, and the way to T.38.

T.38's way (T.38 annex D): the called side offers it by re-INVITE one second after the answer, the calling side waits
for that; :attr:`T38Mode.PREFER` asks at once, :attr:`T38Mode.NEVER` refuses with 488 and offers nothing. Refused offers
leave the call in audio; 491 is tried again (RFC 3261 14.1). Invariants: the media that :meth:`SipLeg.signal` tells are
those of the last agreed description; sockets that nobody took are closed by
:meth:`SipLeg.hang_up`.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from transport.network import Alerting, Changed, Connected, Gone, Refused, Signal
from transport.seam import T38Mode
from transport.sip import record
from transport.sip.calling import Attempt, Plan, Premises, Unreachable, contact_of
from transport.sip.ports import MediaPair, NoPort
from transport.sip.session import Session
from transport.sip.stack.dialogs import Dialog, Reply
from transport.sip.uri import BadAddress, parse_address, parse_uri

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.order import Media
    from transport.sip import sdp
    from transport.sip.stack.invitations import Invitation, Refusal, Summons
    from transport.sip.stack.messages import Flow

#: Seconds after the answer at which the called side offers T.38: behind most machines' CED.
T38_AFTER = 1.0
#: Seconds without any response after which the next target is tried, and what the last one gets.
SILENCE, LAST_SILENCE = 4.0, 10.0
_MOST_OFFERS, _MOST_REDIRECTS = 4, 2
_NOT_ACCEPTABLE = Reply(488, "Not Acceptable Here")
_OK, _REDIRECTS, _FAILOVER = range(200, 300), range(300, 400), range(500, 600)
_GLARE = 491


class _State(Enum):
    STARTING = 0
    CONNECTED = 1
    ENDED = 2


class SipLeg:
    """One call. ``name``: how a capture of it is found; ``ended``: called once when it is over."""

    def __init__(
        self, premises: Premises, *, t38: T38Mode, codecs: tuple[int, ...], ended: Callable[[SipLeg], None]
    ) -> None:
        self._premises = premises
        self._t38, self._codecs, self._ended = t38, codecs, ended
        self._signals: asyncio.Queue[Signal] = asyncio.Queue()
        self._state = _State.STARTING
        self._notes = record.Notes()
        self._sockets = MediaPair(premises.ports)
        self._session: Session | None = None
        self._media: Media | None = None
        self._invitation: Invitation | None = None
        self._summons: Summons | None = None
        self._dialog: Dialog | None = None
        self._streams: tuple[sdp.Stream, ...] = ()
        self._plan: Plan | None = None
        self._attempts: list[Attempt] = []
        self._placing: asyncio.Task[None] | None = None
        self._timer: Callable[[], None] = lambda: None
        self._offers = self._redirects = 0
        self._alerted = self._offered_by_us = False
        self._dialled = self._name = ""
        self._ids: list[str] = []
        self.codes: Callable[[int], None] = lambda _: None

    # what a line sees

    @property
    def trace(self) -> Callable[[str, str, str], None] | None:
        """Return where messages are noted."""
        return self._notes.trace

    @trace.setter
    def trace(self, note: Callable[[str, str, str], None] | None) -> None:
        self._notes.trace = note

    @property
    def name(self) -> str:
        """Return the call's name in the relay."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        for call_id in self._ids:
            self._premises.captures.begin(call_id, name)

    def take_media(self) -> tuple[int, ...]:
        """Give away the sockets of RTP and UDPTL."""
        return self._sockets.detach()

    async def signal(self) -> Signal:
        """Return what the network says next."""
        return await self._signals.get()

    def answer(self) -> None:
        """Answer an incoming call; :class:`Connected` comes with its ACK."""
        summons = self._summons
        if summons is None or self._dialog is not None or self._state is _State.ENDED:
            return
        flow = summons.request.flow
        try:
            session = self._bind(flow)
        except NoPort as fault:
            summons.refuse(503, "Service Unavailable")
            self._put(Refused(503, str(fault)))
            self._over()
            return
        if self._streams:
            body = session.answer(self._streams)
            if body is None:
                self.refuse(488, "Not Acceptable Here")
                return
        else:
            body, self._offered_by_us = session.offer(), True
        self._dialog = summons.answer(self, contact_of("fax", flow), body)

    def refuse(self, code: int, reason: str) -> None:
        """Refuse an incoming call."""
        if self._summons is not None and self._dialog is None and self._state is not _State.ENDED:
            self._summons.refuse(code, reason)
        self._over()

    def hang_up(self) -> None:
        """End the call in any state."""
        if self._state is _State.ENDED:
            self._sockets.close()
            return
        if self._placing is not None:
            self._placing.cancel()
        if self._dialog is not None:
            self._dialog.bye()
        elif self._invitation is not None:
            self._invitation.cancel()
        elif self._summons is not None:
            self._summons.refuse(480, "Temporarily Unavailable")
        self._over()
        self._sockets.close()

    def note(self, text: str, *, outgoing: bool) -> None:
        """Note a message in the trace, or a remark of ours where ``text`` is no message."""
        self._notes.add(">" if outgoing else "<", record.line(text))

    # beginning

    def dial(self, plan: Plan) -> None:
        """Begin an outbound call."""
        self._plan = plan
        self._placing = asyncio.get_running_loop().create_task(self._place(plan))

    async def _place(self, plan: Plan) -> None:
        try:
            self._attempts = list(await plan.attempts())
        except Unreachable as fault:
            self._refuse_here(Refused(fault.code, str(fault)))
        else:
            self._next()

    def _next(self) -> None:
        """Invite by the next way that is left."""
        plan, attempt = self._plan, self._attempts.pop(0)
        if plan is None:
            return
        try:
            flow = attempt.flow()
            body = self._bind(flow).offer()
        except NoPort as fault:
            self._refuse_here(Refused(None, str(fault)))
            return
        except OSError as fault:  # no descriptor left for a connection
            self._refuse_here(Refused(None, f"no way to {attempt.where}: {fault.strerror}"))
            return
        premises = self._premises
        self._dialled = parse_uri(attempt.uri).user
        invite = plan.write(attempt.uri, flow, body)
        self._invitation = premises.station.invitation(self, invite, flow, plan.answerer, symmetric=plan.symmetric)
        self.known_as(self._invitation.call_id)
        seconds = SILENCE if self._attempts else LAST_SILENCE
        self._timer = premises.later(seconds, lambda: self._silent(attempt, seconds))
        self._invitation.send()

    def summoned(self, summons: Summons, streams: tuple[sdp.Stream, ...]) -> None:
        """Begin an inbound call; without streams the INVITE had no offer, and ours goes into the answer."""
        self._summons, self._streams = summons, streams
        self.known_as(summons.call_id)
        summons.cancelled = self._cancelled

    def known_as(self, call_id: str) -> None:
        """Take the messages of a Call-ID for this call's."""
        self._ids.append(call_id)
        self._premises.legs[call_id] = self
        self._premises.captures.begin(call_id, self._name)

    def _bind(self, flow: Flow) -> Session:
        """Return a session for a flow, on this leg's sockets; raises :class:`NoPort`."""
        rtp, udptl = self._sockets.numbers()
        number = self._premises.random.randrange(1, 2**31)
        self._session = Session(self._t38, self._codecs, host=flow.local[0], rtp=rtp, udptl=udptl, number=number)
        return self._session

    def _silent(self, attempt: Attempt, seconds: float) -> None:
        """Give up a target that said nothing at all."""
        if self._invitation is None or not self._invitation.silent or self._dialog is not None:
            return
        self._invitation.leave()
        self._notes.add("-", f"no response from {attempt.where} within {seconds:.0f} s")
        if self._attempts:
            self._next()
        else:
            self._refuse_here(Refused(None, f"no response from {attempt.where}"))

    # InvitationUser

    def progressed(self, code: int) -> None:
        """Take a provisional response."""
        self._timer()
        if code > 100 and not self._alerted:  # noqa: PLR2004  100 comes from the next hop only
            self._alerted = True
            self._put(Alerting())

    def refused(self, refusal: Refusal) -> None:
        """Take a refusal: the next target, a redirection within the trunk, or the end."""
        self._timer()
        self.codes(refusal.code)
        if refusal.code in _REDIRECTS and self._redirected(refusal):
            return
        if (refusal.fault or refusal.code in _FAILOVER) and self._attempts and not self._alerted:
            why = refusal.fault or f"{refusal.code} {refusal.reason}"
            self._notes.add("-", f"{why}: trying {self._attempts[0].where}")
            self._next()
        elif refusal.fault:
            self._refuse_here(Refused(None, refusal.fault))
        else:
            self._refuse_here(Refused(refusal.code, refusal.reason))

    def _redirected(self, refusal: Refusal) -> bool:
        """Follow a 3xx to the same trunk and number; elsewhere it would take the call where no policy sent it."""
        plan, invitation = self._plan, self._invitation
        if plan is None or invitation is None or self._redirects >= _MOST_REDIRECTS:
            return False
        for value in refusal.contacts:
            try:
                uri = parse_address(value).uri
            except BadAddress:
                continue
            if uri.scheme != "tel" and uri.user == self._dialled and plan.redirect(uri.host):
                self._redirects += 1
                self._attempts.insert(0, Attempt(str(uri), invitation.same_flow, uri.host))
                self._next()
                return True
        return False

    def accepted(self, dialog: Dialog, body: str) -> None:
        """Take the answer."""
        self._timer()
        self._dialog = dialog
        self.codes(200)
        media = self._session.heard(body) if self._session is not None else None
        if media is None:
            dialog.bye()
            if not self._alerted:  # the trunk did carry the call to somebody
                self._put(Alerting())
            self._refuse_here(Refused(488, "the answer holds no media that a fax can use"))
            return
        self._connected(media)
        if self._t38 is T38Mode.PREFER:
            self._offer_t38()

    # DialogUser

    def offered(self, body: str) -> Reply:
        """Return the answer to a re-INVITE or UPDATE of theirs."""
        session = self._session
        if session is None or self._state is _State.ENDED:
            return _NOT_ACCEPTABLE
        if not body:
            self._offered_by_us = True
            return Reply(200, "OK", session.offer())
        answer = session.answer_text(body)
        if answer is None:
            return _NOT_ACCEPTABLE
        self._change(session.media)
        return Reply(200, "OK", answer)

    def acknowledged(self, body: str) -> None:
        """Take the ACK of an answer of ours; where that held an offer, with its answer."""
        session = self._session
        if session is None:
            return
        media = session.media
        if self._offered_by_us:
            self._offered_by_us = False
            media = session.heard(body)
        if self._state is _State.CONNECTED:
            self._change(media)
        elif media is None:
            if self._dialog is not None:
                self._dialog.bye()
            self._refuse_here(Refused(488, "the caller's answer holds no media that a fax can use"))
        else:
            self._connected(media)
            if self._t38 is T38Mode.PREFER:
                self._offer_t38()
            elif self._t38 is T38Mode.AUTO:
                self._timer = self._premises.later(T38_AFTER, self._offer_t38)

    def answered(self, code: int, reason: str, body: str) -> None:
        """Take the final answer to our offer of T.38, or to the way back from it."""
        session = self._session
        if self._state is _State.ENDED or session is None:
            return
        if code in _OK:
            media = session.heard(body)
            if media is not None:
                self._change(media)
                return
            self._notes.add("-", "T.38 was accepted without a port for it: back to audio")
            session.withdraw()
            if self._dialog is not None:
                self._dialog.offer(session.offer())
            return
        session.withdraw()
        if code == _GLARE and self._offers < _MOST_OFFERS:
            # RFC 3261 14.1: the owner of the Call-ID waits longer, so that they do not meet again
            low, high = (2.1, 4.0) if self._plan is not None else (0.0, 2.0)
            self._timer = self._premises.later(self._premises.random.uniform(low, high), self._offer_t38)
        else:
            self._notes.add("-", f"T.38 was refused ({code} {reason[:40]}): the call stays in audio")

    def gone(self, reason: str) -> None:
        """Take the end that the far side or the network made."""
        if self._state is _State.CONNECTED:
            self._put(Gone(reason))
        elif self._state is _State.STARTING:
            self._put(Refused(487, reason))
        self._over()

    # media

    def _offer_t38(self) -> None:
        """Offer T.38, unless it is there by now."""
        dialog, session = self._dialog, self._session
        if dialog is None or session is None or self._state is not _State.CONNECTED:
            return
        if not session.may_t38 or self._offers >= _MOST_OFFERS:
            return
        if dialog.offer(session.offer_t38()):
            self._offers += 1
        else:  # another offer is under way
            session.withdraw()
            self._timer = self._premises.later(T38_AFTER, self._offer_t38)

    def _connected(self, media: Media) -> None:
        self._media, self._state = media, _State.CONNECTED
        self._put(Connected(media))

    def _change(self, media: Media | None) -> None:
        if media is not None and media != self._media:
            self._media = media
            if self._state is _State.CONNECTED:
                self._put(Changed(media))

    # the end

    def _cancelled(self) -> None:
        """Take the caller's CANCEL, or that we let it ring for too long."""
        if self._state is _State.STARTING:
            self._put(Refused(487, "the caller hung up before the answer"))
            self._over()

    def _refuse_here(self, signal: Refused) -> None:
        if self._state is not _State.ENDED:
            self._put(signal)
            self._over()

    def _put(self, signal: Signal) -> None:
        self._signals.put_nowait(signal)

    def _over(self) -> None:
        if self._state is _State.ENDED:
            return
        if self._state is not _State.CONNECTED:  # who was told of media may still be about to take them
            self._sockets.close()
        self._state = _State.ENDED
        self._timer()
        self._notes.close()
        for call_id in self._ids:
            self._premises.legs.pop(call_id, None)
        self._ended(self)
