"""The examples of the documents that the dialects come from are made again, letter by letter."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest

from relay.callbacks.dialects import DIALECTS, token
from relay.callbacks.endpoint import Endpoint
from relay.callbacks.event import Attempt, Event, Fax, Mail, Name, Submission, Totals

from .events import AES_KEY, NOW

SFAX_URL = "https://testapi.sfaxme.com/api/testfaxcallback"
SFAX_IN = """
&apikey=5787A4E0BCDE46F986D2E067AC70979C
&faxtype=1
&faxid=2150102030405000000
&faxsuccess=1
&faxpages=1
&faxdateiso=2015-03-06T23%3a59%3a04Z
&faxpwatermarkid=2150102030405999999
&hasbarcodedata=
&intofaxnumber=1-5555551212
&infromfaxnumber=1-5555551212
&infromcpn=15555551212
&infromcsid=Test+CSID
&outtofaxnumber=
&outfromfaxnumber=
&outfromcpn=
&outfromcsid=
&outsendfaxqueueid=
&outsendfaxtrackingcode=
&outresultcode=
&outerrorcode=
&outresultshortdescr=
&outresultdescr=
&outfaxattempts=
&istest=1
"""
SFAX_OUT = """
&apikey=5787A4E0BCDE46F986D2E067AC70979C
&faxtype=0
&faxid=2150102030405000000
&faxsuccess=1
&faxpages=1
&faxdateiso=2015-03-07T00%3a00%3a10Z
&faxpwatermarkid=2150102030405999999
&intofaxnumber=
&infromfaxnumber=
&infromcpn=
&infromcsid=
&outtofaxnumber=1-5555551212
&outfromfaxnumber=1-5555551212
&outfromcpn=15555551212
&outfromcsid=Test+CSID
&outsendfaxqueueid=CEBC27A1AFB049D983B3660F698DB34D
&outsendfaxtrackingcode=Tracking+Code
&outresultcode=0
&outerrorcode=0
&outresultshortdescr=OK
&outresultdescr=OK
&outfaxattempts=1
&istest=1
"""
SFAX = Endpoint(
    "seed", SFAX_URL, "sfax", SFAX_URL, secrets=(AES_KEY,),
    options={"user": "master", "api_key": "5787A4E0BCDE46F986D2E067AC70979C"},
)  # fmt: skip
DOCUMENT = {
    "documentID": 123456,
    "name": "João da Silva",
    "identifier": "307.625.739-02",
    "action": "SIGNATURE-DIGITAL",
    "message": "",
    "apiDownload": "https://api-sbx.portaldeassinaturas.com.br/api/v2/document/Package?key=4B4659AB34847973&includeOriginal;=false",
}
MAIL = {
    "type": "REGISTERED-MAIL",
    "registeredMailId": 123456,
    "recipient": "joao.silva@mail.com",
    "action": "DELIVERED",
    "info": {"message": "Successfully delivered"},
}
ESMS_URL = "https://{{yourportalreceivecallback}}"
INACTIVE = "User is inactive, or reject the message, or using an outdated Zalo version, or other internal errors"
ZALO, ZALO_PEER, ZALO_USER = "e1a60e8890be9de4c4ab", "312158068343230", "31215806834323092"


def at(text: str) -> float:
    """Return a time in seconds since 1970."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def joined(sample: str) -> str:
    """Return a sample without its line breaks; its trailing blanks are left out above."""
    return sample.replace("\n", "")


@pytest.mark.parametrize(
    ("sample", "direction", "when"),
    [(SFAX_IN, "inbound", "2015-03-06T23:59:04"), (SFAX_OUT, "outbound", "2015-03-07T00:00:10")],
)
def test_sfax(sample: str, direction: str, when: str) -> None:
    """Lost otherwise: a receiver that was made for these calls breaks on the relay's."""
    fax = Fax(
        id="2150102030405000000", direction=direction, state="sent", number="+15555551212", peer="+15555551212",
        caller_id="+15555551212", ident="Test CSID", remote_ident="Test CSID", document_id="2150102030405999999",
        pages=1, pages_confirmed=1, attempts=(Attempt(1, 0.0, cause="confirmed"),), created_at=0.0,
    )  # fmt: skip
    asked = Submission("CEBC27A1AFB049D983B3660F698DB34D", "api", Totals(1), 0.0, reference="Tracking Code")
    name = Name.RECEIVED if direction == "inbound" else Name.SENT
    event = Event("1", name, at(when), test=True, fax=fax, submission=asked if name is Name.SENT else None)
    request = DIALECTS["sfax"].render(event, SFAX, NOW)
    assert request is not None
    sealed, rest = request.url.removeprefix(f"{SFAX_URL}?token=").split("&", 1)
    if direction == "outbound":  # this sample alone lacks the key that the table has
        rest = rest.replace("&hasbarcodedata=", "")
    assert f"&{rest}" == joined(sample)
    assert request.method == "GET"
    claim = token.decrypt(dict(parse_qsl(urlsplit(request.url).query))["token"], AES_KEY)
    assert claim == token.Claim("master", "5787A4E0BCDE46F986D2E067AC70979C", int(NOW))
    assert sealed == sealed.replace("%2F", "%2f")


