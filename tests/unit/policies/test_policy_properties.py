"""What holds for every policy and every mail."""

from __future__ import annotations

import json
import tempfile
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import policies
from policies import Facts, Policy, PolicyError, PolicyErrors, Proof, Usage, decide, load

EXAMPLES = [path.read_bytes() for path in sorted((Path(policies.__file__).parent / "examples").glob("*.yaml"))]
FRAGMENTS = [
    b"\n",
    b" ",
    b"- ",
    b": ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"'",
    b'"',
    b"*a",
    b"&a ",
    b"!!int ",
    b"yes",
    b"~",
    b"<<: ",
    b"\t",
    b"\x00",
    b"\xff",
]


def load_bytes(content: bytes) -> Policy:
    """Load one file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_bytes(content)
        return load(Path(folder))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return an example file with some parts cut out, doubled, moved or replaced."""
    content = draw(st.sampled_from(EXAMPLES))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 60)))
        piece = draw(st.sampled_from([*FRAGMENTS, b"", content[start:end] * 2]) | st.binary(max_size=8))
        content = content[:start] + piece + content[end:]
    return content


def errors_of(content: bytes) -> tuple[PolicyError, ...]:
    """Return the errors of one file; anything but a policy or PolicyErrors fails the test."""
    try:
        load_bytes(content)
    except PolicyErrors as raised:
        assert_told(raised.errors)
        return raised.errors
    return ()


def assert_told(errors: tuple[PolicyError, ...]) -> None:
    """Check what every error promises."""
    assert errors
    for error in errors:
        assert error.line >= 1
        assert error.column >= 1
        assert error.message
        assert error.remedy


@given(mutated() | st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_broken_file_gives_errors_and_nothing_else(content: bytes) -> None:
    """A slip of the finger in a policy file would crash the running relay."""
    breaks = content.count(b"\n") + content.count(b"\r") + content.count(b"\xe2\x80") + content.count(b"\xc2\x85")
    assert all(error.line <= breaks + 2 for error in errors_of(content))


@given(
    st.recursive(
        st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "domains",
                        "numbers",
                        "number",
                        "name",
                        "senders",
                        "match",
                        "proof",
                        "networks",
                        "destinations",
                        "rules",
                        "allow",
                        "deny",
                        "prefix",
                        "retries",
                        "delays",
                        "busy",
                        "ladder",
                        "trunks",
                        "devices",
                        "host",
                        "password",
                        "username",
                        "register",
                        "expires",
                        "rewrite",
                        "proof",
                        "from",
                        "to",
                        "overrides",
                        "limits",
                        "deliver_to",
                        "default_region",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_shape_gives_errors_and_nothing_else(data: Any) -> None:
    """A list where a mapping belongs would crash the running relay."""
    content = json.dumps({"numbers": data, "destinations": data, "retries": data})
    assert errors_of(content.encode())


NUMBERS = ["+97231111111", "+97232222222", "+97233333333"]
DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "xexample.com"]
SUBJECTS = st.sampled_from([pre + domain for domain in DOMAINS for pre in ("u@", "v@", "@", "@*.")])
NETWORKS = ["192.0.2.0/24", "2001:db8::/32"]
RULES = st.tuples(st.sampled_from(NUMBERS), SUBJECTS, st.sampled_from(Proof), st.sampled_from(NETWORKS))


def names(subject: str, address: str) -> bool:
    """Whether a rule names an address, as the specification says it and nothing of the code under test."""
    if subject.startswith("@*."):
        return address.endswith("." + subject[3:])
    return address.endswith(subject) if subject.startswith("@") else address == subject


@given(
    st.sets(RULES, min_size=1, max_size=12),
    st.sampled_from(["u", "v", "w"]),
    st.sampled_from(DOMAINS),
    st.frozensets(st.sampled_from(Proof)),
    st.none() | st.sampled_from(["192.0.2.9", "192.0.3.9", "2001:db8::9", "::ffff:192.0.2.9"]),
    st.none() | st.sampled_from([*NUMBERS, "junk"]),
)
def test_no_mail_is_accepted_without_a_proven_rule(
    rules: set[tuple[str, str, Proof, str]],
    local: str,
    domain: str,
    proofs: frozenset[Proof],
    client: str | None,
    wants: str | None,
) -> None:
    """In some combination of rules a forger would be let in, or two runs would answer differently."""
    unique = {(number, subject, proof): network for number, subject, proof, network in sorted(rules, key=str)}
    text = "numbers:\n"
    for number in sorted({number for number, _, _ in unique}):
        text += f"  - number: {number}\n    features: [mail_to_fax]\n    senders:\n"
        for (owner, subject, proof), network in unique.items():
            if owner == number:
                networks = f", networks: ['{network}']" if proof is Proof.NETWORK else ""
                text += f"      - {{match: '{subject}', proof: {proof.value}{networks}}}\n"
    policy = load_bytes(text.encode())
    address = f"{local}@{domain}"
    ip = ip_address(client) if client else None
    facts = Facts(address, ("+12025550199",), None, proofs, ip, wants, {number: Usage() for number in NUMBERS})
    decision = decide(policy, facts)

    assert decide(policy, facts) == decision
    shown = ip_address("192.0.2.9") if client == "::ffff:192.0.2.9" else ip
    proven = {
        number
        for (number, subject, proof), network in unique.items()
        if names(subject, address)
        and proof in proofs
        and (proof is not Proof.NETWORK or (shown is not None and shown in ip_network(network)))
    }
    if decision.sender is not None:
        assert decision.sender.number in proven
    assert decision.accepted is (decision.sender is not None)
    if len(proven) == 1:
        assert decision.sender is not None
    if wants in proven:
        assert decision.sender is not None
        assert decision.sender.number == wants
