"""SPF through our interface: the published test-suite of RFC 7208, and what bounds the library."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from relay.auth.resolver import TEMPERROR, Answer, Kind, Status
from relay.auth.spf import MAX_QUESTIONS, Spf, SpfResult, check_helo, check_host, check_mail_from
from relay.auth.testing import BROKEN, ZoneResolver

SUITE = Path(__file__).parents[2] / "data" / "spf" / "rfc7208-tests.yml"


class SuiteResolver:
    """Answers from the zone data of one scenario of the suite, aliases and time-outs included."""

    def __init__(self, zonedata: dict[str, list[Any]]) -> None:
        self.zone = {name.lower().rstrip("."): records for name, records in zonedata.items()}

    def lookup(self, name: str, kind: Kind, depth: int = 0) -> Answer:
        """See relay.auth.resolver.Resolver."""
        name = name.lower()
        if name.startswith("error."):
            return TEMPERROR
        found: list[Any] = []
        records = self.zone.get(name, [])
        own_txt = any(isinstance(record, dict) and "TXT" in record for record in records)
        broken = False
        for record in records:
            if record == "TIMEOUT":
                broken = True
                continue
            ((written, value),) = record.items()
            if value == "TIMEOUT" and written == kind.value:
                return TEMPERROR
            if written == "CNAME" and depth < 10:
                found += self.lookup(value, kind, depth + 1).records
            # The suite writes a record once for both types; where it means TXT alone, it says so.
            if value != "NONE" and (written == kind.value or (written == "SPF" and kind is Kind.TXT and not own_txt)):
                found.append(_value(kind, value))
        if found:
            ordered = sorted(found) if kind is Kind.MX else found
            return Answer(Status.FOUND, tuple(v[1] if kind is Kind.MX else v for v in ordered))
        return TEMPERROR if broken else Answer(Status.NO_DATA if records else Status.NO_SUCH_NAME)


def _value(kind: Kind, value: Any) -> Any:
    if kind is Kind.TXT:
        return (value if isinstance(value, str) else "".join(value)).encode().decode("latin-1")
    return (value[0], value[1].rstrip(".")) if kind is Kind.MX else value


def _cases() -> list[Any]:
    cases = []
    for scenario in yaml.safe_load_all(SUITE.read_text(encoding="utf-8")):
        cases += [pytest.param(scenario["zonedata"], test, id=name) for name, test in scenario["tests"].items()]
    return cases


def test_the_suite_is_whole() -> None:
    """Lost otherwise: a suite cut short still looks green."""
    assert len(_cases()) == 203


@pytest.mark.parametrize(("zonedata", "test"), _cases())
def test_suite(zonedata: dict[str, list[Any]], test: dict[str, Any]) -> None:
    """Lost otherwise: a domain's SPF record means another thing here than everywhere else."""
    sender, helo = test["mailfrom"], test["helo"]
    domain = (sender or f"@{helo}").rpartition("@")[2]
    found = check_host(ip_address(test["host"]), sender, domain, helo, SuiteResolver(zonedata))
    expected = test["result"] if isinstance(test["result"], list) else [test["result"]]
    assert found.result.value in expected
    if "explanation" in test:
        assert found.explanation == test["explanation"].removeprefix("DEFAULT")


CLIENT = ip_address("192.0.2.1")


def spf_of(mail_from: str, zone: ZoneResolver) -> Spf:
    """The answer for a client at 192.0.2.1."""
    return check_mail_from(CLIENT, mail_from, "helo.example", zone)


def published(**records: str) -> ZoneResolver:
    """A zone with TXT records at NAME.example."""
    return ZoneResolver({f"{name}.example": {Kind.TXT: [record]} for name, record in records.items()})


ALL = published(good="v=spf1 ip4:192.0.2.1 -all")


@pytest.mark.parametrize(
    "mail_from",
    [
        "a@good.example.",
        "a@b.example@good.example",
        "<a@good.example",
        "@b.example:a@good.example",
        '"a@b.example"@good.example',
        "a@good.example\0.b.example",
        "a@good.example>",
        "a,b@good.example",
        "a b@good.example",
        "good.example",
        "a@[192.0.2.1]",
        "a@localhost",
        "a@\uff47ood.example",
        "a" * 400 + "@good.example",
        "",
    ],
)
def test_what_is_no_plain_return_path_proves_nothing(mail_from: str) -> None:
    """Lost otherwise: a return path that two programs read in two ways passes for the wrong domain."""
    assert spf_of(mail_from, ALL).result is SpfResult.NONE


def test_a_domain_in_upper_case_or_unicode_is_asked_in_its_one_spelling() -> None:
    """Lost otherwise: a sender with an umlaut in the domain can never be shown to be real."""
    zone = ZoneResolver({"xn--bcher-kva.example": {Kind.TXT: ["v=spf1 ip4:192.0.2.1 -all"]}})
    assert spf_of("A@BÜCHER.Example", zone) == Spf(SpfResult.PASS, "xn--bcher-kva.example", "sender SPF authorized")


def test_helo_has_its_own_answer() -> None:
    """Lost otherwise: the name in HELO cannot be told from the return path."""
    assert check_helo(CLIENT, "good.example.", ALL).result is SpfResult.PASS
    assert check_helo(CLIENT, "[192.0.2.1]", ALL).result is SpfResult.NONE


def test_a_broken_name_server_is_a_temporary_error() -> None:
    """Lost otherwise: mail is refused for good while a name server is away."""
    zone = ZoneResolver({"good.example": {Kind.TXT: BROKEN}})
    assert spf_of("a@good.example", zone).result is SpfResult.TEMPERROR


def test_an_enormous_record_is_not_evaluated() -> None:
    """Lost otherwise: one record of 60 KB occupies the relay."""
    assert spf_of("a@big.example", published(big="v=spf1 " + "ip4:192.0.2.9 " * 400)).result is SpfResult.PERMERROR


def test_questions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost otherwise: one mail makes the relay ask a stranger's name server thousands of questions."""
    zone = published(mx="v=spf1 " + "mx " * 9 + " exists:%{ir}.x.example -all")
    zone.add("mx.example", Kind.MX, *(f"m{host}.mx.example" for host in range(10)))
    for host in range(10):
        zone.add(f"m{host}.mx.example", Kind.A, "192.0.2.9")
    spf_of("a@mx.example", zone)
    assert len(zone.asked) <= MAX_QUESTIONS
    monkeypatch.setattr("relay.auth.spf.MAX_QUESTIONS", 20)
    zone.asked.clear()
    assert spf_of("a@mx.example", zone).result is SpfResult.PERMERROR
    assert len(zone.asked) == 20


def test_bytes_outside_ascii_are_a_permanent_error() -> None:
    """Lost otherwise: a record with a stray byte crashes the check."""
    assert spf_of("a@odd.example", published(odd="v=spf1 a:b\xe9.example -all")).result is SpfResult.PERMERROR


def test_the_library_failing_is_a_permanent_error() -> None:
    """Lost otherwise: a record that the library cannot digest takes the session with it."""

    class Failing:
        def lookup(self, name: str, kind: Kind) -> Answer:
            raise RuntimeError(name, kind)

    found = check_host(CLIENT, "a@good.example", "good.example", "h.example", Failing())
    assert found.result is SpfResult.PERMERROR
