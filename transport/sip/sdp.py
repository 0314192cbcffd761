"""Session descriptions of a fax call (RFC 8866, offer and answer RFC 3264, T.38 in SDP: T.38 annex D). Sans-I/O.

A session has one live stream at a time: G.711 audio, or T.38 over UDPTL. Invariants: every m-line of an offer is
answered, in its order (RFC 3264 6); a later offer of ours has as many m-lines as the session has (8); nothing of the
other side's text goes into ours but the media, protocol and formats of m-lines that are tokens.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from enum import Enum

from transport.order import ErrorCorrection, Media, MediaKind

_MOST_LINES = 500
_MOST_STREAMS = 16
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~/]{1,40}", re.ASCII)
_CODECS = {0: "PCMU", 8: "PCMA"}
_EVENTS = 101
#: CNG, CED and the answering tones (RFC 4734), beside the digits.
_EVENT_LIST = "0-15,32-36"
#: The names of UDPTL's error correction (T.38 D.2.3.5).
_CORRECTION = {
    "t38udpnoec": ErrorCorrection.NONE,
    "t38udpredundancy": ErrorCorrection.REDUNDANCY,
    "t38udpfec": ErrorCorrection.FEC,
}
_CORRECTION_NAMES = {
    ErrorCorrection.NONE: "t38UDPNoEC",
    ErrorCorrection.REDUNDANCY: "t38UDPRedundancy",
    ErrorCorrection.FEC: "t38UDPFEC",
}
_SMALLEST_DATAGRAM, _LARGEST_DATAGRAM, _USUAL_DATAGRAM = 72, 1400, 400
_ZEROS = ("0.0.0.0", "::")  # noqa: S104  RFC 2543's way to hold


class BadSdp(ValueError):
    """The text is no session description that can be used."""


class Direction(Enum):
    """Which way a stream flows, as its writer sees it (RFC 8866 6.7)."""

    BOTH = "sendrecv"
    SEND = "sendonly"
    RECEIVE = "recvonly"
    NONE = "inactive"


_ANSWER_TO = {
    Direction.BOTH: Direction.BOTH,
    Direction.SEND: Direction.RECEIVE,
    Direction.RECEIVE: Direction.SEND,
    Direction.NONE: Direction.NONE,
}


@dataclass(frozen=True, slots=True)
class Stream:
    """One m-line with what belongs to it. ``attributes``: lower-case names, the first of each."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    host: str
    direction: Direction
    attributes: dict[str, str] = field(default_factory=dict)
    maps: dict[str, str] = field(default_factory=dict)

    @property
    def t38(self) -> bool:
        """Whether it is live T.38 over UDPTL."""
        return self.port > 0 and self.kind == "image" and self.protocol.lower() == "udptl" and "t38" in self._lower

    @property
    def _lower(self) -> tuple[str, ...]:
        return tuple(one.lower() for one in self.formats)

    def codecs(self) -> list[int]:
        """Return the G.711 payload types of a live audio stream, in its order."""
        if self.port == 0 or self.kind != "audio" or self.protocol.upper() not in ("RTP/AVP", "RTP/AVPF"):
            return []
        return [int(one) for one in self.formats if one in ("0", "8")]

    def events(self) -> int | None:
        """Return the payload type of telephone events, ``None`` without them."""
        for format_ in self.formats:
            if self.maps.get(format_, "").lower().startswith("telephone-event/8000"):
                return int(format_)
        return None


