"""SIP messages that are malformed, extreme or merely unusual, in the spirit of RFC 4475, and what may come back.

Each is written here from the RFC's descriptions of what it tries. ``may`` says the beginnings of the status codes that
are right; ``-`` stands for silence. What is valid must be answered as valid (3.1.1), what is not must do no harm: a
4xx, or nothing where nothing can be told. The line never calls, rings or registers anybody for any of them.
"""

# ruff: noqa: E501  a message a line is read as a table

from __future__ import annotations

from dataclasses import dataclass

OPTIONS_URI = "sip:+97231234567@127.0.0.1"
UNKNOWN_URI = "sip:+12025550199@127.0.0.1"
_SDP = "v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 8\r\n"
_BAD = ("400", "-")
_FINE = ("200",)
_ANY4 = ("4", "-")


@dataclass(frozen=True)
class Nasty:
    """One datagram. ``{n}`` in it is another number each time it is sent; ``{port}`` the sender's port."""

    name: str
    text: str
    may: tuple[str, ...]

    def datagram(self, port: int, number: int) -> bytes:
        """Return the bytes to send."""
        return self.text.replace("{port}", str(port)).replace("{n}", str(number)).encode("latin-1")


def _message(first: str = f"OPTIONS {OPTIONS_URI} SIP/2.0", body: str = "", **headers: str | None) -> str:
    """Return a message; ``headers`` (``_`` for ``-``) replace the usual ones, ``None`` leaves one out."""
    method = first.split(" ", maxsplit=1)[0] or "OPTIONS"
    usual: dict[str, str | None] = {
        "Via": "SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKt{n}",
        "Max-Forwards": "70",
        "From": "<sip:t@127.0.0.1>;tag=t{n}",
        "To": f"<{OPTIONS_URI}>",
        "Call-ID": "torture-{n}",
        "CSeq": f"1 {method}",
        "Contact": "<sip:t@127.0.0.1:{port}>",
        "Content-Length": str(len(body.encode("latin-1"))),
    }
    usual |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [first, *(f"{name}: {value}" for name, value in usual.items() if value is not None), "", body]
    return "\r\n".join(lines)


def _invite(body: str, **headers: str | None) -> str:
    """Return an INVITE of a number that is not ours: what is wrong with it is seen first, or it is not found."""
    kind: dict[str, str | None] = {"Content_Type": "application/sdp"} if body else {}
    return _message(f"INVITE {UNKNOWN_URI} SIP/2.0", body, **(kind | headers))


def _plain(*lines: str) -> str:
    return "\r\n".join(lines)


_VIA = "SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKt{n}"

