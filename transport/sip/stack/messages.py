"""SIP messages as sippy reads and writes them, with the headers that matter kept as they came.

sippy's own classes for addresses refuse ``tel:``, turn ``sips:`` into ``sip:`` and print what they cannot read;
addresses are therefore left as text here, and read by :mod:`transport.sip.uri`. Text is UTF-8 with what is not UTF-8
kept as it is, so that headers that go back are those that came.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import sippy.SipMsg
import sippy.SipRequest
import sippy.SipURL
from sippy.MsgBody import MsgBody
from sippy.SipContentType import SipContentType
from sippy.SipGenericHF import SipGenericHF
from sippy.SipHeader import SipHeader, hf_types
from sippy.SipRequest import SipRequest
from sippy.SipResponse import SipResponse

from transport.sip.uri import Address, BadAddress, parse_address, split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LARGEST = 65535
_MOST_HEADERS = 200
_LONGEST_LINE = 8192
_END = re.compile(rb"\r\n\r\n|\n\n")
#: What str.splitlines takes for a line's end and SIP does not, and other control characters.
_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127, 133, 8232, 8233), "?")
_BOUNDARY = re.compile(r'multipart/[a-z-]+\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_MOST_PARTS = 10
_BRIEF = re.compile(r"[0-9]{1,5}", re.ASCII)
_METHOD = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,32}", re.ASCII)
_TOKEN_TEXT = re.compile(r"[^\s\"<>;,]{1,256}")
_LARGEST_CSEQ = 2**31
_HIGHEST_PORT = 65535
_VERSION = "SIP/2.0"
AGENT = "faxrelay"

# sippy says what it thinks of a message on standard output; what matters of it comes as an exception.
for _module in (sippy.SipMsg, sippy.SipRequest, sippy.SipURL):
    _module.print = lambda *_, **__: None


class Flow(Protocol):
    """A way to one remote end: a UDP socket with an address, or a connection. What sippy calls a server."""

    transport: str
    remote: tuple[str, int]
    reliable: bool

    @property
    def local(self) -> tuple[str, int]:
        """Return our own address as this remote end should use it."""

    def send_to(self, data: str | bytes, address: object) -> None:
        """Send one message; ``address`` as the library takes it from Via."""

    def getSIPaddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  the library's name
        """Return what stands for us in Via."""


class BadMessage(Exception):
    """A message cannot be used. ``answer``: the 400 that it deserves, where it can be told to whom."""

    def __init__(self, reason: str, answer: SipResponse | None = None) -> None:
        super().__init__(reason)
        self.answer = answer


class Kept(SipGenericHF):  # type: ignore[misc]  # sippy has no types
    """A header left as text."""

    body: str

    canonical: ClassVar[str] = ""

    def __init__(self, body: str | None = None, name: str | None = None) -> None:
        super().__init__("" if body is None else body)
        self.parsed = True
        if name is not None:
            self.hf_names = (name.lower(),)

    def getCanName(self, name: str, _compact: bool = False) -> str:  # noqa: N802, FBT001, FBT002  sippy's
        """Return the name as it is written."""
        return self.canonical or "-".join(part.capitalize() for part in name.split("-"))


class Party(Kept):
    """From and To: text with a tag."""

    def getTag(self) -> str | None:  # noqa: N802  sippy's
        """Return the tag, ``None`` without one; raises BadAddress for a text that is no address."""
        return parse_address(self.body).tag or None

    def setTag(self, tag: str) -> None:  # noqa: N802  sippy's
        """Give it a tag where it has none."""
        if self.getTag() is None:
            self.body = f"{self.body.rstrip('; ')};tag={tag}"

    def genTag(self) -> None:  # noqa: N802  sippy's
        """Give it a random tag."""
        self.setTag(secrets.token_hex(8))

    def getCopy(self) -> Party:  # noqa: N802  sippy's
        """Return a copy."""
        return type(self)(self.body)


def _kept(name: str, canonical: str, *short: str, kind: type[Kept] = Kept) -> type[Kept]:
    made = type(canonical.replace("-", ""), (kind,), {"hf_names": (name, *short), "canonical": canonical})
    for one in (name, *short):
        hf_types[one] = made
    return made


From = _kept("from", "From", "f", kind=Party)
To = _kept("to", "To", "t", kind=Party)
for _name, _canonical, *_short in (
    ("contact", "Contact", "m"), ("route", "Route"), ("record-route", "Record-Route"), ("diversion", "Diversion"),
    ("p-asserted-identity", "P-Asserted-Identity"), ("authorization", "Authorization"), ("reason", "Reason"),
    ("proxy-authorization", "Proxy-Authorization"), ("www-authenticate", "WWW-Authenticate"), ("allow", "Allow"),
    ("content-type", "Content-Type", "c"),
    ("proxy-authenticate", "Proxy-Authenticate"), ("user-agent", "User-Agent"), ("supported", "Supported", "k"),
    ("server", "Server"), ("warning", "Warning"), ("refer-to", "Refer-To", "r"), ("referred-by", "Referred-By", "b"),
    ("replaces", "Replaces"), ("path", "Path"), ("rseq", "RSeq"), ("rack", "RAck"), ("also", "Also"),
    ("cc-diversion", "CC-Diversion"), ("cisco-guid", "Cisco-GUID"), ("h323-conf-id", "H323-Conf-ID"),
):  # fmt: skip
    _kept(_name, _canonical, *_short)


class Target:
    """A Request-URI left as text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def localStr(self, _local: object = None) -> str:  # noqa: N802  sippy's
        """Return it."""
        return self.text

    def __str__(self) -> str:
        return self.text

    def getTAddr(self) -> tuple[tuple[str, int], str]:  # noqa: N802  sippy's
        """Return no address: whoever sends knows the flow."""
        return ("", 0), "udp"

    def getCopy(self) -> Target:  # noqa: N802  sippy's
        """Return itself: it is never changed."""
        return self


