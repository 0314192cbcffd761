"""One call by SIP: what is dialled or answered, the media that are agreed, and the way to T.38.

T.38's way (T.38 annex D): the called side offers it by re-INVITE one second after the answer, the calling side waits
for that; :attr:`T38Mode.PREFER` asks at once, :attr:`T38Mode.NEVER` refuses with 488 and offers nothing. Refused offers
leave the call in audio; 491 is tried again (RFC 3261 14.1). Invariants: the media that :meth:`SipLeg.signal` tells are
those of the last agreed description; sockets that nobody took are closed by
:meth:`SipLeg.hang_up`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from transport.network import Alerting, Changed, Connected, Gone, Refused, Signal
from transport.seam import T38Mode
from transport.sip import record, sdp
from transport.sip.ports import MediaPorts, NoPort
from transport.sip.stack.dialogs import Dialog, Reply
from transport.sip.uri import BadAddress, parse_address

if TYPE_CHECKING:
    import random
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from transport.order import Media
    from transport.sip.digest import Answerer
    from transport.sip.stack.invitations import Invitation, Invite, Refusal, Summons
    from transport.sip.stack.messages import Flow
    from transport.sip.stack.station import Station

#: Seconds after the answer at which the called side offers T.38: behind most machines' CED.
T38_AFTER = 1.0
#: Seconds without any response after which the next target is tried, and what the last one gets.
SILENCE, LAST_SILENCE = 4.0, 10.0
_MOST_OFFERS = 4
_MOST_REDIRECTS = 2
_BUFFERED = 100
_NOT_ACCEPTABLE = Reply(488, "Not Acceptable Here")
_FAILOVER = range(500, 600)
_GLARE = 491
_REDIRECTS = range(300, 400)
_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Premises:
    """What every leg of a line shares. ``later``: run a callback after seconds, returns what cancels it."""

    station: Station
    ports: MediaPorts
    later: Callable[[float, Callable[[], None]], Callable[[], None]]
    random: random.Random
    captures: record.Captures
    legs: dict[str, SipLeg]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to try: a Request-URI by a flow, which is made only when its turn comes."""

    uri: str
    flow: Callable[[], Flow]
    where: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How to call. ``write``: the INVITE for a URI, a flow and an offer; ``redirect``: whether a 3xx may go there."""

    attempts: Callable[[], Awaitable[Sequence[Attempt]]]
    write: Callable[[str, Flow, str], Invite]
    redirect: Callable[[str], bool]
    answerer: Answerer | None
    symmetric: bool = False


class Unreachable(Exception):
    """There is no address to call; the sentence says why. ``code``: a SIP code that says the same, if there is one."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code


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
        self._trace: Callable[[str, str, str], None] | None = None
        self._buffered: list[tuple[str, str]] = []
        self._sockets: list[socket.socket] = []
        self._description: sdp.Description | None = None
        self._before: sdp.Description | None = None
        self._media: Media | None = None
        self._invitation: Invitation | None = None
        self._summons: Summons | None = None
        self._dialog: Dialog | None = None
        self._streams: tuple[sdp.Stream, ...] = ()
        self._plan: Plan | None = None
        self._attempts: list[Attempt] = []
        self._placing: asyncio.Task[None] | None = None
        self._timer: Callable[[], None] = lambda: None
        self._offers = 0
        self._redirects = 0
        self._alerted = False
        self._offered_by_us = False
        self._ids: list[str] = []
        self.codes: Callable[[int], None] = lambda _: None
        self._name = ""

    # what a line sees

    @property
    def trace(self) -> Callable[[str, str, str], None] | None:
        """Return where messages are noted."""
        return self._trace

    @trace.setter
    def trace(self, note: Callable[[str, str, str], None] | None) -> None:
        self._trace = note if self._state is not _State.ENDED else None
        if note is not None:
            for arrow, text in self._buffered:
                note(arrow, "sip", text)
            self._buffered.clear()

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
        taken = tuple(one.detach() for one in self._sockets)
        self._sockets.clear()
        return taken

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
            description = self._bind(flow)
        except NoPort as fault:
            summons.refuse(503, "Service Unavailable")
            self._put(Refused(503, str(fault)))
            self._over()
            return
        if self._streams:
            chosen = sdp.choose(self._streams, t38=self._t38 is not T38Mode.NEVER, codecs=self._codecs)
            if chosen is None:
                self.refuse(488, "Not Acceptable Here")
                return
            body = description.answer(self._streams, chosen)
            self._media = chosen[1]
        else:
            body, self._offered_by_us = description.offer_audio(), True
        self._dialog = summons.answer(self, self._contact(flow), body)

    def refuse(self, code: int, reason: str) -> None:
        """Refuse an incoming call."""
        if self._summons is not None and self._dialog is None and self._state is not _State.ENDED:
            self._summons.refuse(code, reason)
        self._over()

    def hang_up(self) -> None:
        """End the call in any state."""
        if self._state is _State.ENDED:
            self._close_sockets()
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
        self._close_sockets()

    def note(self, text: str, *, outgoing: bool) -> None:
        """Note a message in the trace, or a remark of ours where ``text`` is no message."""
        self._noted(">" if outgoing else "<", record.line(text))

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
            return
        self._next()

    def _next(self) -> None:
        """Invite by the next way that is left."""
        plan, attempt = self._plan, self._attempts.pop(0)
        if plan is None:
            return
        flow = attempt.flow()
        try:
            body = self._bind(flow).offer_audio()
        except NoPort as fault:
            self._refuse_here(Refused(None, str(fault)))
            return
        premises = self._premises
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

    def _bind(self, flow: Flow) -> sdp.Description:
        """Return our description for a flow, on this leg's sockets."""
        if not self._sockets:
            self._sockets = list(self._premises.ports.take())
        rtp, udptl = (one.getsockname()[1] for one in self._sockets)
        session = self._premises.random.randrange(1, 2**31)
        self._description = sdp.Description(flow.local[0], rtp, udptl, self._codecs, session)
        return self._description

    def _contact(self, flow: Flow) -> str:
        return contact_of("fax", flow)

    def _silent(self, attempt: Attempt, seconds: float) -> None:
        """Give up a target that said nothing at all."""
        if self._invitation is None or not self._invitation.silent or self._dialog is not None:
            return
        self._invitation.leave()
        self._noted("-", f"no response from {attempt.where} within {seconds:.0f} s")
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
            self._noted("-", f"{why}: trying {self._attempts[0].where}")
            self._next()
        elif refusal.fault:
            self._refuse_here(Refused(None, refusal.fault))
        else:
            self._refuse_here(Refused(refusal.code, refusal.reason))

    def _redirected(self, refusal: Refusal) -> bool:
        """Follow a 3xx to the same trunk; elsewhere it would take the call where no policy sent it."""
        plan, invitation = self._plan, self._invitation
        if plan is None or invitation is None or self._redirects >= _MOST_REDIRECTS:
            return False
        for value in refusal.contacts:
            try:
                uri = parse_address(value).uri
            except BadAddress:
                continue
            if uri.scheme != "tel" and plan.redirect(uri.host):
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
        chosen = self._chosen(body, heard=True)
        if chosen is None:
            dialog.bye()
            if not self._alerted:  # the trunk did carry the call to somebody
                self._put(Alerting())
            self._refuse_here(Refused(488, "the answer holds no media that a fax can use"))
            return
        self._connected(chosen[1])
        if self._t38 is T38Mode.PREFER:
            self._offer_t38()

    # DialogUser

    def offered(self, body: str) -> Reply:
        """Return the answer to a re-INVITE or UPDATE of theirs."""
        description = self._description
        if description is None or self._state is _State.ENDED:
            return _NOT_ACCEPTABLE
        if not body:
            self._offered_by_us = True
            return Reply(200, "OK", self._same_again(description))
        try:
            streams = sdp.parse(body)
        except sdp.BadSdp:
            return _NOT_ACCEPTABLE
        chosen = sdp.choose(streams, t38=self._t38 is not T38Mode.NEVER, codecs=self._codecs)
        if chosen is None:
            return _NOT_ACCEPTABLE
        reply = Reply(200, "OK", description.answer(streams, chosen))
        self._change(chosen[1])
        return reply

    def acknowledged(self, body: str) -> None:
        """Take the ACK of an answer of ours; where that held an offer, with its answer."""
        media = self._media
        if self._offered_by_us:
            self._offered_by_us = False
            chosen = self._chosen(body, heard=True)
            media = chosen[1] if chosen is not None else None
        if self._state is _State.CONNECTED:
            if media is not None:
                self._change(media)
            return
        if media is None:
            if self._dialog is not None:
                self._dialog.bye()
            self._refuse_here(Refused(488, "the caller's answer holds no media that a fax can use"))
            return
        self._connected(media)
        if self._t38 is T38Mode.PREFER:
            self._offer_t38()
        elif self._t38 is T38Mode.AUTO:
            self._timer = self._premises.later(T38_AFTER, self._offer_t38)

    def answered(self, code: int, reason: str, body: str) -> None:
        """Take the final answer to our offer of T.38, or to the way back from it."""
        if self._state is _State.ENDED:
            return
        if code in _OK:
            chosen = self._chosen(body, heard=True)
            if chosen is not None:
                self._before = None
                self._change(chosen[1])
                return
            self._noted("-", "T.38 was accepted without a port for it: back to audio")
            self._withdraw()
            if self._dialog is not None and self._description is not None:
                self._dialog.offer(self._description.offer_audio())
            return
        self._withdraw()
        if code == _GLARE and self._offers < _MOST_OFFERS:
            # RFC 3261 14.1: the owner of the Call-ID waits longer, so that they do not meet again
            low, high = (2.1, 4.0) if self._plan is not None else (0.0, 2.0)
            self._timer = self._premises.later(self._premises.random.uniform(low, high), self._offer_t38)
        else:
            self._noted("-", f"T.38 was refused ({code} {reason[:40]}): the call stays in audio")

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
        dialog, description = self._dialog, self._description
        if dialog is None or description is None or self._state is not _State.CONNECTED:
            return
        if (self._media is not None and self._media.t38) or self._offers >= _MOST_OFFERS:
            return
        before = replace(description)
        if dialog.offer(description.offer_t38()):
            self._before = before
            self._offers += 1
        else:
            self._restore(before)
            self._timer = self._premises.later(T38_AFTER, self._offer_t38)

    def _withdraw(self) -> None:
        """Take back an offer that was not accepted: the session is what it was (RFC 3261 14.1)."""
        if self._before is not None:
            self._restore(self._before)
            self._before = None

    def _restore(self, before: sdp.Description) -> None:
        if self._description is not None:
            before.version = self._description.version
            self._description = before

    def _same_again(self, description: sdp.Description) -> str:
        if self._media is not None and self._media.t38:
            return description.offer_t38(self._media.error_correction)
        return description.offer_audio()

    def _chosen(self, body: str, *, heard: bool) -> tuple[int, Media] | None:
        try:
            streams = sdp.parse(body)
        except sdp.BadSdp:
            return None
        read = sdp.heard if heard else sdp.choose
        return read(streams, t38=self._t38 is not T38Mode.NEVER, codecs=self._codecs)

    def _connected(self, media: Media) -> None:
        self._media, self._state = media, _State.CONNECTED
        self._put(Connected(media))

    def _change(self, media: Media) -> None:
        if media != self._media:
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
            self._close_sockets()
        self._state = _State.ENDED
        self._timer()
        self._trace = None  # whoever took the notes closes their file now
        for call_id in self._ids:
            self._premises.legs.pop(call_id, None)
        self._ended(self)

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()
        self._sockets.clear()

    def _noted(self, arrow: str, text: str) -> None:
        if self._trace is not None:
            self._trace(arrow, "sip", text)
        elif self._state is not _State.ENDED and len(self._buffered) < _BUFFERED:
            self._buffered.append((arrow, text))


def contact_of(user: str, flow: Flow) -> str:
    """Return a Contact of ours on a flow, with the feature tag that says fax over T.38 (RFC 6913)."""
    host, port = flow.local
    host = f"[{host}]" if ":" in host else host
    transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
    return f'<sip:{user}@{host}:{port}{transport}>;+sip.fax="t38"'


class RefusedLeg:
    """A call that cannot even begin."""

    trace: Callable[[str, str, str], None] | None = None

    def __init__(self, why: Refused) -> None:
        self._why: Refused | None = why

    def take_media(self) -> tuple[int, ...]:
        """Return nothing: there are none."""
        return ()

    async def signal(self) -> Signal:
        """Say why, once."""
        if self._why is None:
            await asyncio.Event().wait()
        why, self._why = self._why, None
        return why or Refused(None, "")

    def answer(self) -> None:
        """Do nothing: there is no call."""

    def refuse(self, code: int, reason: str) -> None:
        """Do nothing: there is no call."""

    def hang_up(self) -> None:
        """Do nothing: there is no call."""