#: RFC 4475 3.1.1: valid, and no parser's favourite.
VALID = (
    Nasty(
        "compact forms, folded lines, odd case and spacing (wsinv)",
        _plain(
            f"OPTIONS {OPTIONS_URI};unknown=%20x SIP/2.0", "v:  SIP  / 2.0\r\n /UDP", "   127.0.0.1:{port} ; rport",
            " ;  branch = z9hG4bKt{n}", f"TO :\r\n  <{OPTIONS_URI}>  ;  other  =  1", "f:", '   "A \\\\\\" B"', "  <sip:t@127.0.0.1>",
            "  ;  tag  =  t{n}", "Max-Forwards: 0068", "i: torture-{n}", "cseq: 0009", "  OPTIONS", "NewFangled: newfangled value",
            " continued newfangled value", "s :", "m:<sip:t@127.0.0.1:{port}>", "l : 0", "", "",
        ),
        ("200", "400", "-"),  # the Via with blanks inside of its protocol is one that nobody sends
    ),
    Nasty("a user part of everything that is allowed (intmeth)", _message(To="<sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@127.0.0.1>"), _FINE),
    Nasty("escapes in the user part (esc01)", _message(To="<sip:sips%3Auser%40example.com@127.0.0.1>"), _FINE),
    Nasty("an escaped NUL (escnull)", _message(To="<sip:null-%00-null@127.0.0.1>"), _FINE),
    Nasty("a percent sign in a method (esc02)", _message(f"RE%47IST%45R {OPTIONS_URI} SIP/2.0"), ("405", "501")),
    Nasty("no blank before the angle bracket (lwsdisp)", _message(From="caller<sip:t@127.0.0.1>;tag=t{n}"), _FINE),
    Nasty("long values everywhere (longreq)", _message(To=f"<{OPTIONS_URI};{'x' * 100}={'y' * 300}>", User_Agent="z" * 1500, Subject="s" * 1500), _FINE),
    Nasty("forty Via headers", _message(Via=_VIA + "".join(f"\r\nVia: SIP/2.0/UDP 10.0.0.{n};branch=z9hG4bK{n}" for n in range(40))), ("200", "4")),
    Nasty("octets after the body (dblreq)", _message() + "REGISTER sip:x SIP/2.0\r\n\r\nmore", _FINE),
    Nasty("semicolons in the user part (semiuri)", _message("OPTIONS sip:user;par=u%40example.net@127.0.0.1 SIP/2.0"), _FINE),
    Nasty("transports that there are not in lower Vias (transports)", _message(Via=_VIA + "\r\nVia: SIP/2.0/SCTP t.test;branch=z9hG4bK2\r\nVia: SIP/2.0/UNKNOWN t.test;branch=z9hG4bK3"), _FINE),
    Nasty("two values in one Via header", _message(Via=_VIA + ", SIP/2.0/UDP t.test;branch=z9hG4bK2"), _FINE),
    Nasty("an unknown header with all of Latin-1", _message(Weird="".join(map(chr, range(0xA0, 0x100)))), _FINE),
    Nasty("UTF-8 in a display name", _message(From='"\u00d0\u00af \u00d7\u00a4\u00d7\u00a7\u00d7\u00a1" <sip:t@127.0.0.1>;tag=t{n}'), _FINE),
    Nasty("an IPv6 address in Contact", _message(Contact="<sip:t@[2001:db8::1]:5060>"), _FINE),
    Nasty("a date far in the past", _message(Date="Sat, 01 Jan 0001 00:00:00 GMT"), _FINE),
    Nasty("every header twice that may be", _message(Allow="INVITE\r\nAllow: ACK", Supported="timer\r\nSupported: 100rel"), _FINE),
    Nasty("no body, no Content-Length (ncl)", _message(Content_Length=None), _FINE),
    Nasty("an empty header that may be empty", _message(Supported=""), _FINE),
    Nasty("Max-Forwards zero (zeromf)", _message(Max_Forwards="0"), ("200", "483")),
    Nasty("no Max-Forwards (RFC 2543)", _message(Max_Forwards=None), ("200", "4", "-")),
    Nasty("a branch of RFC 2543", _message(Via="SIP/2.0/UDP 127.0.0.1:{port};rport;branch=t{n}"), _FINE),
    Nasty("no branch at all (inv2543)", _message(Via="SIP/2.0/UDP 127.0.0.1:{port};rport"), ("200", "4", "-")),
    Nasty("keep-alive of two line ends (RFC 5626)", "\r\n\r\n", ("-",)),
    Nasty("ping of one zero octet", "\0", ("-",)),
)  # fmt: skip

