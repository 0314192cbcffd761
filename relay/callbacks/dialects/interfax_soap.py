"""``interfax-soap``: the call ``Outbound`` of SOAP 1.1, document/literal, with the fields of ``interfax``.

A receiver is generated from :func:`wsdl`. Only an answer whose returned string is ``OK`` is a success. Times are ISO
8601; a field without a value is left out, but for ``PostponeTime``: year 1 stands for its zeros, since a year 0 is
none in XML Schema 1.0 (part 2, section 3.2.7).
"""

from __future__ import annotations

import io
import re
from importlib import resources
from typing import TYPE_CHECKING, Final
from xml.parsers import expat
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from relay.callbacks.dialects import interfax, writing
from relay.callbacks.dialects.interfax import Kind
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event

OPTIONS: Final[Mapping[str, str]] = {}
PRESET: Final[tuple[float, ...]] = ()

#: As the document has it; it is case sensitive.
NAMESPACE: Final = "http://CallBack.Interfax.net/"
ACTION: Final = f"{NAMESPACE}Outbound"
ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"

_NO_TIME: Final = "0001-01-01T00:00:00"
#: What XML 1.0 cannot hold (section 2.2).
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESULT: Final = f"{NAMESPACE} OutboundResult"


class _Doctype(Exception):
    """An answer that defines entities: SOAP 1.1 forbids it (section 3), and expanding them costs memory."""


def check(endpoint: Endpoint) -> None:
    """Raise :class:`relay.callbacks.endpoint.Unfit` as ``interfax`` does."""
    interfax.check(endpoint)


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the call of a fax that ended."""
    del now
    told = interfax.fields(event)
    if told is None or not endpoint.url:
        return None
    headers = (
        ("Content-Type", "text/xml; charset=utf-8"),
        ("SOAPAction", f'"{ACTION}"'),
        *interfax.login(endpoint),
    )
    return Request("POST", endpoint.url, writing.with_own(headers, endpoint.headers), _envelope(told))


def understood(status: int, body: bytes) -> bool:
    """Return whether an answer of class 2 returns the string ``OK``."""
    return writing.good(status) and _returned(body) == "OK"


def wsdl() -> bytes:
    """Return the description from which a receiver is generated. Its address is that of nobody."""
    return resources.files("templates").joinpath("callbacks", "interfax.wsdl").read_bytes()


def _envelope(told: tuple[interfax.Field, ...]) -> bytes:
    written = io.BytesIO()
    xml = XMLGenerator(written, "utf-8", short_empty_elements=True)
    none: dict[str, str] = {}
    around = (("soap:Envelope", {"xmlns:soap": ENVELOPE}), ("soap:Body", none), ("Outbound", {"xmlns": NAMESPACE}))
    xml.startDocument()
    for name, attributes in around:
        xml.startElement(name, AttributesImpl(attributes))
    for one in told:
        value = _written(one)
        if value or one.kind is Kind.STRING:
            xml.startElement(one.name, AttributesImpl(none))
            xml.characters(_NOT_XML.sub("\ufffd", value))
            xml.endElement(one.name)
    for name, _ in reversed(around):
        xml.endElement(name)
    xml.endDocument()
    return written.getvalue()


def _written(one: interfax.Field) -> str:
    if one.kind is not Kind.TIME:
        return interfax.plain(one)
    return writing.iso_seconds(one.value) if isinstance(one.value, int | float) else _NO_TIME


def _returned(body: bytes) -> str | None:
    """Return what the call returned, ``None`` where the answer is none."""
    found: list[str] = []
    inside: list[str] = []

    def start(name: str, _: dict[str, str]) -> None:
        inside.append(name)
        if name == _RESULT:
            found.append("")

    def end(_: str) -> None:
        inside.pop()

    def text(part: str) -> None:
        if inside[-1] == _RESULT:
            found[-1] += part

    def refuse(*_: object) -> None:
        raise _Doctype

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)  # noqa: FBT003  the library takes it by position
    except (expat.ExpatError, _Doctype, LookupError, ValueError):
        return None
    return found[0].strip() if len(found) == 1 else None
