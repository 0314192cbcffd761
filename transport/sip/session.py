"""The media of one call as both sides describe them: what we said, what we heard, what is live. Sans-I/O.

Invariants: :attr:`Session.media` are those of the last offer that was answered, either way; an offer of ours that was
refused leaves everything as it was (RFC 3264 8, RFC 3261 14.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from transport.seam import T38Mode
from transport.sip import sdp

if TYPE_CHECKING:
    from transport.order import Media


class Session:
    """One call's session on our ports ``rtp`` and ``udptl`` at ``host``, which is how the far side sees us."""

    def __init__(self, t38: T38Mode, codecs: tuple[int, ...], *, host: str, rtp: int, udptl: int, number: int) -> None:
        """Make it. ``number``: of the ``o=`` line, to be random (RFC 8866 5.2)."""
        self._t38, self._codecs = t38, codecs
        self._ours = sdp.Description(host, rtp, udptl, codecs, number)
        self._before: sdp.Description | None = None
        self.media: Media | None = None

    @property
    def may_t38(self) -> bool:
        """Whether T.38 is allowed and not there yet."""
        return self._t38 is not T38Mode.NEVER and not (self.media is not None and self.media.t38)

    def offer(self) -> str:
        """Return an offer of what is live; of audio where nothing is yet."""
        if self.media is not None and self.media.t38:
            return self._ours.offer_t38(self.media.error_correction)
        return self._ours.offer_audio()

    def answer(self, streams: tuple[sdp.Stream, ...]) -> str | None:
        """Return the answer to an offer, whose media are ours then; ``None``: nothing in it that we take."""
        chosen = sdp.choose(streams, t38=self._t38 is not T38Mode.NEVER, codecs=self._codecs)
        if chosen is None:
            return None
        self.media = chosen[1]
        return self._ours.answer(streams, chosen)

    def answer_text(self, body: str) -> str | None:
        """Return the answer to an offer as it came; ``None``: unreadable, or nothing in it that we take."""
        try:
            return self.answer(sdp.parse(body))
        except sdp.BadSdp:
            return None

    def heard(self, body: str) -> Media | None:
        """Take the answer to an offer of ours; ``None``: it leaves nothing live, and nothing is changed."""
        try:
            chosen = sdp.heard(sdp.parse(body), t38=self._t38 is not T38Mode.NEVER, codecs=self._codecs)
        except sdp.BadSdp:
            return None
        if chosen is None:
            return None
        self._before = None
        self.media = chosen[1]
        return self.media

    def offer_t38(self) -> str:
        """Return an offer of T.38 in the place of audio; :meth:`heard` or :meth:`withdraw` follows."""
        self._before = replace(self._ours)
        return self._ours.offer_t38()

    def withdraw(self) -> None:
        """Take the offer back: it was refused, or never sent."""
        if self._before is not None:
            self._before.version = self._ours.version  # a version that was said is never said of another text
            self._ours, self._before = self._before, None