#: RFC 4475 3.1.2 and what comes to mind beside it: not valid.
INVALID = (
    Nasty("a semicolon without a parameter and other litter (badinv01)", _message(Via="SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKt{n};;,;,,", Contact='"" <> ;,"Joe" <sip:t@127.0.0.1>;;;;'), ("200", *_ANY4)),
    Nasty("Content-Length beyond the datagram (clerr)", _invite(_SDP, Content_Length="9999"), _BAD),
    Nasty("Content-Length below zero (ncl)", _invite(_SDP, Content_Length="-999"), _ANY4),
    Nasty("Content-Length that is a word", _invite(_SDP, Content_Length="much"), _ANY4),
    Nasty("two different Content-Lengths (mcl01)", _invite(_SDP, Content_Length=f"{len(_SDP)}\r\nContent-Length: 5"), _ANY4),
    Nasty("scalars beyond 32 bits (scalar02)", _message(CSeq="36893488147419103232 OPTIONS", Max_Forwards="300", Expires="10000000000"), ("200", *_ANY4)),
    Nasty("a CSeq of two hundred digits", _message(CSeq="9" * 200 + " OPTIONS"), _ANY4),
    Nasty("a negative CSeq", _message(CSeq="-1 OPTIONS"), _ANY4),
    Nasty("a CSeq without a method", _message(CSeq="1"), _ANY4),
    Nasty("a quote that does not end (quotbal)", _message(To=f'"Mr. J. User <{OPTIONS_URI}>'), _ANY4),
    Nasty("angle brackets around the Request-URI (ltgtruri)", _message(f"OPTIONS <{OPTIONS_URI}> SIP/2.0"), ("200", *_ANY4)),
    Nasty("blanks in the Request-URI (lwsruri)", _message("OPTIONS sip:user@127.0.0.1; lr SIP/2.0"), _ANY4),
    Nasty("two blanks in the first line (lwsstart)", _message(f"OPTIONS  {OPTIONS_URI}  SIP/2.0"), ("200", *_ANY4)),
    Nasty("blanks after the first line (trws)", _message(f"OPTIONS {OPTIONS_URI} SIP/2.0  "), ("200", *_ANY4)),
    Nasty("escaped headers in the Request-URI (escruri)", _message(f"OPTIONS {OPTIONS_URI}?Route=%3Csip:evil.test%3E SIP/2.0"), ("200", *_ANY4)),
    Nasty("a date that there is not (baddate)", _message(Date="Fri, 01 Jan 2010 16:00:00 EST"), ("200", *_ANY4)),
    Nasty("an addr-spec with a question mark (badaspec)", _message(To="sip:t@127.0.0.1?Route=%3Csip:x%3E"), ("200", *_ANY4)),
    Nasty("a display name that is none (baddn)", _message(From="Bell, Alexander <sip:t@127.0.0.1>;tag=t{n}"), ("200", *_ANY4)),
    Nasty("SIP of a later century (badvers)", _message(f"OPTIONS {OPTIONS_URI} SIP/7.0"), ("505", *_ANY4)),
    Nasty("a CSeq of another method (mismatch01)", _message(CSeq="8 INVITE"), _ANY4),
    Nasty("a method nobody knows and another one in CSeq (mismatch02)", _message(f"NEWMETHOD {OPTIONS_URI} SIP/2.0", CSeq="1 OTHER"), ("4", "501", "-")),
    Nasty("no From, To, Call-ID or CSeq (insuf)", _message(From=None, To=None, Call_ID=None, CSeq=None), _ANY4),
    Nasty("no Call-ID", _message(Call_ID=None), _ANY4),
    Nasty("no Via", _message(Via=None), _ANY4),
    Nasty("no From tag", _message(From="<sip:t@127.0.0.1>"), ("200", *_ANY4)),
    Nasty("two From headers (multi01)", _message(From="<sip:a@127.0.0.1>;tag=a\r\nFrom: <sip:b@127.0.0.1>;tag=b"), _ANY4),
    Nasty("two Call-IDs", _message(Call_ID="torture-{n}\r\nCall-ID: other-{n}"), _ANY4),
    Nasty("two CSeqs", _message(CSeq="1 OPTIONS\r\nCSeq: 2 OPTIONS"), _ANY4),
    Nasty("an unknown scheme in the Request-URI (unkscm)", _message("OPTIONS nobodyknows:x SIP/2.0"), ("200", "4", "-")),
    Nasty("a scheme that is no telephone (novelsc)", _message("OPTIONS soap.beep://192.0.2.103:3002 SIP/2.0"), ("200", "4", "-")),
    Nasty("unknown schemes in To and From (unksm2)", _message(To="isbn:2983792873", From="<http://www.example.com>;tag=t{n}"), ("200", *_ANY4)),
    Nasty("an extension that must be understood (bext01)", _message(Require="nothingSupportsThis, nothingSupportsThisEither"), ("420", "200")),
    Nasty("a branch that is nothing but the cookie (badbranch)", _message(Via="SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK"), ("200", *_ANY4)),
    Nasty("a Via that promises another port", _message(Via="SIP/2.0/UDP 127.0.0.1:1;rport;branch=z9hG4bKt{n}"), ("200", "-")),
    Nasty("a Via of port 99999 that wants no rport", _message(Via="SIP/2.0/UDP 127.0.0.1:99999;branch=z9hG4bKt{n}"), ("-",)),
    Nasty("a Via of port 0", _message(Via="SIP/2.0/UDP 127.0.0.1:0;branch=z9hG4bKt{n}"), ("-",)),
    Nasty("a Via of a port below zero", _message(Via="SIP/2.0/UDP 127.0.0.1:-7;branch=z9hG4bKt{n}"), _ANY4),
    Nasty("a Via with received and rport of somebody else", _message(Via=_VIA + ";received=127.0.0.1;rport=99999"), ("200", *_ANY4)),
    Nasty("a Via of port 99999", _message(Via="SIP/2.0/UDP 127.0.0.1:99999;rport;branch=z9hG4bKt{n}"), ("200", *_ANY4)),
    Nasty("a Via of 255.255.255.255 (bcast)", _message(Via="SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKt{n}"), ("200", "-", "4")),
    Nasty("a Via of TCP in a datagram", _message(Via="SIP/2.0/TCP 127.0.0.1:{port};rport;branch=z9hG4bKt{n}"), ("200", *_ANY4)),
    Nasty("a Via that is empty", _message(Via=""), _ANY4),
    Nasty("a header without a colon", _message().replace("Max-Forwards: 70", "Max-Forwards 70"), ("200", *_ANY4)),
    Nasty("a header without a name", _message().replace("Max-Forwards: 70", ": 70"), ("200", *_ANY4)),
    Nasty("a NUL in a header", _message(Subject="a\0b"), ("200", *_ANY4)),
    Nasty("a bare line feed smuggles a header", _message(Subject="a\nFrom: <sip:evil@127.0.0.1>;tag=e"), ("200", *_ANY4)),
    Nasty("a bare carriage return", _message(Subject="a\rFrom: <sip:evil@127.0.0.1>;tag=e"), ("200", *_ANY4)),
    Nasty("a first line that is folded", "OPTIONS\r\n sip:x SIP/2.0\r\n\r\n", _ANY4),
    Nasty("a first header that is folded", _message().replace("\r\nVia", "\r\n Via", 1), ("200", *_ANY4)),
    Nasty("four thousand headers", _message(Subject="x" + "\r\nX: y" * 4000), ("200", *_ANY4)),
    Nasty("a header of sixty thousand octets", _message(Subject="x" * 60000), ("200", *_ANY4)),
    Nasty("a Call-ID of eight thousand octets", _message(Call_ID="c" * 8000 + "{n}"), ("200", *_ANY4)),
    Nasty("three thousand parameters", _message(To=f"<{OPTIONS_URI}>" + "".join(f";p{n}" for n in range(3000))), ("200", *_ANY4)),
    Nasty("three thousand Contacts", _message(Contact=",".join(["<sip:t@127.0.0.1>"] * 3000)), ("200", *_ANY4)),
    Nasty("a hundred Record-Routes of a call", _invite(_SDP, Record_Route=",".join(f"<sip:r{n}.test;lr>" for n in range(100))), ("404", *_ANY4)),
    Nasty("brackets in brackets", _message(To="<" * 500 + OPTIONS_URI + ">" * 500), _ANY4),
    Nasty("quotes and backslashes without end", _message(From='"' + "\\" * 3001 + " <sip:t@127.0.0.1>;tag=t{n}"), _ANY4),
    Nasty("a Route to somebody else", _message(Route="<sip:127.0.0.9:5060;lr>"), ("200", *_ANY4)),
    Nasty("a method of three thousand letters", _message(f"{'M' * 3000} {OPTIONS_URI} SIP/2.0"), ("4", "501", "-")),
    Nasty("a method that is no token", _message(f"OP(T)IONS {OPTIONS_URI} SIP/2.0"), ("4", "501", "-")),
    Nasty("no method", _message(f" {OPTIONS_URI} SIP/2.0"), _ANY4),
    Nasty("HTTP", "GET / HTTP/1.1\r\nHost: fax\r\n\r\n", _ANY4),
    Nasty("nothing but noise", "\x80\xff\x00\x01" * 300, ("-",)),
    Nasty("half a message", _message()[:120], _ANY4),
    Nasty("one letter", "O", ("-",)),
    # INVITE
    Nasty("no session description behind its type", _invite("", Content_Type="application/sdp"), ("404", *_ANY4)),
    Nasty("a body of a type nobody reads (invut)", _invite("\x01\x02", Content_Type="application/unknownformat"), ("415", "404", "488")),
    Nasty("a body that must be understood", _invite("x", Content_Type="application/x", Content_Disposition="session;handling=required"), ("4",)),
    Nasty("a multipart body", _invite(f"--b\r\nContent-Type: application/sdp\r\n\r\n{_SDP}\r\n--b--\r\n", Content_Type="multipart/mixed;boundary=b"), ("4",)),
    Nasty("a multipart body without an end", _invite(f"--b\r\nContent-Type: application/sdp\r\n\r\n{_SDP}", Content_Type="multipart/mixed;boundary=b"), ("4",)),
    Nasty("an encoded body", _invite("\x1f\x8b\x08", Content_Encoding="gzip"), ("4",)),
    Nasty("only types that we do not speak are accepted (sdp01)", _invite(_SDP, Accept="text/nobodyKnowsThis"), ("406", "404", "488")),
    Nasty("an SDP of noise", _invite("\x00\xff" * 200), ("4",)),
    Nasty("an SDP with a port of a million", _invite(_SDP.replace("audio 9", "audio 1000000")), ("4",)),
    Nasty("an SDP with an address of letters", _invite(_SDP.replace("127.0.0.1", "$(reboot)")), ("4",)),
    Nasty("an SDP with a thousand media", _invite(_SDP + "m=audio 9 RTP/AVP 8\r\n" * 1000), ("4",)),
    Nasty("an SDP whose formats are no numbers", _invite(_SDP.replace("AVP 8", "AVP eight -1 99999999999")), ("4",)),
    Nasty("T.38 with a datagram of minus one", _invite(_SDP + "m=image 9 udptl t38\r\na=T38FaxMaxDatagram:-1\r\na=T38FaxVersion:99999999999999999999\r\n"), ("4",)),
    Nasty("a Contact that is a star", _invite(_SDP, Contact="*"), ("4",)),
    Nasty("no Contact", _invite(_SDP, Contact=None), ("4",)),
    Nasty("a Contact that is a script", _invite(_SDP, Contact="<javascript:alert(1)>"), ("4",)),
    Nasty("a called number of a thousand digits", _message(f"INVITE sip:+{'9' * 1000}@127.0.0.1 SIP/2.0", _SDP, Content_Type="application/sdp"), ("404", *_ANY4)),
    Nasty("a called number with a path", _message("INVITE sip:../../etc/passwd@127.0.0.1 SIP/2.0", _SDP, Content_Type="application/sdp"), ("404", *_ANY4)),
    Nasty("a caller with control characters", _invite(_SDP, From='"\x1b[2J\x07" <sip:%0d%0aX@127.0.0.1>;tag=t{n}'), ("404", *_ANY4)),
    Nasty("Session-Expires of a second", _invite(_SDP, Session_Expires="1;refresher=uac", Supported="timer"), ("422", "404")),
    Nasty("Expires below zero", _invite(_SDP, Expires="-5"), ("404", *_ANY4)),
    Nasty("Replaces of a dialog that there is not", _invite(_SDP, Replaces="nobody;to-tag=1;from-tag=2", Require="replaces"), ("420", "481", "404")),
    # what belongs to nothing
    Nasty("a response to nothing", _plain("SIP/2.0 200 OK", f"Via: {_VIA}", "From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2", "Call-ID: x{n}", "CSeq: 1 INVITE", "", ""), ("-",)),
    Nasty("a response with a code beyond all codes (bigcode)", _plain("SIP/2.0 4294967301 better not", f"Via: {_VIA}", "From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2", "Call-ID: x{n}", "CSeq: 1 INVITE", "", ""), ("-",)),
    Nasty("a response without a reason phrase (noreason)", _plain("SIP/2.0 100 ", f"Via: {_VIA}", "From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2", "Call-ID: x{n}", "CSeq: 1 INVITE", "", ""), ("-",)),
    Nasty("a response of four thousand Warnings", _plain("SIP/2.0 200 OK", "Warning: 399 x" * 4000, "", ""), ("-",)),
    Nasty("an ACK of nothing", _message(f"ACK {OPTIONS_URI} SIP/2.0"), ("-",)),
    Nasty("a CANCEL of nothing", _message(f"CANCEL {OPTIONS_URI} SIP/2.0"), ("481", "4")),
    Nasty("a BYE of nothing", _message(f"BYE {OPTIONS_URI} SIP/2.0"), ("481", "4")),
    Nasty("a REGISTER with a star and a lifetime (regbadct)", _message("REGISTER sip:127.0.0.1 SIP/2.0", Contact="*", Expires="3600"), ("400", "401")),
    Nasty("a REGISTER with broken credentials (regaut01)", _message("REGISTER sip:127.0.0.1 SIP/2.0", Authorization="NoOneKnowsThisScheme opaque-data=here"), ("400", "401")),
    Nasty("credentials with ten thousand parameters", _message("REGISTER sip:127.0.0.1 SIP/2.0", Authorization="Digest " + ", ".join(f'p{n}="v"' for n in range(5000))), ("400", "401", "-")),
    Nasty("credentials with a quote that does not end", _message("REGISTER sip:127.0.0.1 SIP/2.0", Authorization='Digest username="a, realm="b'), ("400", "401", "-")),
)  # fmt: skip