def parse(text: str) -> tuple[Stream, ...]:
    """Return the streams of a session description; raises :class:`BadSdp`."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > _MOST_LINES or not lines[0].startswith("v="):
        raise BadSdp("the session description does not begin with v=, or is too long")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line.strip())
    if len(sections) > _MOST_STREAMS + 1:
        raise BadSdp("the session description has too many streams")
    host = _host(sections[0])
    direction = _direction(sections[0], Direction.BOTH)
    return tuple(_stream(section, host, direction) for section in sections[1:])


def _stream(section: list[str], host: str, direction: Direction) -> Stream:
    words = section[0][2:].split()
    if len(words) < 4 or not all(_TOKEN.fullmatch(word) for word in words):  # noqa: PLR2004  RFC 8866 5.14
        raise BadSdp("an m-line is not media, port, protocol, formats")
    port = words[1].split("/")[0]
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:  # noqa: PLR2004
        raise BadSdp("an m-line has no port")
    attributes: dict[str, str] = {}
    maps: dict[str, str] = {}
    for line in section[1:]:
        if not line.startswith("a="):
            continue
        name, _, value = line[2:].partition(":")
        if name == "rtpmap":
            format_, _, encoding = value.strip().partition(" ")
            maps.setdefault(format_, encoding.strip())
        attributes.setdefault(name.strip().lower(), value.strip())
    formats = tuple(one for one in words[3:] if not one.isdigit() or len(one) <= 3)  # noqa: PLR2004
    return Stream(
        kind=words[0].lower(),
        port=int(port),
        protocol=words[2],
        formats=formats,
        host=_host(section) or host,
        direction=_direction(section, direction),
        attributes=attributes,
        maps=maps,
    )


def _host(section: list[str]) -> str:
    for line in section:
        if line.startswith("c="):
            words = line[2:].split()
            if len(words) != 3 or words[0] != "IN":  # noqa: PLR2004  nettype addrtype address
                raise BadSdp("a c-line is not IN IP4 or IN IP6 and an address")
            try:
                return str(ipaddress.ip_address(words[2].split("/")[0]))
            except ValueError:
                raise BadSdp("a c-line has no IP address") from None
    return ""


def _direction(section: list[str], default: Direction) -> Direction:
    known = {f"a={one.value}": one for one in Direction}
    return next((known[line] for line in section if line in known), default)


def choose(streams: tuple[Stream, ...], *, t38: bool, codecs: tuple[int, ...]) -> tuple[int, Media] | None:
    """Return the stream of an offer or answer that we take, and its media; T.38 before audio. ``None``: none of them.

    ``codecs``: the payload types that we take, the preferred first.
    """
    for index, stream in enumerate(streams):
        if t38 and stream.t38 and stream.host:
            return index, _t38_media(stream)
    for index, stream in enumerate(streams):
        offered = [codec for codec in codecs if codec in stream.codecs()]
        if offered and stream.host:
            return index, _audio_media(stream, offered[0])
    return None


def heard(streams: tuple[Stream, ...], *, t38: bool, codecs: tuple[int, ...]) -> tuple[int, Media] | None:
    """Return the stream of an answer: as :func:`choose`, but the order of the codecs is the answerer's (RFC 3264 7)."""
    chosen = choose(streams, t38=t38, codecs=codecs)
    if chosen is None or chosen[1].t38:
        return chosen
    index, media = chosen
    first = next(codec for codec in streams[index].codecs() if codec in codecs)
    return index, replace(media, payload_type=first)


def _audio_media(stream: Stream, codec: int) -> Media:
    held = stream.direction in (Direction.SEND, Direction.NONE) or stream.host in _ZEROS
    return Media(
        MediaKind.RTP, stream.host, stream.port, payload_type=codec, events=stream.events(), held=held
    )  # fmt: skip


def _t38_media(stream: Stream) -> Media:
    largest = _number(stream.attributes.get("t38faxmaxdatagram"), _USUAL_DATAGRAM)
    return Media(
        MediaKind.UDPTL,
        stream.host,
        stream.port,
        held=stream.direction in (Direction.SEND, Direction.NONE) or stream.host in _ZEROS,
        max_datagram=min(max(largest, _SMALLEST_DATAGRAM), _LARGEST_DATAGRAM),
        error_correction=_correction(stream),
    )


def _correction(stream: Stream) -> ErrorCorrection:
    said = stream.attributes.get("t38faxudpec", "").lower()
    return _CORRECTION.get(said, ErrorCorrection.REDUNDANCY)


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) else default


@dataclass(frozen=True, slots=True)
class Slot:
    """What an m-line of the session was, so that a later offer keeps its place."""

    kind: str
    protocol: str
    formats: tuple[str, ...]


