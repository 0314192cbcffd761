"""How a call of ours is made: by which ways, with which words; and one that cannot even begin."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transport.sip.uri import BadAddress, parse_address

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Sequence

    from transport.network import Refused, Signal
    from transport.sip.digest import Answerer
    from transport.sip.leg import SipLeg
    from transport.sip.ports import MediaPorts
    from transport.sip.record import Captures
    from transport.sip.stack.invitations import Invite
    from transport.sip.stack.messages import Flow
    from transport.sip.stack.station import Station


@dataclass(frozen=True, slots=True)
class Premises:
    """What every leg of a line shares. ``later``: run a callback after seconds, returns what cancels it."""

    station: Station
    ports: MediaPorts
    later: Callable[[float, Callable[[], None]], Callable[[], None]]
    random: random.Random
    captures: Captures
    legs: dict[str, SipLeg]


@dataclass(slots=True)
class Traffic:
    """The calls that a trunk or device has now, and its last final code; they outlive a change of its account."""

    calls: int = 0
    last_code: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to try: a Request-URI by a flow, which is made only when its turn comes. ``where``: for people."""

    uri: str
    flow: Callable[[], Flow]
    where: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How to call.

    ``attempts``: the ways, in order, raises :class:`Unreachable`. ``write``: the INVITE for a URI, a flow and an offer.
    ``redirect``: whether a 3xx may lead to a host. ``symmetric``: the dialog stays on its flow, whatever URIs say.
    """

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
        while self._why is None:
            await asyncio.Event().wait()
        why, self._why = self._why, None
        return why

    def answer(self) -> None:
        """Do nothing: there is no call."""

    def refuse(self, code: int, reason: str) -> None:
        """Do nothing: there is no call."""

    def hang_up(self) -> None:
        """Do nothing: there is no call."""


def contact_of(user: str, flow: Flow) -> str:
    """Return a Contact of ours on a flow, with the feature tag that says fax over T.38 (RFC 6913)."""
    host, port = flow.local
    host = f"[{host}]" if ":" in host else host
    transport = "" if flow.transport == "udp" else f";transport={flow.transport}"
    return f'<sip:{user}@{host}:{port}{transport}>;+sip.fax="t38"'


def host_port(text: str) -> tuple[str, int | None]:
    """Return host and port of a proxy as a policy writes it; raises :class:`Unreachable`."""
    try:
        uri = parse_address(f"<sip:{text.removeprefix('sip:')}>").uri
    except BadAddress as fault:
        raise Unreachable(f"the trunk's proxy {text!r} is no host: {fault}") from fault
    return uri.host, uri.port