def test_assinaturas_document() -> None:
    """Lost otherwise: a receiver of document callbacks misses a field, or finds it under another name."""
    fax = Fax(
        id="1", direction="outbound", state="sent", number="+1", peer="307.625.739-02", remote_ident="João da Silva",
        created_at=0.0,
    )  # fmt: skip
    asked = Submission("123456", "smtp", Totals(1, sent=1), 0.0)
    event = Event("1", Name.SENT, 0.0, fax=fax, submission=asked, download_url=str(DOCUMENT["apiDownload"]))
    endpoint = Endpoint("seed", "https://a.example", "assinaturas", options={"signature": "SIGNATURE-DIGITAL"})
    request = DIALECTS["assinaturas"].render(event, endpoint, NOW)
    assert request is not None
    assert request.body.decode() == json.dumps(DOCUMENT, ensure_ascii=False)


def test_assinaturas_registered_mail() -> None:
    """Lost otherwise: a receiver of mail callbacks misses a field, or finds it under another name."""
    fax = Fax(id="123456", direction="inbound", state="received", number="+1", peer="+2", created_at=0.0)
    mail = Mail("joao.silva@mail.com", "Successfully delivered")
    event = Event("1", Name.MAIL_DELIVERED, 0.0, fax=fax, mail=mail)
    endpoint = Endpoint("seed", "", "assinaturas", "https://a.example")
    request = DIALECTS["assinaturas"].render(event, endpoint, NOW)
    assert request is not None
    assert request.body.decode() == json.dumps(MAIL)


@dataclass(frozen=True)
class Sample:
    """One sample of esms: its query, and the fax and the endpoint that it is made of."""

    query: str
    submission: str
    totals: Totals
    price: str
    options: dict[str, str]
    name: Name = Name.SENT
    fax: str = "1"
    peer: str = "+84901888484"
    written: str = ""
    reason: str = ""
    attempts: tuple[Attempt, ...] = ()
    when: str = "2024-04-24T16:58:01"


ONE = Totals(1, called=1, sent=1)
OA = {"oaid": "4097311281936189049"}


