"""Events and endpoints of every kind for the tests of callbacks.

`python -m tests.unit.callbacks.events` writes the golden files and the examples of the OpenAPI page anew.
"""

from __future__ import annotations

import base64
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from relay.callbacks import codes
from relay.callbacks.dialects import DIALECTS, standard
from relay.callbacks.endpoint import Endpoint
from relay.callbacks.event import (
    Attempt,
    Decision,
    Event,
    Fax,
    Mail,
    Name,
    Occasion,
    Submission,
    Suspension,
    Totals,
)
from relay.callbacks.sample import sample
from relay.outcome import WORDS
from relay.web.links import Action, Links

if TYPE_CHECKING:
    from relay.callbacks.request import Request

GOLDEN = Path(__file__).parents[2] / "data" / "callbacks" / "golden"
OPENAPI = Path(__file__).parents[3] / "docs" / "callbacks.openapi.yaml"
DOCS = OPENAPI.with_name("callbacks.md")
NOW = 1_790_000_000.0
AT = NOW - 60.25
SHARED = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PRIVATE = "whsk_" + base64.b64encode(bytes(range(100, 132))).decode()
AES_KEY = "0123456789abcdef0123456789ABCDEF"


def download(fax_id: str) -> str:
    """Return the address of a fax's download."""
    return Links(b"k" * 32, life=604_800.0).url("https://fax.example.com", Action.FAX, int(fax_id), AT)[0]


BUSY = Attempt(
    number=1, started_at=AT - 600, ended_at=AT - 590, trunk="main", cause="busy", why="the number was busy",
    sip_code=486, sip_reason="Busy Here", ring_seconds=0.0, talk_seconds=0.0, call="c-1", next="call 2 of 4 follows",
)  # fmt: skip
WHOLE = Attempt(
    number=2, started_at=AT - 95, ended_at=AT, trunk="main", cause="confirmed", why="every page was confirmed",
    pages_confirmed=3, sip_code=200, sip_reason="OK", t30_code=0, t30_reason="OK", ring_seconds=4.5,
    talk_seconds=89.6, bit_rate=14400, ecm=True, call="c-2", next="3 of 3 pages confirmed by the far machine",
)  # fmt: skip
CUT = replace(
    WHOLE, cause="lost_call", why="the call was cut", pages_confirmed=2, t30_code=5, t30_reason="Far end went away",
    next="the call was cut; the last page was sent but not confirmed",
)  # fmt: skip

FAX = Fax(
    id="2150102030405000001", direction="outbound", state="sent",
    reason="3 of 3 pages confirmed by the far machine", number="+97231234567", peer="+442079460000",
    peer_written="442079460000@fax.example.com", caller_id="+97231234567", ident="+972 3 1234567",
    remote_ident="LONDON & CO <7>", header="Müller / משרד", document_id="2150102030405000002", pages=3,
    pages_confirmed=3, attempts=(BUSY, WHOLE), talk_seconds=89.6, resolution="fine", paper="a4", priority=5, retries=3,
    retry_seconds=300.0, billing="A-4711", step=2, created_at=AT - 700, ended_at=AT,
)  # fmt: skip
SUBMISSION = Submission(
    id="2150102030405000000", source="smtp", created_at=AT - 700, sender="anna@example.com",
    reply_to="anna@example.com", subject='Offer "7" & <b>more</b>; 100% = ½',
    message_id="<1@example.com>", totals=Totals(recipients=3, called=2, sent=2),
)  # fmt: skip
SENT = Event(
    id="2150102030405000009", name=Name.SENT, at=AT, sequence=7, fax=FAX, submission=SUBMISSION,
    reason="3 of 3 pages confirmed by the far machine", download_url=download("2150102030405000001"),
)  # fmt: skip


def ended(name: Name, reason: str, attempts: tuple[Attempt, ...], **totals: int) -> Event:
    """Return an event of a fax that ended without a confirmation."""
    fax = replace(
        FAX, state=name.value.removeprefix("fax."), reason=reason, attempts=attempts, remote_ident="",
        pages_confirmed=max((one.pages_confirmed for one in attempts), default=0),
        talk_seconds=attempts[-1].talk_seconds if attempts else None,
    )  # fmt: skip
    counted = Totals(**({"recipients": 3, "called": 2, "sent": 1} | totals))
    return replace(SENT, name=name, reason=reason, fax=fax, submission=replace(SUBMISSION, totals=counted))


