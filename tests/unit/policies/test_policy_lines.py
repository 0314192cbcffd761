"""Trunks and devices of policy files: what each key becomes, which trunks a fax takes, what an admin is shown."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    LADDER,
    T38,
    CalledField,
    CallerField,
    Codec,
    Facts,
    Feature,
    NumberForm,
    Policy,
    Proof,
    SecretKind,
    SipTransport,
    Source,
    Trunk,
    as_json,
    decide,
    explain,
)
from policies.routing import MOST
from relay.outbound.ladder import RUNGS
from transport import accounts
from transport.seam import T38Mode

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

NUMBERS = """
numbers:
  - {number: +97231234567, deliver_to: [a@example.com]}
  - {number: +97237654321, deliver_to: [b@example.com]}
"""
OURS, OTHER = "+97231234567", "+97237654321"


def test_every_key_of_a_trunk_reaches_the_policy(load_text: LoadText) -> None:
    """A carrier would be called with settings that the admin did not write."""
    trunk = load_text(
        NUMBERS,
        """
        trunks:
          - name: carrier-1
            host: SIP.Carrier.Example
            port: 5062
            transport: tls
            proxy: "[2001:DB8::5]:5061"
            domain: ims.carrier.example
            username: 972312@carrier
            password: env:CARRIER
            register: true
            expires: 10m
            options: 0
            networks: [192.0.2.0/24, "2001:db8::/32"]
            channels: 8
            codecs: [ulaw, alaw]
            t38: prefer
            caller_id: diversion
            called_number: p-called-party-id
            number_form: national
            region: il
            prefix: 0*9
            ca: /etc/ca.pem
            prefixes: [+972, +1]
            priority: 3
            cost_per_minute: 0.015
            cost_per_page: 1
            numbers: [03-1234567]
        """,
    ).trunks["carrier-1"]
    assert (trunk.host, trunk.port, trunk.transport) == ("sip.carrier.example", 5062, SipTransport.TLS)
    assert (trunk.proxy, trunk.domain, trunk.username) == (
        "[2001:db8::5]:5061",
        "ims.carrier.example",
        "972312@carrier",
    )
    assert trunk.password is not None
    assert (trunk.password.kind, trunk.password.name, str(trunk.password)) == (SecretKind.ENV, "CARRIER", "env:CARRIER")
    assert (trunk.register, trunk.expires, trunk.options) == (True, 600, 0)
    assert trunk.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
    assert (trunk.channels, trunk.codecs, trunk.t38) == (8, (Codec.ULAW, Codec.ALAW), T38.PREFER)
    assert [codec.payload_type for codec in trunk.codecs] == [0, 8]
    assert (trunk.caller_id, trunk.called_number) == (CallerField.DIVERSION, CalledField.CALLED_PARTY)
    assert (trunk.number_form, trunk.region, trunk.prefix, trunk.ca) == (
        NumberForm.NATIONAL,
        "IL",
        "0*9",
        "/etc/ca.pem",
    )
    assert (trunk.prefixes, trunk.priority, trunk.numbers) == (("+972", "+1"), 3, frozenset({OURS}))
    assert trunk.cost == trunk.cost_per_minute + trunk.cost_per_page == Decimal("1.015")
    assert (trunk.source.line, trunk.source.file.endswith("b.yaml")) == (3, True)


def test_a_short_trunk_has_the_defaults_of_the_line(load_text: LoadText) -> None:
    """A trunk of two keys would behave otherwise than the line documents it."""
    trunk = load_text("trunks: [{name: a, host: '2001:db8::1'}]").trunks["a"]
    account = accounts.TrunkAccount("a", "2001:db8::1")
    assert (trunk.name, trunk.host, trunk.port, trunk.proxy) == (account.name, account.host, None, "")
    assert (trunk.expires, trunk.options, trunk.channels) == (
        account.expires,
        account.options_seconds,
        account.channels,
    )
    assert tuple(codec.payload_type for codec in trunk.codecs) == account.codecs
    assert trunk.password is None
    for ours, theirs in (
        (trunk.transport, account.transport),
        (trunk.caller_id, account.caller),
        (trunk.called_number, account.called),
        (trunk.number_form, account.form),
        (trunk.t38, account.t38),
    ):
        assert ours.value == theirs.value


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (SipTransport, accounts.SipTransport),
        (CallerField, accounts.CallerField),
        (CalledField, accounts.CalledField),
        (NumberForm, accounts.NumberForm),
        (T38, T38Mode),
    ],
)
def test_the_files_and_the_lines_speak_the_same_words(ours: type[Enum], theirs: type[Enum]) -> None:
    """A word that the files take would end the service when the line hears it."""
    assert {each.value for each in ours} == {each.value for each in theirs}


def test_the_ladder_has_the_rungs_that_calls_are_made_by(load_text: LoadText) -> None:
    """A rung that the files take would be left out silently, or one that exists could not be written."""
    assert list(LADDER) == list(RUNGS)
    policy = load_text(
        "retries: {ladder: [g711, t38-9600], remember: 90d}",
        """
        numbers:
          - {number: +97231234567, deliver_to: [a@example.com], retries: {ladder: [g711-9600-no-ecm]}}
          - {number: +97237654321, deliver_to: [a@example.com], retries: {remember: 0s}}
        """,
    )
    assert (policy.retries.ladder, policy.retries.remember) == (("g711", "t38-9600"), timedelta(days=90))
    first, second = (policy.numbers[number].settings.retries for number in (OURS, OTHER))
    assert (first.ladder, first.remember) == (("g711-9600-no-ecm",), timedelta(days=90))
    assert (second.ladder, second.remember) == (("g711", "t38-9600"), timedelta(0))


def test_every_key_of_a_device_reaches_the_policy(load_text: LoadText) -> None:
    """A machine could register or call although its admin wrote otherwise, or could not."""
    policy = load_text(
        NUMBERS,
        """
        devices:
          - name: hall
            region: IL
            number: 03-1234567
            username: "201"
            password: file:/run/secrets/hall
            networks: [192.168.1.0/24]
            channels: 2
            t38: never
            receipts_to_device: true
          - {name: spare, number: +97231234567, password: env:SPARE, allow_outbound: false}
          - {name: sender, number: +97231234567, password: env:SENDER, allow_inbound: false}
        """,
    )
    hall, spare, sender = policy.devices.values()
    assert (hall.number, hall.username, hall.region, hall.channels, hall.t38) == (OURS, "201", "IL", 2, T38.NEVER)
    assert (hall.password.kind, hall.password.name) == (SecretKind.FILE, "/run/secrets/hall")
    assert (hall.networks, hall.receipts_to_device) == ((ip_network("192.168.1.0/24"),), True)
    assert (hall.allow_inbound, hall.allow_outbound) == (True, True)
    assert (spare.username, spare.allow_inbound, spare.allow_outbound) == ("spare", True, False)
    assert (sender.allow_inbound, sender.allow_outbound, sender.receipts_to_device) == (False, True, False)


def test_a_number_has_the_feature_device_where_a_device_has_to_do_with_it(load_text: LoadText) -> None:
    """A number whose faxes only a machine prints would not be answered."""
    policy = load_text("""
        numbers:
          - {number: +97231234567, deliver_to: [a@example.com]}
          - {number: +97237654321, features: [device], deliver_to_devices: [hall]}
          - {number: +97239876543, deliver_to: [a@example.com], deliver_to_devices: [hall]}
          - {number: +97235550100, features: [device]}
        devices:
          - {name: hall, number: +97237654321, password: env:X}
          - {name: out, number: +97235550100, password: env:X, allow_inbound: false}
    """)
    mail, paper, both, sending = policy.numbers.values()
    assert [Feature.DEVICE in each.features for each in (mail, paper, both, sending)] == [False, True, True, True]
    assert [each.receives for each in (mail, paper, both, sending)] == [True, True, True, False]
    assert paper.deliver_to_devices == both.deliver_to_devices == ("hall",)


def test_a_mistake_in_a_broken_file_is_not_told_of_others_too(mistakes: Mistakes) -> None:
    """One mistake would bury itself under errors about everything that refers to it."""
    found = mistakes(
        "numbers:\n  - {number: +97231234567, deliver_to: [a@example.com], deliver_to_devices: [hall]}\n",
        "devices: [{name: hall, number: +97231234567, password: env:X}\n",
        "trunks: [{name: a, host: b.example, numbers: [+97231234567]}]",
    )
    assert [error.split(":")[0] for error in found] == ["b.yaml"]


def test_no_mistake_shows_a_secret(mistakes: Mistakes) -> None:
    """A password that was written by mistake would end in logs and on the health page."""
    forms = ["hunter2", "'hunter2'", "[hunter2]", "{a: hunter2}", "'env:hunter2-'", "file:hunter2", "'env: hunter2'"]
    for form in forms:
        found = mistakes(f"trunks: [{{name: a, host: b.example, username: u, password: {form}}}]")
        assert len(found) == 1
        assert "hunter2" not in found[0]


ROUTES = """
trunks:
  - {name: late, host: a.example, priority: 20}
  - {name: dear, host: a.example, cost_per_minute: 0.05}
  - {name: cheap, host: a.example, cost_per_minute: 0.01, cost_per_page: 0.02}
  - {name: local, host: a.example, priority: 1, prefixes: [+972, +9723]}
  - {name: theirs, host: a.example, priority: 2, numbers: [+97237654321]}
  - {name: dear-too, host: a.example, cost_per_minute: 0.05}
