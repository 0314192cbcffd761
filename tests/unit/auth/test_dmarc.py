"""DMARC: records, the walk, alignment, and what a broken name server must never turn into."""

# ruff: noqa: E501  a case is a row

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.auth.dkim import Signature
from relay.auth.dmarc import Dmarc, DmarcResult, Identifier, Method, evaluate, identifiers
from relay.auth.dmarc_record import MAX_RECORD, Policy, Record, Suffix, parse_record, targets, walk
from relay.auth.resolver import Kind
from relay.auth.signature import DkimResult
from relay.auth.spf import Spf, SpfResult
from relay.auth.testing import BROKEN, ZoneResolver

V = "v=DMARC1; p=reject"


def dmarc_zone(**records: str | tuple[str, ...]) -> ZoneResolver:
    """A zone of DMARC records; ``__`` in a name is a dot, ``_`` a hyphen."""
    zone = ZoneResolver()
    for name, written in records.items():
        domain = name.replace("__", ".").replace("_", "-")
        zone.add(f"_dmarc.{domain}", Kind.TXT, *((written,) if isinstance(written, str) else written))
    return zone


def dkim_of(*domains: str) -> list[Identifier]:
    """Domains whose signatures passed."""
    return [Identifier(Method.DKIM, domain) for domain in domains]


def spf_of(domain: str) -> list[Identifier]:
    """A domain whose SPF passed."""
    return [Identifier(Method.SPF, domain)]


P, F, N, T = DmarcResult.PASS, DmarcResult.FAIL, DmarcResult.NONE, DmarcResult.TEMPERROR
STRICT = V + "; adkim=s; aspf=s"