class Request(SipRequest):  # type: ignore[misc]  # sippy has no types
    """A request."""

    flow: Flow

    def setSL(self, startline: str) -> None:  # noqa: N802  sippy's
        """Read the first line."""
        method, target, self.sipver = startline.split(" ")
        self.method, self.ruri = method, Target(target)

    @property
    def uri(self) -> str:
        """Return the Request-URI."""
        return str(self.ruri)


class Response(SipResponse):  # type: ignore[misc]  # sippy has no types
    """A response. ``fault``: made here, because none came; a sentence."""

    fault: str = ""


Message = Request | Response


def read(data: bytes) -> Message:
    """Return the message of a datagram or of a stream's frame; raises :class:`BadMessage`."""
    match = _END.search(data)
    if match is None:
        raise BadMessage("a message without the end of its header")
    head = data[: match.start()].decode("utf-8", "surrogateescape").translate(_CONTROL)
    body = data[match.end() :].decode("latin-1")  # one character a byte: Content-Length counts bytes
    lines = head.split("\n")
    if len(lines) > _MOST_HEADERS or any(len(line) > _LONGEST_LINE for line in lines):
        raise BadMessage("a message with too many or too long headers")
    text = f"{head}\r\n\r\n{body}"
    kind: Any = Response if text.startswith("SIP/") else Request
    message = kind.__new__(kind)  # apart from the reading, so that a request that fails half-way can still be answered
    try:
        message.__init__(text)
        _check(message)
    except BadMessage as fault:
        raise BadMessage(str(fault), _bad_request(message)) from None
    except Exception as fault:  # the library raises whatever its reading hits
        raise BadMessage(f"{type(fault).__name__}: {fault}"[:200], _bad_request(message)) from fault
    if any(not _BRIEF.fullmatch(value) for value in texts(message, "expires")):
        message.delHFs("expires")  # an INVITE that wants to ring for ever rings as long as any other
    made: Message = message
    return made


def _check(message: Message) -> None:
    """Refuse what the transactions and dialogs must be able to rely on (RFC 3261 8.1.1, 20)."""
    if any(message.countHFs(name) != 1 for name in ("from", "to", "call-id", "cseq")):
        raise BadMessage("not one each of From, To, Call-ID, CSeq")
    try:
        sender, receiver = address(message, "from"), address(message, "to")
    except BadAddress as fault:
        raise BadMessage(f"From or To: {fault}") from None
    if not _TOKEN_TEXT.fullmatch(str(message.getHFBody("call-id"))):
        raise BadMessage("a Call-ID that is none")
    number, method = message.getHFBody("cseq").getCSeq()
    if not 0 <= number < _LARGEST_CSEQ:
        raise BadMessage("a CSeq out of range")
    top = _via(message)
    if any(one.tag and not _TOKEN_TEXT.fullmatch(one.tag) for one in (sender, receiver)):
        raise BadMessage("a tag that is no token")
    if message.sipver.upper() != _VERSION or top.sipver.replace(" ", "") != _VERSION:
        raise BadMessage("another version of SIP")
    if isinstance(message, Response):
        if not 100 <= message.scode <= 699:  # noqa: PLR2004  RFC 3261 7.2
            raise BadMessage("a status code out of range")
    elif method != message.method or not _METHOD.fullmatch(method):
        raise BadMessage("a method that CSeq does not have")