ESMS = {
    "customer care": Sample(
        "SMSID=dc712784-9c5f-4c69-b9a8-ea69d56adc9a87&SendFailed=2&SendStatus=5&SendSuccess=0&TotalPrice=0.0000"
        "&TotalReceiver=2&TotalSent=2&RequestId=&TypeId=2&telcoid=1&phonenumber=0901888484&switchsmsid=",
        "dc712784-9c5f-4c69-b9a8-ea69d56adc9a87", Totals(2, called=2, failed=2), "0",
        {"type_id": "2", "telcoid": "1"}, Name.FAILED,
    ),
    "promo": Sample(
        "SMSID=82b0bb8aed914a0aab8deba567c9b8c2&SendFailed=0&SendStatus=5&SendSuccess=0&TotalPrice=696987.0000"
        "&TotalReceiver=169&TotalSent=169&RequestId=&TypeId=1",
        "82b0bb8aed914a0aab8deba567c9b8c2", Totals(169, called=169), "696987", {"type_id": "1"}, Name.COMPLETED,
    ),
    "ZNS": Sample(
        "SMSID=f66545d2-c7e2-4603-984e-d2238c363c8292&SendFailed=1&SendStatus=5&SendSuccess=0&TotalPrice=0.0000"
        "&TotalReceiver=1&TotalSent=0&RequestId=&TypeId=25&telcoid=2&phonenumber=0901888484&partnerids=&error_info="
        "%22{%5C%22error%5C%22%3A-114%2C%5C%22message%5C%22%3A%5C%22User%20is%20inactive%2C%20or%20reject%20the%20"
        "message%2C%20or%20using%20an%20outdated%20Zalo%20version%2C%20or%20other%20internal%20errors%5C%22}%22"
        "&oaid=1397492183140006179&tempid=2056446",
        "f66545d2-c7e2-4603-984e-d2238c363c8292", Totals(1, failed=1), "0",
        {"type_id": "25", "telcoid": "2", "oaid": "1397492183140006179", "tempid": "2056446"},
        Name.FAILED, reason=INACTIVE,
        attempts=(Attempt(1, 0.0, at("2024-04-24T16:58:01"), cause="rejected", sip_code=-114),),
    ),
    "Viber": Sample(
        "SMSID=849fe08c19294b02857cf91687021a50250&SendFailed=0&SendStatus=5&SendSuccess=1&TotalPrice=470.0000"
        "&TotalReceiver=1&TotalSent=1&RequestId=&TypeId=23&telcoid=2&phonenumber=0901888484",
        "849fe08c19294b02857cf91687021a50250", ONE, "470",
        {"type_id": "23", "telcoid": "2"},
    ),
    "consulting": Sample(
        "SMSID=7d11c87a22934df390f73ec59d8defd6205&SendFailed=0&SendStatus=5&SendSuccess=1&TotalPrice=60.0000"
        "&TotalReceiver=1&TotalSent=1&RequestId=&TypeId=26&phonenumber=312158068343230&error_info=%257B%2522data%2522"
        "%3A%257B%2522message_id%2522%3A%2522e1a60e8890be9de4c4ab%2522%2C%2522user_id%2522%3A%252231215806834323092"
        "%2522%257D%2C%2522error%2522%3A0%2C%2522message%2522%3A%2522Success%2522%257D____24%2F04%2F2024%252016%3A58"
        "%3A01&oaid=4097311281936189049&partnerids=e1a60e8890be9de4c4ab",
        "7d11c87a22934df390f73ec59d8defd6205", ONE, "60",
        {"type_id": "26", **OA},
        fax=ZALO, peer=ZALO_PEER, written=ZALO_USER, attempts=(Attempt(1, 0.0, call=ZALO),),
    ),
    "transaction, and user information": Sample(
        "SMSID=53dbbc6e816f4159a9035a14a787e08f172&SendFailed=0&SendStatus=5&SendSuccess=1&TotalPrice=60.0000"
        "&TotalReceiver=1&TotalSent=1&RequestId=&TypeId=26&phonenumber=312158068343230&error_info=%257B%2522data%2522"
        "%3A%257B%2522message_id%2522%3A%2522f405841b5f2352790b36%2522%2C%2522user_id%2522%3A%252231215806834323092"
        "%2522%257D%2C%2522error%2522%3A0%2C%2522message%2522%3A%2522Success%2522%257D____24%2F04%2F2024%252017%3A07"
        "%3A01&oaid=4097311281936189049&partnerids=f405841b5f2352790b36",
        "53dbbc6e816f4159a9035a14a787e08f172", ONE, "60",
        {"type_id": "26", **OA},
        fax="f405841b5f2352790b36", peer=ZALO_PEER, written=ZALO_USER, when="2024-04-24T17:07:01",
        attempts=(Attempt(1, 0.0, call="f405841b5f2352790b36"),),
    ),
    "ZNS journey": Sample(
        "SMSID=7d11c87a22934df390f73ec59d8defd6205&SendFailed=0&SendStatus=5&SendSuccess=1&TotalPrice=220.0000"
        "&TotalReceiver=1&TotalSent=1&RequestId=&TypeId=27&phonenumber=312158068343230&error_info=%257B%2522data%2522"
        "%3A%257B%2522message_id%2522%3A%2522e1a60e8890be9de4c4ab%2522%2C%2522user_id%2522%3A%252231215806834323092"
        "%2522%257D%2C%2522error%2522%3A0%2C%2522message%2522%3A%2522Success%2522%257D____24%2F04%2F2024%252016%3A58"
        "%3A01&oaid=4097311281936189049&partnerids=e1a60e8890be9derir3gfbff",
        "7d11c87a22934df390f73ec59d8defd6205", ONE, "220",
        {"type_id": "27", **OA},
        fax=ZALO, peer=ZALO_PEER, written=ZALO_USER,
        attempts=(Attempt(1, 0.0, call="e1a60e8890be9derir3gfbff"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("sample", ESMS.values(), ids=ESMS)
def test_esms(sample: Sample) -> None:
    """Lost otherwise: a receiver that was made for these calls breaks on the relay's."""
    when = at(sample.when)
    fax = Fax(
        id=sample.fax, direction="outbound", state="sent", number="+1", peer=sample.peer, peer_written=sample.written,
        attempts=sample.attempts, created_at=0.0,
    )  # fmt: skip
    asked = Submission(sample.submission, "smtp", sample.totals, 0.0, credits=Decimal(sample.price))
    event = Event("1", sample.name, when, reason=sample.reason, fax=fax, submission=asked)
    endpoint = Endpoint("seed", ESMS_URL, "esms", options={"region": "VN", **sample.options})
    request = DIALECTS["esms"].render(event, endpoint, NOW)
    assert request is not None
    assert (request.method, request.url) == ("GET", f"{ESMS_URL}?{sample.query}")