CASES = [
    # From domain, records, who passed, result
    ("same dkim", "good.example", {"good__example": V}, dkim_of("good.example"), P),
    ("same spf", "good.example", {"good__example": V}, spf_of("good.example"), P),
    ("nobody", "good.example", {"good__example": V}, [], F),
    ("stranger", "good.example", {"good__example": V}, dkim_of("evil.example"), F),
    ("second signature", "good.example", {"good__example": V}, dkim_of("esp.example", "good.example"), P),
    ("spf of a stranger, dkim ours", "good.example", {"good__example": V}, [*spf_of("esp.example"), *dkim_of("good.example")], P),
    ("below signs for above", "good.example", {"good__example": V}, dkim_of("mail.good.example"), P),
    ("above signs for below", "mail.good.example", {"good__example": V}, dkim_of("good.example"), P),
    ("siblings", "a.good.example", {"good__example": V}, dkim_of("b.good.example"), P),
    ("far below", "a.b.c.good.example", {"good__example": V}, dkim_of("x.good.example"), P),
    ("spf below", "good.example", {"good__example": V}, spf_of("bounce.good.example"), P),
    ("strict same dkim", "good.example", {"good__example": STRICT}, dkim_of("good.example"), P),
    ("strict same spf", "good.example", {"good__example": STRICT}, spf_of("good.example"), P),
    ("strict dkim below", "good.example", {"good__example": STRICT}, dkim_of("mail.good.example"), F),
    ("strict spf below", "good.example", {"good__example": STRICT}, spf_of("mail.good.example"), F),
    ("strict for dkim alone, spf", "good.example", {"good__example": V + ";adkim=s"}, spf_of("m.good.example"), P),
    ("strict for dkim alone, dkim", "good.example", {"good__example": V + ";adkim=s"}, dkim_of("m.good.example"), F),
    ("strict for spf alone, spf", "good.example", {"good__example": V + ";aspf=s"}, spf_of("m.good.example"), F),
    ("strict for spf alone, dkim", "good.example", {"good__example": V + ";aspf=s"}, dkim_of("m.good.example"), P),
    ("hyphen in front", "b.example", {"b__example": V}, dkim_of("a-b.example"), F),
    ("hyphen in the From", "a-b.example", {"a_b__example": V}, dkim_of("b.example"), F),
    ("hyphen, both known", "a-b.example", {"a_b__example": V, "b__example": V}, dkim_of("b.example"), F),
    ("hyphen below", "x.a-b.example", {"a_b__example": V}, dkim_of("y.a-b.example"), P),
    ("victim as a label in front", "good.example", {"good__example": V}, dkim_of("good.example.evil.example"), F),
    ("victim glued in front", "good.example", {"good__example": V}, dkim_of("notgood.example"), F),
    ("victim's parent", "good.example", {"good__example": V}, dkim_of("example"), F),
    ("another ending", "good.example", {"good__example": V}, dkim_of("good.example.com"), F),
    ("from below a stranger", "good.example.evil.example", {"good__example": V, "evil__example": V}, dkim_of("good.example"), F),
    ("suffix says so", "one.co.example", {"co__example": V + ";psd=y", "one__co__example": V}, dkim_of("two.co.example"), F),
    ("suffix says so, no own record", "one.co.example", {"co__example": V + ";psd=y"}, dkim_of("two.co.example"), F),
    ("suffix, within one tenant", "one.co.example", {"co__example": V + ";psd=y"}, dkim_of("m.one.co.example"), P),
    ("suffix, tenant's own below", "m.one.co.example", {"co__example": V + ";psd=y", "one__co__example": V}, dkim_of("one.co.example"), P),
    ("suffix signs for a tenant", "one.co.example", {"co__example": V + ";psd=y"}, dkim_of("co.example"), F),
    ("tenant signs for the suffix", "co.example", {"co__example": V + ";psd=y"}, dkim_of("one.co.example"), F),
    ("suffix signs for itself", "co.example", {"co__example": V + ";psd=y"}, dkim_of("co.example"), P),
    ("top level with psd", "good.example", {"example": V + ";psd=y"}, dkim_of("evil.example"), F),
    ("top level with psd, own", "good.example", {"example": V + ";psd=y"}, dkim_of("a.good.example"), P),
    ("top level that forgot psd", "good.example", {"example": V}, dkim_of("evil.example"), F),
    ("top level that forgot psd, own", "good.example", {"example": V}, dkim_of("a.good.example"), P),
    ("top level says psd=n", "good.example", {"example": V + ";psd=n", "good__example": V}, dkim_of("good.example"), P),
    ("own organization said", "a.good.example", {"good__example": V, "a__good__example": V + ";psd=n"}, dkim_of("good.example"), F),
    ("own organization said, below", "a.good.example", {"good__example": V, "a__good__example": V + ";psd=n"}, dkim_of("x.a.good.example"), P),
    ("signer's organization said", "good.example", {"good__example": V, "a__good__example": V + ";psd=n"}, dkim_of("a.good.example"), F),
    ("psd=u is the default", "a.good.example", {"good__example": V + ";psd=u"}, dkim_of("good.example"), P),
    ("no record", "good.example", {}, dkim_of("good.example"), N),
    ("no record, nobody", "good.example", {}, [], N),
    ("two records", "good.example", {"good__example": (V, V)}, dkim_of("good.example"), N),
    ("two records, one above", "a.good.example", {"a__good__example": (V, V), "good__example": V}, dkim_of("good.example"), P),
    ("other texts beside", "good.example", {"good__example": ("hello", V)}, dkim_of("good.example"), P),
    ("no DMARC record", "good.example", {"good__example": "v=DMARC2; p=reject"}, dkim_of("good.example"), N),
    ("version not first", "good.example", {"good__example": "p=reject; v=DMARC1"}, dkim_of("good.example"), N),
    ("version in lower case", "good.example", {"good__example": "v=dmarc1; p=reject"}, dkim_of("good.example"), N),
    ("version longer", "good.example", {"good__example": "v=DMARC10; p=reject"}, dkim_of("good.example"), N),
    ("no p", "good.example", {"good__example": "v=DMARC1"}, dkim_of("good.example"), P),
    ("broken p", "good.example", {"good__example": "v=DMARC1; p=perhaps"}, [], F),
    ("old tags", "good.example", {"good__example": V + ";pct=0;rf=afrf;ri=86400;fo=1;rua=mailto:a@b.example"}, [], F),
    ("broken answer", "good.example", {"good__example": BROKEN}, dkim_of("good.example"), T),
    ("broken answer, nobody", "good.example", {"good__example": BROKEN}, [], T),
    ("broken above, own record, same", "a.good.example", {"a__good__example": V, "good__example": BROKEN}, dkim_of("a.good.example"), P),
    ("broken above, own record", "a.good.example", {"a__good__example": V, "good__example": BROKEN}, dkim_of("good.example"), T),
    ("broken above, nothing below", "a.good.example", {"good__example": BROKEN}, dkim_of("good.example"), T),
    ("broken at the signer's", "good.example", {"good__example": V, "a__good__example": BROKEN}, dkim_of("a.good.example"), T),
    ("broken at one signer's", "good.example", {"good__example": V, "a__good__example": BROKEN}, dkim_of("a.good.example", "b.good.example"), P),
    ("broken at a stranger's", "good.example", {"good__example": V, "evil__example": BROKEN}, dkim_of("evil.example"), F),
    ("dkim open", "good.example", {"good__example": V}, [Identifier(Method.DKIM, "good.example", open=True)], T),
    ("dkim below open", "good.example", {"good__example": V}, [Identifier(Method.DKIM, "a.good.example", open=True)], T),
    ("spf open", "good.example", {"good__example": V}, [Identifier(Method.SPF, "good.example", open=True)], T),
    ("stranger's dkim open", "good.example", {"good__example": V}, [Identifier(Method.DKIM, "evil.example", open=True)], F),
    ("one open, one passed", "good.example", {"good__example": V}, [Identifier(Method.DKIM, "good.example", open=True), *spf_of("good.example")], P),
    ("eight labels", "a.b.c.d.e.f.good.example", {"good__example": V}, dkim_of("good.example"), P),
    ("twelve labels", "a.b.c.d.e.f.g.h.i.j.good.example", {"good__example": V}, dkim_of("good.example"), P),
    ("record out of the walk's reach", "a.b.c.d.e.f.g.h.i.j.k.l", {"b__c__d__e__f__g__h__i__j__k__l": V}, dkim_of("b.c.d.e.f.g.h.i.j.k.l"), N),
]  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "records", "passed", "expected"), [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_case(
    domain: str, records: dict[str, str | tuple[str, ...]], passed: list[Identifier], expected: DmarcResult
) -> None:
    """Lost otherwise: a stranger's mail is taken for the domain's own, or the domain's own mail is refused."""
    zone = dmarc_zone(**records)
    found = evaluate(domain, passed, zone)
    assert found.result is expected
    assert found.domain == domain
    if expected is P:
        assert found.aligned
    assert all(each in passed and not each.open for each in found.aligned)


@pytest.mark.parametrize(
    ("domain", "records", "expected", "published_by"),
    [
        ("good.example", {"good__example": "v=DMARC1;p=quarantine;sp=reject"}, Policy.QUARANTINE, "good.example"),
        ("a.good.example", {"good__example": "v=DMARC1;p=quarantine;sp=reject"}, Policy.REJECT, "good.example"),
        ("a.good.example", {"good__example": "v=DMARC1;p=quarantine"}, Policy.QUARANTINE, "good.example"),
        ("gone.good.example", {"good__example": "v=DMARC1;p=none;np=reject"}, Policy.REJECT, "good.example"),
        ("a.good.example", {"good__example": "v=DMARC1;p=none;np=reject"}, Policy.NONE, "good.example"),
        ("gone.good.example", {"good__example": "v=DMARC1;p=none;sp=quarantine"}, Policy.QUARANTINE, "good.example"),
        ("a.good.example", {"good__example": V, "a__good__example": "v=DMARC1;p=none"}, Policy.NONE, "a.good.example"),
        (
            "a.b.good.example",
            {"good__example": V, "b__good__example": "v=DMARC1;p=none"},
            Policy.REJECT,
            "good.example",
        ),
        ("one.co.example", {"co__example": "v=DMARC1;p=none;sp=reject;psd=y"}, Policy.REJECT, "co.example"),
        (
            "one.co.example",
            {"co__example": "v=DMARC1;p=reject;psd=y", "example": "v=DMARC1;p=none"},
            Policy.REJECT,
            "co.example",
        ),
        ("good.example", {"good__example": "v=DMARC1;p=REJECT"}, Policy.REJECT, "good.example"),
        ("good.example", {"good__example": "v=DMARC1;p=perhaps"}, Policy.NONE, "good.example"),
    ],
)
def test_the_policy_that_applies(domain: str, records: dict[str, str], expected: Policy, published_by: str) -> None:
    """Lost otherwise: people are told another policy than the domain's owner wrote."""
    zone = dmarc_zone(**records)
    zone.add("a.good.example", Kind.A, "192.0.2.1")
    found = evaluate(domain, [], zone)
    assert (found.result, found.policy, found.policy_domain) == (F, expected, published_by)


def test_a_record_in_full() -> None:
    """Lost otherwise: a domain's owner asks for one thing and gets another."""
    record = parse_record("v=DMARC1 ; P = Quarantine; sp=none; np=reject; adkim=S; aspf=r; psd=N; t=y; x; =; p=none;")
    assert record == Record(
        Policy.QUARANTINE, Policy.NONE, Policy.REJECT, strict_dkim=True, psd=Suffix.NO, testing=True
    )
    assert parse_record(V + " " * MAX_RECORD) is None


@pytest.mark.parametrize(
    ("domain", "count"),
    [("good.example", 2), ("a.b.c.d.e.f.example", 7), ("a.b.c.d.e.f.g.example", 8), ("a.b.c.d.e.f.g.h.i.j.example", 8)],
)
def test_a_walk_asks_at_most_eight_questions(domain: str, count: int) -> None:
    """Lost otherwise: a long name makes the relay ask without end."""
    zone = ZoneResolver()
    walk(domain, zone)
    assert len(zone.asked) == count
    assert list(targets(domain))[-1] == "example"


def test_strangers_are_not_asked_about() -> None:
    """Lost otherwise: each signature of a mail costs a walk through a stranger's name servers."""
    zone = dmarc_zone(good__example=V)
    evaluate("good.example", dkim_of(*(f"x{number}.evil.example" for number in range(10))), zone)
    assert len(zone.asked) <= 3


def test_who_vouches() -> None:
    """Lost otherwise: a result that is no pass counts as one."""
    for result in SpfResult:
        found = identifiers(Spf(result, "good.example"), ())
        assert bool(found) == (result in (SpfResult.PASS, SpfResult.TEMPERROR))
        assert all(each.open == (result is SpfResult.TEMPERROR) for each in found)
    for signed in DkimResult:
        found = identifiers(Spf(SpfResult.NONE), [Signature("good.example", "s", signed)] * 2)
        assert len(found) == (signed in (DkimResult.PASS, DkimResult.TEMPERROR))
    assert identifiers(Spf(SpfResult.PASS, ""), [Signature("", "", DkimResult.PASS)]) == ()


LABELS = st.sampled_from(["a", "b", "a-b", "good", "evil", "co", "example", "xn--bcher-kva"])
DOMAINS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
RECORDS = st.one_of(
    st.lists(
        st.sampled_from(
            ["p=reject", "p=none", "sp=none", "np=reject", "adkim=s", "aspf=s", "psd=y", "psd=n", "t=y", "x"]
        ),
        max_size=4,
    ).map(lambda tags: ";".join(["v=DMARC1", *tags])),
    st.just(BROKEN[0]),
)
IDENTIFIERS = st.lists(st.builds(Identifier, st.sampled_from(Method), DOMAINS, st.booleans()), max_size=4)


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)
@given(DOMAINS, st.dictionaries(DOMAINS, st.lists(RECORDS, max_size=2), max_size=4), IDENTIFIERS)
def test_no_pass_without_an_aligned_pass(
    domain: str, records: dict[str, list[str]], vouching: list[Identifier]
) -> None:
    """Lost otherwise: some record that nobody thought of lets strangers pass."""
    zone = ZoneResolver({f"_dmarc.{name}": {Kind.TXT: tuple(written)} for name, written in records.items()})
    found = evaluate(domain, vouching, zone)
    assert isinstance(found, Dmarc)
    if found.result is P:
        assert found.aligned
    for each in found.aligned:
        assert each in vouching
        assert not each.open
        shared = 0
        for ours, theirs in zip(reversed(domain.split(".")), reversed(each.domain.split(".")), strict=False):
            if ours != theirs:
                break
            shared += 1
        assert shared >= 2


@given(st.text(max_size=200))
def test_any_text_is_a_record_or_none(text: str) -> None:
    """Lost otherwise: a strange record crashes the relay."""
    assert isinstance(parse_record("v=DMARC1;" + text), Record)
    assert parse_record(text) is None or text.startswith("v")
