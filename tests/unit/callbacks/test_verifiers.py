"""What others' libraries make of our calls: they verify, validate and parse them."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from lxml import etree
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from zeep import Client, Settings

from relay.callbacks.dialects import DIALECTS, interfax, interfax_soap, standard
from relay.callbacks.event import Totals

from .events import AT, ENDPOINTS, EVENTS, FAX, NOW, PRIVATE, SENT, SHARED, SUBMISSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relay.callbacks.request import Request

OLD = "whsec_" + base64.b64encode(bytes(range(50, 90))).decode()
ENTITY = (
    b'<!DOCTYPE a [<!ENTITY o "OK">]><a xmlns="http://CallBack.Interfax.net/"><OutboundResult>&o;</OutboundResult></a>'
)
TOLD = [name for name, event in EVENTS.items() if interfax.fields(event)]
TYPES = etree.fromstring(interfax_soap.wsdl()).find(".//{http://www.w3.org/2001/XMLSchema}schema")


def call(secrets: tuple[str, ...], now: float) -> Request:
    """Return a call of the standard dialect."""
    request = standard.render(SENT, replace(ENDPOINTS["standard"], secrets=secrets), now)
    assert request is not None
    return request


@pytest.mark.parametrize("secrets", [(SHARED,), (SHARED, OLD), (OLD, SHARED), (PRIVATE, SHARED)])
def test_standardwebhooks_verifies(secrets: tuple[str, ...]) -> None:
    """Lost otherwise: receivers that use the public library reject every call, or all while a secret is rolled."""
    request = call(secrets, datetime.now(UTC).timestamp())
    told = Webhook(SHARED).verify(request.body, dict(request.headers))
    assert told["type"] == "fax.sent"
    with pytest.raises(WebhookVerificationError):
        Webhook(SHARED).verify(request.body + b" ", dict(request.headers))


def test_a_secret_that_was_rolled_out_signs_no_more() -> None:
    """Lost otherwise: rolling a secret that leaked changes nothing."""
    request = call((SHARED,), datetime.now(UTC).timestamp())
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD).verify(request.body, dict(request.headers))


def test_a_call_is_signed_for_the_time_of_its_attempt() -> None:
    """Lost otherwise: every retry after five minutes is too old for its receiver."""
    late = datetime.now(UTC) - timedelta(hours=14)
    first, again = call((SHARED,), late.timestamp()), call((SHARED,), datetime.now(UTC).timestamp())
    assert first.body == again.body
    assert first.header("webhook-id") == again.header("webhook-id")
    with pytest.raises(WebhookVerificationError):
        Webhook(SHARED).verify(first.body, dict(first.headers))
    Webhook(SHARED).verify(again.body, dict(again.headers))


def test_cryptography_verifies_v1a() -> None:
    """Lost otherwise: receivers that only hold a public key reject every call."""
    request = call((PRIVATE,), NOW)
    public = standard.public_key(PRIVATE)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    version, signature = request.header("webhook-signature").split(",")
    assert version == "v1a"
    signed = b".".join((request.header("webhook-id").encode(), str(int(NOW)).encode(), request.body))
    key.verify(base64.b64decode(signature), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(signature), signed + b" ")


class Receiver(BaseHTTPRequestHandler):
    """A receiver that validates the call against the schema of our WSDL before it says OK."""

    valid: list[bool]

    def do_POST(self) -> None:
        """Answer ``Outbound``."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = body_is_valid(body) and self.headers["SOAPAction"] == f'"{interfax_soap.ACTION}"'
        self.valid.append(good)
        answer = answered("OK" if good else "NO")
        self.send_response(200)
        self.send_header("Content-Type", "text/xml; charset=utf-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def answered(word: str) -> bytes:
    """Return a receiver's answer."""
    envelope = etree.Element(etree.QName(interfax_soap.ENVELOPE, "Envelope"))
    body = etree.SubElement(envelope, etree.QName(interfax_soap.ENVELOPE, "Body"))
    response = etree.SubElement(body, etree.QName(interfax_soap.NAMESPACE, "OutboundResponse"))
    etree.SubElement(response, etree.QName(interfax_soap.NAMESPACE, "OutboundResult")).text = word
    told: bytes = etree.tostring(envelope)
    return told


def body_is_valid(envelope: bytes) -> bool:
    """Tell whether what stands in a SOAP body fits the schema of our WSDL."""
    (inner,) = etree.fromstring(envelope).find(etree.QName(interfax_soap.ENVELOPE, "Body").text)
    return bool(etree.XMLSchema(TYPES).validate(inner))


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[bool]]]:
    """Give a receiver's address and what it thought of each call."""
    valid: list[bool] = []
    handler = type("Handler", (Receiver,), {"valid": valid})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", valid
        server.shutdown()


@pytest.mark.parametrize("name", TOLD)
def test_our_soap_call_validates_against_our_wsdl(name: str) -> None:
    """Lost otherwise: a receiver that was generated from the WSDL rejects our calls."""
    request = interfax_soap.render(EVENTS[name], ENDPOINTS["interfax-soap"], NOW)
    assert request is not None
    assert body_is_valid(request.body)