@dataclass
class Description:
    """Our side of one session: writes our offers and answers, one version higher each time the text changes.

    ``host``: our address as the far side sees it; ``rtp`` and ``udptl``: our ports.
    """

    host: str
    rtp: int
    udptl: int
    codecs: tuple[int, ...]
    session: int
    version: int = 0
    slots: tuple[Slot, ...] = ()
    live: int = 0
    said: str = ""

    def offer_audio(self) -> str:
        """Return an offer of audio, in the place of whatever was live."""
        return self._offer(self._audio(self.codecs, _EVENTS, Direction.BOTH), "audio")

    def offer_t38(self, correction: ErrorCorrection = ErrorCorrection.REDUNDANCY) -> str:
        """Return an offer of T.38 alone, in the place of whatever was live."""
        return self._offer(self._t38(correction), "image")

    def answer(self, streams: tuple[Stream, ...], chosen: tuple[int, Media]) -> str:
        """Return the answer to an offer of which one stream was chosen; the others are refused with port 0."""
        index, media = chosen
        lines: list[str] = []
        for at, stream in enumerate(streams):
            if at != index:
                lines += _refused(Slot(stream.kind, stream.protocol, stream.formats))
                continue
            direction = _ANSWER_TO[stream.direction]
            if media.t38:
                lines += self._t38(media.error_correction, None if direction is Direction.BOTH else direction)
            else:
                lines += self._audio((media.payload_type,), media.events, direction, stream.protocol)
        self.slots = tuple(Slot(stream.kind, stream.protocol, stream.formats) for stream in streams)
        self.live = index
        return self._said(lines)

    def _offer(self, stream: list[str], kind: str) -> str:
        if not self.slots:
            self.slots, self.live = (Slot(kind, *_written(stream[0])),), 0
        where = next((at for at, slot in enumerate(self.slots) if slot.kind == kind), self.live)
        slots = list(self.slots)
        slots[where] = Slot(kind, *_written(stream[0]))
        self.slots, self.live = tuple(slots), where
        lines: list[str] = []
        for at, slot in enumerate(self.slots):
            lines += stream if at == where else _refused(slot)
        return self._said(lines)

    def _said(self, lines: list[str]) -> str:
        body = "\r\n".join(lines) + "\r\n"
        if body != self.said:
            self.said = body
            self.version += 1
        family = "IP6" if ":" in self.host else "IP4"
        return (
            f"v=0\r\no=- {self.session} {self.version} IN {family} {self.host}\r\ns=-\r\n"
            f"c=IN {family} {self.host}\r\nt=0 0\r\n{body}"
        )

    def _audio(
        self, codecs: tuple[int, ...], events: int | None, direction: Direction, protocol: str = "RTP/AVP"
    ) -> list[str]:
        formats = [str(codec) for codec in codecs] + ([str(events)] if events is not None else [])
        lines = [f"m=audio {self.rtp} {protocol} {' '.join(formats)}"]
        lines += [f"a=rtpmap:{codec} {_CODECS[codec]}/8000" for codec in codecs]
        if events is not None:
            lines += [f"a=rtpmap:{events} telephone-event/8000", f"a=fmtp:{events} {_EVENT_LIST}"]
        return [*lines, "a=ptime:20", "a=silenceSupp:off - - - -", f"a={direction.value}"]

    def _t38(self, correction: ErrorCorrection, direction: Direction | None = None) -> list[str]:
        lines = [
            f"m=image {self.udptl} udptl t38",
            "a=T38FaxVersion:0",
            "a=T38MaxBitRate:14400",
            "a=T38FaxRateManagement:transferredTCF",
            "a=T38FaxMaxBuffer:1800",
            f"a=T38FaxMaxDatagram:{_USUAL_DATAGRAM}",
            f"a=T38FaxUdpEC:{_CORRECTION_NAMES[correction]}",
        ]
        return lines if direction is None else [*lines, f"a={direction.value}"]


def _written(line: str) -> tuple[str, tuple[str, ...]]:
    words = line.split()
    return words[2], tuple(words[3:])


def _refused(slot: Slot) -> list[str]:
    return [f"m={slot.kind} 0 {slot.protocol} {' '.join(slot.formats)}"]


def summary(text: str) -> str:
    """Return a session description in a few words, for a trace; printable whatever came."""
    try:
        streams = parse(text)
    except BadSdp:
        return "SDP unreadable"
    words = []
    for stream in streams:
        held = "" if stream.direction is Direction.BOTH else f" {stream.direction.value}"
        what = " ".join((stream.kind, *stream.formats[:6]))
        if stream.kind == "image":
            what = " ".join(("image", *stream.formats[:2], stream.protocol, stream.attributes.get("t38faxudpec", "")))
        where = f" {stream.host}:{stream.port}" if stream.port else " port 0"
        words.append(f"{what.strip()}{where}{held}"[:120])
    return "SDP " + ", ".join(words[:4])
