"""The shape of ``trunks`` and ``devices`` in the policy files: every key with its type, default, unit and meaning."""

from __future__ import annotations

from decimal import Decimal

from policies.entry import Entry, key
from policies.fields import (  # noqa: TC001 -- pydantic reads the keys' types
    AbsolutePath,
    Cost,
    Count,
    CountryCode,
    DialPrefix,
    Flag,
    HostName,
    HostPort,
    LineName,
    NetworkText,
    Port,
    Prefix,
    Seconds,
    SecretText,
    TelephoneNumber,
    UserName,
)
from policies.lines import T38, CalledField, CallerField, Codec, NumberForm, SipTransport


class TrunkEntry(Entry):
    """A SIP account at a carrier, a telephone system or a session border controller."""

    name: LineName = key("What the trunk is called here: letters, digits, - and _.")
    host: HostName = key("Name or address of the carrier's SIP server.")
    port: Port | None = key(
        "Its port. Without it, the name's SRV records tell (RFC 3263), else 5060, or 5061 with TLS.", default=None
    )
    transport: SipTransport = key("What carries SIP.", default=SipTransport.UDP)
    proxy: HostPort = key("Outbound proxy that everything is sent to, `host` or `host:port`.", default="")
    domain: HostName = key("Domain of our address in From, To and the login. Without it, the host.", default="")
    username: UserName = key("Name of the account.", default="")
    password: SecretText | None = key("Where the password is kept: `env:NAME` or `file:/PATH`.", default=None)
    register_: Flag = key(
        "Register, so that calls find us; `false` where the carrier knows our address.", default=False, alias="register"
    )
    expires: Seconds = key("Longest time between two registrations, 1 minute to 1 day.", default=600, ge=60, le=86400)
    options: Seconds = key(
        "Time between two OPTIONS that ask whether it is up, 1 hour at most; 0: none.", default=60, le=3600
    )
    networks: list[NetworkText] = key(
        "Networks (CIDR) that its calls come from, beside the addresses of `host` and `proxy`.", default_factory=list
    )
    channels: Count = key("Calls at the same time, both directions together.", unit="calls", default=2, ge=1, le=1000)
    codecs: list[Codec] = key("G.711 laws, the preferred first.", default_factory=lambda: list(Codec), min_length=1)
    t38: T38 = key(
        "`auto` takes T.38 when it is offered, `prefer` asks for it as soon as a call is answered, `never` stays in "
        "audio.",
        default=T38.AUTO,
    )
    caller_id: CallerField = key(
        "Where the trunk wants the calling number: From alone, or another header too.", default=CallerField.FROM
    )
    called_number: CalledField = key(
        "Where the trunk says which of our numbers is called.", default=CalledField.REQUEST_URI
    )
    number_form: NumberForm = key(
        "How the trunk writes numbers: `plus` +97231234567, `digits` 97231234567, `national` 031234567 in `region`.",
        default=NumberForm.PLUS,
    )
    region: CountryCode | None = key("Country whose rules read and write national numbers.", default=None)
    prefix: DialPrefix = key("Digits that are dialled before every number.", default="")
    ca: AbsolutePath = key(
        "PEM file of the authority that signed the trunk's certificate, in place of the machine's own authorities.",
        default="",
    )
    prefixes: list[Prefix] = key("First digits of the numbers that it serves; none: all.", default_factory=list)
    priority: Count = key("Trunks with a lower figure are tried first.", default=10, ge=0, le=1000)
    cost_per_minute: Cost = key(
        "In any currency. Of equal priority, the trunk where one minute and one page cost less is tried first.",
        default=Decimal(0),
    )
    cost_per_page: Cost = key("In the same currency.", default=Decimal(0))
    numbers: list[TelephoneNumber] = key(
        "Own numbers that may use it, and whose calls come by it; none: all.", default_factory=list
    )


class DeviceEntry(Entry):
    """A fax machine, telephone adapter or softphone that registers with the relay."""

    name: LineName = key("What the device is called here: letters, digits, - and _.")
    region: CountryCode | None = key(
        "Country whose rules read what is dialled on it, and `number`; without it, numbers need their country code.",
        default=None,
    )
    number: TelephoneNumber = key("The relay's own number that it sends from; one of `numbers`.")
    username: UserName = key("Name that it registers with. Without it, `name`.", default="")
    password: SecretText = key("Where its password is kept: `env:NAME` or `file:/PATH`.")
    allow_inbound: Flag = key("Whether faxes may be sent to it.", default=True)
    allow_outbound: Flag = key("Whether it may send faxes out through the relay.", default=True)
    networks: list[NetworkText] = key(
        "Networks (CIDR) that it may register and call from; none: any.", default_factory=list
    )
    channels: Count = key("Calls at the same time.", unit="calls", default=1, ge=1, le=100)
    t38: T38 = key("Whether calls to and from it may use T.38, as in `trunks`.", default=T38.AUTO)
    receipts_to_device: Flag = key("Whether the receipts of what it sent also come to it as faxes.", default=False)