def before(name: Name, reason: str, decision: Decision | None = None, attempts: tuple[Attempt, ...] = ()) -> Event:
    """Return an event of a fax that has not ended."""
    fax = replace(ended(name, reason, attempts).fax or FAX, ended_at=None, talk_seconds=None)
    asked = replace(SUBMISSION, totals=Totals(recipients=3, called=len(attempts)))
    return replace(SENT, name=name, reason=reason, fax=fax, submission=asked, decision=decision)


RECEIVED = Event(
    id="2150102030405000019", name=Name.RECEIVED, at=AT, sequence=2, reason="2 pages received",
    fax=Fax(
        id="2150102030405000011", direction="inbound", state="received", reason="2 pages received",
        number="+97231234567", peer="+442079460000", caller_id="+442079460000", remote_ident="LONDON & CO <7>",
        subaddress="77", document_id="2150102030405000012", pages=2, pages_confirmed=2, talk_seconds=61.0,
        created_at=AT - 70, ended_at=AT,
    ),
    download_url=download("2150102030405000011"),
)  # fmt: skip
APPROVAL = Decision("approval", "it has more than 20 pages", until=AT + 3600)
CONFIRM = Decision("confirm", "its sender has to confirm it", until=AT + 3600)
BOSS = "boss@example.com"

EVENTS = {
    "sent": SENT,
    "failed": ended(Name.FAILED, "the number was busy; all 1 calls made", (replace(BUSY, ended_at=AT),), failed=1),
    "failed_without_a_call": ended(Name.FAILED, "its number was taken out of the policy", (BUSY,), failed=1),
    "uncertain": ended(Name.UNCERTAIN, CUT.next, (BUSY, CUT), uncertain=1),
    "cancelled": ended(Name.CANCELLED, "cancelled by anna@example.com", (), called=1, cancelled=1),
    "refused": replace(
        ended(Name.REFUSED, f"{BOSS} did not approve it: too dear", (), called=1, failed=1),
        decision=Decision("approval", f"{BOSS} did not approve it: too dear", "deny", BOSS),
    ),
    "unconfirmed": replace(
        ended(Name.REFUSED, "nobody confirmed it", (), called=1, failed=1),
        decision=Decision("confirm", "nobody confirmed it", "deny"),
    ),
    "accepted": before(Name.ACCEPTED, "accepted by smtp"),
    "held": before(Name.HELD, "it has more than 20 pages", APPROVAL),
    "released": before(
        Name.RELEASED, f"approved by {BOSS}", Decision("approval", f"approved by {BOSS}", "approve", BOSS)
    ),
    "confirmed": before(
        Name.RELEASED, "confirmed by its sender", replace(CONFIRM, verdict="approve", by="anna@example.com")
    ),
    "queued": before(Name.QUEUED, "ready to dial"),
    "dialing": before(Name.DIALING, "call 1 over main"),
    "attempt_failed": before(
        Name.ATTEMPT_FAILED, "the number was busy; call 2 of 4 follows", attempts=(replace(BUSY, ended_at=AT),)
    ),
    "step": SENT.told_as(Occasion.STEP),
    "completed": replace(
        SENT, name=Name.COMPLETED, reason="all 3 recipients ended", occasion=Occasion.FLOW,
        submission=replace(SUBMISSION, totals=Totals(recipients=3, called=3, sent=2, uncertain=1)),
    ),
    "received": RECEIVED,
    "mail_delivered": replace(RECEIVED, name=Name.MAIL_DELIVERED, mail=Mail("bob@example.com", "250 2.0.0 Ok")),
    "bounced": replace(
        RECEIVED, name=Name.MAIL_BOUNCED, mail=Mail("bob@example.com", '550 5.1.1 "bob" is unknown <here>')
    ),
    "opened": replace(RECEIVED, name=Name.MAIL_OPENED, mail=Mail("bob@example.com", "its link was opened")),
    "suspended": Event(
        id="2150102030405000029", name=Name.SUSPENDED, at=AT, reason="20 failures in a row",
        suspension=Suspension("crm", 20, "the last answer was 500"),
    ),
    "test": sample(Name.SENT, "2150102030405000039", AT),
    "test_received": sample(Name.RECEIVED, "2150102030405000039", AT),
    "test_mail": sample(Name.MAIL_DELIVERED, "2150102030405000039", AT),
}  # fmt: skip