"""


@pytest.mark.parametrize(
    ("number", "destination", "trunks"),
    [
        (OURS, "+12025550199", ["cheap", "dear", "dear-too", "late"]),
        (OURS, "+97225550100", ["local", "cheap", "dear", "dear-too", "late"]),
        (OTHER, "+97225550100", ["local", "theirs", "cheap", "dear", "dear-too", "late"]),
        ("+97239999999", "+12025550199", ["cheap", "dear", "dear-too", "late"]),
    ],
)
def test_a_fax_takes_the_trunks_in_the_order_of_the_policy(
    load_text: LoadText, number: str, destination: str, trunks: list[str]
) -> None:
    """A fax would go by a dearer trunk, or by one that does not serve it."""
    policy = load_text(NUMBERS, ROUTES)
    route = policy.route(number, destination)
    assert (list(route.trunks), route.number, route.destination) == (trunks, number, destination)
    assert [reason.rule for reason in route.reasons if reason.matched] == [f"trunks.{name}" for name in trunks]
    assert {reason.rule for reason in route.excluded} == {
        f"trunks.{name}" for name in policy.trunks.keys() - set(trunks)
    }


def test_each_trunk_has_its_reason(load_text: LoadText) -> None:
    """An admin could not tell why a trunk is not used."""
    route = load_text(NUMBERS, ROUTES).route(OURS, "+97231111111")
    told = {reason.rule.removeprefix("trunks."): reason.text for reason in route.reasons}
    assert told["local"] == "choice 1: serves +9723, priority 1"
    assert told["cheap"] == "choice 2: serves every number, priority 10, cost 0.03"
    assert told["theirs"] == f"{OURS} is none of its numbers"
    route = load_text(NUMBERS, ROUTES).route(OURS, "+4420")
    assert "+4420 begins with none of its prefixes" in {reason.text for reason in route.excluded}
    assert all(reason.file.endswith("b.yaml") and reason.line > 2 for reason in route.reasons)


def test_a_policy_without_a_serving_trunk_has_an_empty_route(load_text: LoadText) -> None:
    """A fax that no trunk serves would be sent by one that must not carry it."""
    assert Policy().route(OURS, OTHER).trunks == ()
    route = load_text(NUMBERS, "trunks: [{name: a, host: a.example, prefixes: [+1]}]").route(OURS, OTHER)
    assert (route.trunks, len(route.excluded)) == ((), 1)


_trunks = st.lists(
    st.builds(
        Trunk,
        name=st.integers(0, 99).map(lambda number: f"t{number}"),
        host=st.just("a.example"),
        source=st.just(Source("a.yaml", 1)),
        prefixes=st.sampled_from([(), ("+1",), ("+9723", "+972")]),
        priority=st.integers(0, 2),
        cost_per_minute=st.sampled_from([Decimal(0), Decimal("0.1")]),
        numbers=st.sampled_from([frozenset(), frozenset({OURS})]),
    ),
    max_size=40,
    unique_by=lambda trunk: trunk.name,
)


@given(_trunks, st.sampled_from([OURS, OTHER]), st.sampled_from(["+12025550199", "+97235550100", "+4420"]))
def test_a_route_names_each_trunk_once_and_only_those_that_serve(
    trunks: list[Trunk], number: str, destination: str
) -> None:
    """A trunk would be tried twice or forgotten, or the order would change from fax to fax."""
    policy = Policy(trunks={trunk.name: trunk for trunk in trunks})
    route = policy.route(number, destination)
    assert route == policy.route(number, destination)
    assert sorted(reason.rule for reason in route.reasons) == sorted(f"trunks.{trunk.name}" for trunk in trunks)
    assert len(route.trunks) <= MOST
    taken = [policy.trunks[name] for name in route.trunks]
    assert taken == sorted(taken, key=lambda trunk: (trunk.priority, trunk.cost))
    for trunk in trunks:
        serves = (not trunk.numbers or number in trunk.numbers) and (
            not trunk.prefixes or any(destination.startswith(prefix) for prefix in trunk.prefixes)
        )
        assert (trunk in taken) is serves or (serves and len(taken) == MOST)
    shuffled = random.Random(1).sample(trunks, len(trunks))
    distinct = {
        trunk.name: replace(trunk, priority=at) for at, trunk in enumerate(sorted(trunks, key=lambda t: t.name))
    }
    again = Policy(trunks={trunk.name: distinct[trunk.name] for trunk in shuffled})
    assert again.route(number, destination).trunks == Policy(trunks=distinct).route(number, destination).trunks


def test_an_explanation_shows_the_route(load_text: LoadText) -> None:
    """An admin would not see by which trunk a mail would leave."""
    policy = load_text(NUMBERS, ROUTES, "destinations: {rules: [{deny: {prefix: +44}}]}")
    facts = Facts("a@example.com", ("+97225550100", "+442079460000"), None, frozenset({Proof.DMARC}))
    decision = decide(policy, facts)
    text = explain(decision)
    assert "  by trunk: local, then cheap, then dear, then dear-too, then late\n" in text
    assert "b.yaml:6: trunks.local: choice 1: serves +972, priority 1" in text
    assert text.count("by trunk:") == 1
    recipients = as_json(decision)["recipients"]
    assert isinstance(recipients, list)
    assert [each["trunks"] for each in recipients] == [["local", "cheap", "dear", "dear-too", "late"], None]
    nowhere = decide(load_text(NUMBERS, "trunks: [{name: a, host: a.example, prefixes: [+1]}]", ""), facts)
    assert "by trunk: none" in explain(nowhere)
    assert nowhere.accepted
