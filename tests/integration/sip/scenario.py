"""Scenarios for sipp, without the headers that every message repeats.

A file of ``scenarios/`` is a sipp scenario (its elements are passed on as they stand) with elements of ours for whole
messages. ``<scenario role="uas">`` plays the called side, ``role="uac"`` the calling one::

    <invited/>                          uas: wait for the INVITE; remember who called, and the transaction
    <reinvited/>                        uas: wait for a re-INVITE; remember its transaction
    <reply status="180 Ringing"/>       a response to the last request that is not of a dialog; ``to="dialog"``: to one
                                        that is; ``to="INVITE"``, ``to="re-INVITE"``: to the one that was remembered
    <request method="BYE" cseq="2"/>    a request of the dialog; uac: ``uri="called"`` for one that begins it (and the
                                        ACK of its refusal), or any other URI
    <expect any="200 405"/>             wait for one of these responses
    <audio/> <image/> <held/> ...       inside of requests and replies: the body (:data:`BODIES`)

Text inside a request or reply is further header lines, which replace those of the same name. ``tag`` sets the far
end's tag where it forks, ``contact`` the whole value of Contact, ``times`` repeats a message, ``branch="same"`` is the
transaction of the request before it: its repetition, or the ACK of its refusal. An attribute that is not ours is
sipp's and stands in its ``<send>``. Keywords in brackets are sipp's, but those that the test gives (``[caller]``,
``[called]``, ``[user]``, ``[talk]`` milliseconds always): they are written in before sipp reads it, for it takes none
in a status line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FOLDER_NAME = "scenarios"
_SESSION = "v=0\no=far 4711 {version} IN IP4 [media_ip]\ns=-\nc=IN IP4 {host}\nt=0 0\n"
_AUDIO = """\
m=audio {port} RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
"""
_IMAGE = """\
m=image [media_port+2] udptl t38
a=T38FaxVersion:0
a=T38MaxBitRate:14400
a=T38FaxRateManagement:transferredTCF
a=T38FaxMaxBuffer:1800
a=T38FaxMaxDatagram:400
a=T38FaxUdpEC:t38UDPRedundancy
"""
#: What a message may carry: the media of its session description, by the name of the element that asks for it.
BODIES = {
    "audio": _AUDIO + "a=sendrecv\n",
    "image": _IMAGE,
    "audio-and-image": _AUDIO + "a=sendrecv\n" + _IMAGE,
    "image-refused": _AUDIO + "a=sendrecv\nm=image 0 udptl t38\n",
    "held": _AUDIO + "a=sendonly\n",
    "inactive": _AUDIO + "a=inactive\n",
    "held-by-address": _AUDIO,
    "g729": "m=audio {port} RTP/AVP 18 4\na=rtpmap:18 G729/8000\na=rtpmap:4 G723/8000\n",
    "secured": _AUDIO.replace("RTP/AVP", "RTP/SAVP"),
    "video": "m=video {port} RTP/AVP 31\na=rtpmap:31 H261/90000\n",
}
_ZEROS = {"held-by-address"}
_OURS = {"status", "method", "to", "tag", "contact", "cseq", "uri", "branch", "version", "from", "times"}
_AGAIN = {"via": "Via:", "from": "From:", "to": "To:", "number": "CSeq:"}
#: What sipp counts as messages, from which ``[branch-N]`` counts back.
_COUNTED = ("<send", "<recv", "<pause", "<nop")
_FAR_TAG = "far[call_number]"
_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch={branch}"
_CONTACT = "<sip:{user}@[local_ip]:[local_port];transport=[transport]>"


def sipp_scenario(path: Path, keys: Mapping[str, str]) -> str:
    """Return the scenario of a file as sipp takes it, with ``keys`` written in."""
    root = ET.parse(path).getroot()  # noqa: S314  a file of this folder
    request = _uas_request if root.attrib["role"] == "uas" else _uac_request
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>', f'<scenario name="{root.attrib["name"]}">']
    begun = 0  # the message that began the transaction
    for number, element in enumerate(root):
        match element.tag:
            case "invited":
                lines.append(_wait(element, {"them": "From:", "us": "To:", "via": "Via:", "number": "CSeq:"}))
            case "reinvited":
                lines.append(_wait(element, {f"again_{key}": name for key, name in _AGAIN.items()}))
            case "reply":
                lines += [_send(element, _reply(element))] * int(element.get("times", "1"))
            case "request":
                at = sum(line.startswith(_COUNTED) for line in lines)
                begun = begun if element.get("branch") == "same" else at
                lines.append(_send(element, request(element, f"[branch-{at - begun}]" if at > begun else "[branch]")))
            case "expect":
                lines += _expect(element, label=number + 1)
            case _:
                lines.append(ET.tostring(element, encoding="unicode").strip())
    variables = {name for line in lines for name in re.findall(r'assign_to="([a-z0-9_]+)"', line)}
    if variables:
        lines.append(f'<Reference variables="{",".join(sorted(variables))}"/>')
    text = "\n".join([*lines, "</scenario>", ""])
    for key, value in keys.items():
        text = text.replace(f"[{key}]" if value else f"[{key}]\n", value)  # a header that is not given is no line
    return text


def _wait(element: ET.Element, kept: dict[str, str]) -> str:
    """Wait for an INVITE and keep what replies and requests of the dialog need of it."""
    actions = [f'<ereg regexp=".*" search_in="hdr" header="{name}" assign_to="{key}"/>' for key, name in kept.items()]
    actions += [ET.tostring(action, encoding="unicode").strip() for action in element]
    attributes = "".join(f' {key}="{value}"' for key, value in element.attrib.items())
    return f'<recv request="INVITE" rrs="true"{attributes}><action>{"".join(actions)}</action></recv>'


def _expect(element: ET.Element, label: int) -> list[str]:
    """Wait for one of several responses: all but the last are optional and lead past the others."""
    *others, last = element.attrib["any"].split()
    waits = [f'<recv response="{code}" optional="true" next="{label}"/>' for code in others]
    return [*waits, f'<recv response="{last}"/>', f'<label id="{label}"/>']


def _send(element: ET.Element, message: str) -> str:
    attributes = "".join(f' {key}="{value}"' for key, value in element.attrib.items() if key not in _OURS)
    return f"<send{attributes}><![CDATA[\n{message}]]></send>"


def _reply(element: ET.Element) -> str:
    """Return a response: by the headers of the last request, or of the INVITE that was kept."""
    tag = element.get("tag", _FAR_TAG)
    match element.get("to"):
        case "INVITE":
            headers = ["Via: [$via]", "From: [$them]", f"To: [$us];tag={tag}", "Call-ID: [call_id]", "CSeq: [$number]"]
        case "re-INVITE":
            headers = ["Via: [$again_via]", "From: [$again_from]", "To: [$again_to]", "Call-ID: [call_id]"]
            headers.append("CSeq: [$again_number]")
        case "dialog":  # a request of the dialog has our tag already
            headers = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
        case _:
            headers = ["[last_Via:]", "[last_Record-Route:]", "[last_From:]", f"[last_To:];tag={tag}"]
            headers += ["[last_Call-ID:]", "[last_CSeq:]"]
    headers.append("Contact: " + element.get("contact", _CONTACT.format(user="far")))
    return _message(f"SIP/2.0 {element.attrib['status']}", headers, element)


def _uas_request(element: ET.Element, branch: str) -> str:
    """Return a request of the side that was called."""
    method, tag = element.attrib["method"], element.get("tag", _FAR_TAG)
    headers = [
        _VIA.format(branch=branch), "[routes]", f"From: [$us];tag={tag}", "To: [$them]", "Call-ID: [call_id]",
        f"CSeq: {element.attrib['cseq']} {method}", "Max-Forwards: 70",
        "Contact: " + element.get("contact", _CONTACT.format(user="far")),
    ]  # fmt: skip
    return _message(f"{method} [next_url] SIP/2.0", headers, element)


def _uac_request(element: ET.Element, branch: str) -> str:
    """Return a request of the calling side: within the dialog unless it names a URI of its own."""
    method = element.attrib["method"]
    uri = element.get("uri", "[next_url]")
    if uri == "called":
        uri = "sip:[called]@[remote_ip]:[remote_port]"
    to = element.get("to", "<sip:[called]@[remote_ip]:[remote_port]>")
    tag = "" if "uri" in element.attrib and method != "ACK" else "[peer_tag_param]"
    origin = element.get("from", "<sip:[caller]@[local_ip]:[local_port]>")
    headers = [
        _VIA.format(branch=branch),
        *(["[routes]"] if "uri" not in element.attrib else []),
        f"From: {origin};tag=[call_number]near",
        f"To: {to}{tag}",
        "Call-ID: [call_id]",
        f"CSeq: {element.attrib['cseq']} {method}",
        "Max-Forwards: 70",
        "Contact: " + element.get("contact", _CONTACT.format(user="[user]")),
    ]
    return _message(f"{method} {uri} SIP/2.0", headers, element)


def _message(first: str, headers: list[str], element: ET.Element) -> str:
    """Join a message: first line, headers, those of the scenario, body."""
    texts = [element.text or "", *(inner.tail or "" for inner in element)]
    own = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    replaced = {line.partition(":")[0].lower() for line in own if not line.startswith("[")}
    kept = [line for line in headers if line.partition(":")[0].lower() not in replaced]
    body = next(iter(element), None)
    if body is None:
        return "\n".join([first, *kept, *own, "Content-Length: 0", "", ""])
    session = _SESSION.format(
        version=element.get("version", "1"), host="0.0.0.0" if body.tag in _ZEROS else "[media_ip]"  # noqa: S104
    )  # fmt: skip
    kept += ["Content-Type: application/sdp", "Content-Length: [len]"]
    media = BODIES[body.tag].format(port="[media_port]")
    return "\n".join([first, *[line for line in kept if line], *own, "", session + media])