OUT, IN = "https://receiver.example.com/fax", "https://receiver.example.com/in?of=7"
ENDPOINTS = {
    "standard": Endpoint("crm", OUT, "standard", IN, secrets=(SHARED, PRIVATE), headers=(("X-Office", "7"),)),
    "sfax": Endpoint(
        "crm", OUT, "sfax", IN, secrets=(AES_KEY,), options={"user": "master", "api_key": "5787A4E0BCDE46F986D2E067"}
    ),
    "interfax": Endpoint("crm", OUT, "interfax", user="anna", password="geheim"),
    "interfax-soap": Endpoint("crm", OUT, "interfax-soap"),
    "assinaturas": Endpoint("crm", OUT, "assinaturas", IN, headers=(("X-Token", "t-1"),)),
    "esms": Endpoint("crm", OUT, "esms", secrets=("s&1",), options={"type_id": "25", "region": "IL", "telcoid": "1"}),
}


def rendered(dialect: str, event: Event) -> Request | None:
    """Return the request that an endpoint of a dialect gets for an event."""
    return DIALECTS[dialect].render(event, ENDPOINTS[dialect], NOW)


def shown(request: Request) -> str:
    """Return a request as it is kept in a golden file."""
    head = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers)]
    return "\n".join([*head, "", request.body.decode()]).rstrip("\n") + "\n"


def curl(request: Request) -> str:
    """Return the command that makes a call to the reader's own machine."""
    words = ["curl", "-sSg", *(word for name, value in request.headers for word in ("-H", f"{name}: {value}"))]
    words += ["--data-raw", request.body.decode()] if request.body else []
    return shlex.join([*words, request.url.replace("https://receiver.example.com", "http://127.0.0.1:8000")])


def codes_table() -> str:
    """Return the figures as docs/callbacks.md shows them."""
    lines = ["| how it ended | `outresultcode` |", "| --- | --- |"]
    lines += [f"| `{name.value}` | {figure} |" for name, figure in codes.RESULTS.items() if name is not Name.RECEIVED]
    lines += ["", "| why | code |", "| --- | --- |"]
    lines += [f"| {WORDS[cause]} | {figure} |" for cause, figure in codes.CAUSES.items()]
    lines += [
        f"| no call ended it: it was refused, or could not be called | {codes.WITHOUT_A_CALL} |",
        f"| it was cancelled | {codes.CANCELLED} |",
        f"| it was held and not released | {codes.REFUSED} |",
        f"| the last page was sent and not confirmed | {codes.UNCONFIRMED} |",
    ]
    return "\n".join(lines)


def page_with_what_is_made(page: str) -> str:
    """Return docs/callbacks.md with its commands and codes anew."""
    for dialect in set(DIALECTS) - {"standard"}:
        request = rendered(dialect, SENT)
        block = f"```sh\n{curl(request)}\n```" if request is not None else ""
        page = _between(page, f"<!-- curl {dialect} -->", block)
    return _between(page, "<!-- codes -->", codes_table())


def _between(page: str, mark: str, block: str) -> str:
    """Put a block behind its mark, in place of what is there up to the next heading or the end."""
    head, _, rest = page.partition(mark)
    following = rest.find("\n## ")
    return f"{head}{mark}\n{block}\n{rest[following:] if following >= 0 else ''}"


class _Dumper(yaml.SafeDumper):
    """Writes what stands twice twice."""

    def ignore_aliases(self, data: Any) -> bool:
        """Name nothing."""
        del data
        return True


def main() -> None:
    """Write the files anew; read what changed before you commit it."""
    DOCS.write_text(page_with_what_is_made(DOCS.read_text("utf-8")), "utf-8")
    comment, page = OPENAPI.read_text("utf-8").splitlines()[0], yaml.safe_load(OPENAPI.read_text("utf-8"))
    for hook in page["webhooks"].values():
        for key, example in hook["post"]["requestBody"]["content"]["application/json"]["examples"].items():
            example["value"] = standard.payload(EVENTS[key])
    dumped = yaml.dump(page, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    OPENAPI.write_text(f"{comment}\n{dumped}", "utf-8")
    for dialect in DIALECTS:
        for name, event in EVENTS.items():
            path, request = GOLDEN / dialect / f"{name}.txt", rendered(dialect, event)
            if request is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(shown(request), "utf-8")
            else:
                path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