def test_a_zeep_client_made_from_our_wsdl_is_understood(receiver: tuple[str, list[bool]]) -> None:
    """Lost otherwise: our WSDL describes something else than what a generated program understands."""
    url, valid = receiver
    client = Client(io.BytesIO(interfax_soap.wsdl()), settings=Settings(forbid_dtd=True))  # type: ignore[no-untyped-call]
    service = client.create_service(f"{{{interfax_soap.NAMESPACE}}}CallBackSoap", url)  # type: ignore[no-untyped-call]
    told = {one.name: one.value for one in interfax.fields(SENT) or () if one.value is not None}
    moments = {key: datetime.fromtimestamp(AT, UTC) for key in ("CompletionTime", "PostponeTime", "SubmitTime")}
    numbers = {key: int(told[key]) for key in ("TransactionID", "ParentTransactionID", "Duration", "RetriesInterval")}
    assert service.Outbound(**{**told, **moments, **numbers}) == "OK"
    assert valid == [True]


def test_our_soap_call_is_what_zeep_reads(receiver: tuple[str, list[bool]]) -> None:
    """Lost otherwise: fields arrive empty, though the schema allows them to."""
    url, valid = receiver
    request = interfax_soap.render(SENT, replace(ENDPOINTS["interfax-soap"], url=url), NOW)
    assert request is not None
    answer = httpx.post(request.url, content=request.body, headers=dict(request.headers))
    assert interfax_soap.understood(answer.status_code, answer.content)
    assert valid == [True]
    client = Client(io.BytesIO(interfax_soap.wsdl()))  # type: ignore[no-untyped-call]
    kind = client.get_element(f"{{{interfax_soap.NAMESPACE}}}Outbound")  # type: ignore[no-untyped-call]
    (inner,) = etree.fromstring(request.body).find(etree.QName(interfax_soap.ENVELOPE, "Body").text)
    read = kind.parse(inner, client.wsdl.types)
    assert (read.TransactionID, read.Subject) == (int(FAX.id), SUBMISSION.subject)
    assert read.CompletionTime == datetime.fromtimestamp(int(AT), UTC)
    assert read.RemoteCSID == FAX.remote_ident


@pytest.mark.parametrize(
    ("body", "good"),
    [
        (answered("OK"), True),
        (answered("ok"), False),
        (answered("OK, but later"), False),
        (b"OK", False),
        (b"", False),
        (answered("OK")[:-3], False),
        (ENTITY, False),
        (answered("OK").replace(b"CallBack.Interfax.net", b"callback.interfax.net"), False),
        (b'<?xml version="1.0" encoding="no-such"?>' + answered("OK"), False),
    ],
)  # fmt: skip
def test_only_the_string_ok_is_a_success(body: bytes, good: bool) -> None:
    """Lost otherwise: a callback that its receiver refused is never tried again."""
    assert interfax_soap.understood(200, body) is good
    assert not interfax_soap.understood(500, body)


@pytest.mark.parametrize("status", [199, 200, 204, 299, 300, 404, 410, 500])
@pytest.mark.parametrize("dialect", sorted(set(DIALECTS) - {"interfax-soap"}))
def test_class_2_is_a_success(dialect: str, status: int) -> None:
    """Lost otherwise: a redirect counts as taken."""
    assert DIALECTS[dialect].understood(status, b"") is (200 <= status < 300)


def parsed(dialect: str, name: str) -> dict[str, str]:
    """Return what the standard library reads of a call's form or query."""
    request = DIALECTS[dialect].render(EVENTS[name], ENDPOINTS[dialect], NOW)
    assert request is not None
    text = request.body.decode("ascii") if request.body else urlsplit(request.url).query
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize("name", TOLD)
def test_the_form_reads_as_what_was_meant(name: str) -> None:
    """Lost otherwise: an ampersand in a subject makes fields of its own."""
    told = {one.name: one for one in interfax.fields(EVENTS[name]) or ()}
    read = parsed("interfax", name)
    assert list(read) == list(told)
    assert len(read) == 34
    texts = {key: one.value for key, one in told.items() if isinstance(one.value, str)}
    assert {key: read[key] for key in texts} == texts


def test_every_query_reads_as_what_was_meant() -> None:
    """Lost otherwise: a far machine's name with an ampersand makes fields of its own."""
    read = parsed("sfax", "received")
    assert read["infromcsid"] == "LONDON & CO <7>"
    assert len(parsed("sfax", "sent")) == 25
    assert parsed("esms", "sent")["key"] == "s&1"


def test_text_that_no_call_can_hold_is_replaced() -> None:
    """Lost otherwise: a control character in a subject keeps a callback from ever being sent."""
    subject = "a\x00b\x0bc\ud800d\uffff\r\ne&=;"
    odd = replace(SENT, submission=replace(SUBMISSION, subject=subject, totals=Totals(1)), reason=subject)
    for dialect, endpoint in ENDPOINTS.items():
        request = DIALECTS[dialect].render(odd, endpoint, NOW)
        assert request is not None
        assert "\n" not in request.url
    request = interfax_soap.render(odd, ENDPOINTS["interfax-soap"], NOW)
    assert request is not None
    assert body_is_valid(request.body)