def _via(message: Message) -> Any:
    """Return the topmost Via, all of them readable."""
    top, *_ = [header.getBody() for header in message.getHFs("via")]
    if not 0 < top.getTAddr()[1] <= _HIGHEST_PORT or not 0 < (top.getAddr()[1] or 1) <= _HIGHEST_PORT:
        raise BadMessage("a Via with a port that there is not")
    if any(not _TOKEN_TEXT.fullmatch(str(value)) for value in (top.getBranch() or "none", top.hostname)):
        raise BadMessage("a Via that cannot be used")
    return top


def _bad_request(message: Message) -> SipResponse | None:
    """Return a 400 for a request whose sender and transaction can be told."""
    if not isinstance(message, Request) or message.method in (None, "ACK"):
        return None
    code, reason = (400, "Bad Request") if message.sipver.upper() == _VERSION else (505, "Version Not Supported")
    message.sipver = _VERSION
    try:
        _via(message)
        message.getHFBody("cseq").getCSeq()
        answer: SipResponse = message.genResponse(code, reason)
        str(answer)
    except Exception:  # noqa: BLE001  then there is nobody to tell
        return None
    return answer


def address(message: Message, name: str) -> Address:
    """Return the address of a header; raises :class:`BadAddress`, also where it is not there."""
    values = texts(message, name)
    if not values:
        raise BadAddress(f"no {name}")
    return parse_address(values[0] if name in ("from", "to") else split(values[0])[0])


def addresses(message: Message, name: str) -> list[Address]:
    """Return every address of a header, in order; raises :class:`BadAddress`."""
    return [parse_address(part) for value in texts(message, name) for part in split(value)]


def texts(message: Message, name: str) -> list[str]:
    """Return the values of a header as they came."""
    return [str(header.body) for header in message.getHFs(name)]


def text(message: Message, name: str) -> str:
    """Return the first value of a header, empty where there is none."""
    return next(iter(texts(message, name)), "")


def body_of(message: Message) -> tuple[str, str]:
    """Return the body and its type, both empty where there is none.

    Of a body in parts (carriers add ISUP to SDP: RFC 3204, RFC 5621) it is the session description.
    """
    body = message.getBody()
    if body is None:
        return "", ""
    content, kind = str(body.content), str(body.mtype).strip()
    boundary = _BOUNDARY.match(kind)
    if boundary is not None:
        for part in content.split(f"--{boundary[1] or boundary[2]}")[1:_MOST_PARTS]:
            head, _, inner = part.lstrip("\r\n").partition("\r\n\r\n")
            if re.search(r"(?:^|\n)content-type[ \t]*:[ \t]*application/sdp", head, re.IGNORECASE):
                return inner, "application/sdp"
    return content, kind.lower()


def set_body(message: Message, content: str, kind: str = "application/sdp") -> None:
    """Give a message a body, ASCII."""
    message.setBody(MsgBody(content, SipContentType(kind)) if content else None)


def add(message: Message, headers: Iterable[tuple[str, str]]) -> None:
    """Add headers, as they are: whoever gives them has escaped what came from outside."""
    for name, value in headers:
        kind = hf_types.get(name.lower(), Kept)
        made = kind(value) if issubclass(kind, Kept) else Kept(value, name)
        message.appendHeader(SipHeader(name=name.lower(), body=made))


def request(
    method: str,
    uri: str,
    *,
    sender: str,
    receiver: str,
    call_id: str,
    number: int,
    contact: str = "",
    routes: Sequence[str] = (),
    headers: Iterable[tuple[str, str]] = (),
    body: str = "",
) -> Request:
    """Return a request of ours, ready to be sent."""
    made = Request(
        method=method,
        ruri=Target(uri),
        to=To(receiver),
        fr0m=From(sender),
        cseq=number,
        callid=hf_types["call-id"](call_id),
        target=(("", 0), "udp"),
        user_agent=AGENT,
    )
    add(made, [("Route", route) for route in routes])
    if contact:
        add(made, [("Contact", contact)])
    add(made, headers)
    set_body(made, body)
    return made


def response(
    to: Request, code: int, reason: str, headers: Iterable[tuple[str, str]] = (), body: str = ""
) -> SipResponse:
    """Return a response to a request."""
    made: Any = to.genResponse(code, reason)
    made.delHFs("server")
    add(made, [("Server", AGENT), *headers])
    set_body(made, body)
    return made
