"""Files of an admin: what loads, and what each mistake is told as."""

from __future__ import annotations

import gc
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from policies import T38, Feature, PolicyErrors, Proof, Reach, load
from policies.document import MAX_BYTES

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

DATA = Path(__file__).parents[2] / "data" / "policies"

NUMBER = """
numbers:
  - number: +97231234567
    deliver_to: [a@example.com]
"""


def test_numbers_are_read_as_written(load_text: LoadText) -> None:
    """An unquoted number would become octal or lose its zero, and faxes would go elsewhere."""
    policy = load_text("""
        numbers:
          - {number: 0312345678, default_region: IL, deliver_to: [a@example.com], ident: 0010}
          - {number: "0312345670", default_region: IL, deliver_to: [a@example.com], description: 1_000}
          - {number: +97231234567, deliver_to: [a@example.com], description: 0x1f}
    """)
    assert list(policy.numbers) == ["+972312345678", "+972312345670", "+97231234567"]
    assert policy.numbers["+972312345678"].settings.ident == "0010"
    assert [number.description for number in policy.numbers.values()] == ["", "1_000", "0x1f"]


def test_defaults(load_text: LoadText) -> None:
    """A short file would not get the settings that the reference promises."""
    number = load_text(NUMBER).numbers["+97231234567"]
    assert number.features == frozenset({Feature.MAIL_TO_FAX, Feature.FAX_TO_MAIL})
    assert number.receives
    assert number.settings.ident == number.settings.caller_id == number.number
    assert (number.limits.attachment_bytes, number.limits.recipients, number.limits.pages) == (10 * 1024**2, 100, None)
    retries = number.settings.retries
    assert (retries.retries, retries.delay) == (3, timedelta(minutes=5))
    assert not retries.delays
    assert not retries.never
    assert (retries.ladder, retries.remember) == (("t38", "t38-9600", "g711", "g711-9600-no-ecm"), timedelta(days=30))
    assert (number.source.line, number.source.file.endswith("a.yaml")) == (3, True)


def test_paper_and_reading_of_received_faxes(load_text: LoadText) -> None:
    """An office in Chicago would get its receipts on paper that it does not have, and faxes that it cannot search."""
    policy = load_text("""
        numbers:
          - {number: +97231234567, deliver_to: [a@example.com], ocr: true}
          - {number: +12025550123, deliver_to: [a@example.com]}
          - {number: +12025550124, deliver_to: [a@example.com], paper: a4}
          - {number: +528001234567, deliver_to: [a@example.com]}
    """)
    assert [number.settings.paper.value for number in policy.numbers.values()] == ["a4", "letter", "a4", "letter"]
    assert [number.ocr for number in policy.numbers.values()] == [True, False, False, False]


def test_files_make_one_policy(load_text: LoadText) -> None:
    """Numbers or rules in a second file of the folder would be lost."""
    policy = load_text(
        NUMBER,
        "numbers: [{number: +97237654321, deliver_to: [b@example.com], retries: {retries: 1, delays: {busy: 90s}}}]",
        "retries: {delay: 1h30m, delays: {busy: 3m, no_answer: 2d}, never: [not_fax]}",
        "domains: [{name: Fax.Example.COM, default_region: il}]",
        "destinations: {otherwise: deny, overrides: [{prefix: +44, ecm: false, max_rate: 9600, t38: prefer}]}",
        "# nothing yet\n---\n",
    )
    assert len(policy.numbers) == 2
    assert policy.domains["fax.example.com"].default_region == "IL"
    assert policy.retries.delay == timedelta(minutes=90)
    override = policy.destinations.overrides["+44"]
    assert (override.ecm, override.max_rate, override.t38, override.concurrency) == (False, 9600, T38.PREFER, 1)
    own = policy.numbers["+97237654321"].settings.retries
    assert (own.retries, own.delay, own.never) == (1, timedelta(minutes=90), frozenset({"not_fax"}))
    assert own.delays == {"busy": timedelta(seconds=90), "no_answer": timedelta(days=2)}


def test_own_address_takes_the_proof_of_the_rule_that_names_it(load_text: LoadText) -> None:
    """The owner of a number would need another proof than the admin wrote for the whole domain."""
    policy = load_text("""
        numbers:
          - number: +97231234567
            deliver_to: [owner@example.com, other@elsewhere.example, exact@example.com]
            senders:
              - {match: "@example.com", proof: auth}
              - {match: exact@example.com, proof: confirm}
    """)
    rules = policy.senders.addresses
    proofs = {address: [rule.proof for rule in found] for address, found in rules.items()}
    assert proofs == {
        "exact@example.com": [Proof.CONFIRM],
        "owner@example.com": [Proof.AUTH],
        "other@elsewhere.example": [Proof.DMARC],
    }
    assert policy.senders.domains["example.com"][0].pattern.reach is Reach.DOMAIN


def told_mistakes() -> list[tuple[str, list[str]]]:
    """Return the cases of tests/data/policies/mistakes.txt as text and errors."""
    cases = (DATA / "mistakes.txt").read_text().split("\n====\n")[1:]
    parted: list[tuple[list[str], list[str]]] = [([], []) for _ in cases]
    for (text, errors), case in zip(parted, cases, strict=True):
        for line in case.splitlines():
            (errors if line.startswith("! ") else text).append(line.removeprefix("! "))
    return [("\n".join(text), errors) for text, errors in parted]


@pytest.mark.parametrize(("text", "expected"), told_mistakes())
def test_a_mistake_is_told_with_its_place_and_remedy(mistakes: Mistakes, text: str, expected: list[str]) -> None:
    """An admin would search a file for a mistake that the relay has already found."""
    assert mistakes(text) == expected


def test_all_mistakes_of_a_folder_are_told_at_once(mistakes: Mistakes) -> None:
    """An admin would mend one mistake after the other, with a restart between."""
    found = mistakes(
        "numbers:\n  - {number: 1}\n  - {number: +97231234567, deliver_to: [a@example.com]}\nretries: {retries: 9}",
        "numbers: [{number: +97231234567, deliver_to: [a@example.com]}]",
        "retries: {}\nx: 1",
        "retries: {}",
    )
    places = [error.partition(": ")[0] for error in found]
    assert places == [
        "a.yaml:2:14",
        "a.yaml:4:20",
        "b.yaml:1:20",
        "c.yaml:2:1",
        "d.yaml:1:10",
    ]
    assert "number +97231234567 already stands in" in found[2]
    assert "a.yaml:3" in found[2]


def test_what_stands_once_is_told_with_both_places(mistakes: Mistakes) -> None:
    """Of two entries for one thing, one would win by chance."""
    found = mistakes(
        "domains: [{name: fax.example.com}, {name: FAX.example.com}]\n"
        "numbers:\n"
        "  - {number: +97231234567, deliver_to: [a@example.com], default_for: [a@example.com]}\n"
        "  - {number: +97237654321, deliver_to: [a@example.com, A@example.com], default_for: [a@example.com]}\n",
        "destinations: {}",
        "destinations: {}",
    )
    told = "\n".join(found)
    assert "domain fax.example.com already stands in a.yaml:1" in told
    assert "default of a@example.com already stands in a.yaml:3" in told
    assert "section destinations already stands in b.yaml:1" in told
    assert "a.yaml:4:56: numbers[1].deliver_to[1]: the same value stands twice" in told


@pytest.mark.parametrize(
    ("rewrite", "says"),
    [
        (r"match: '\+1(\d+)', to: '+2\1', proof: []", "the list is empty"),
        (r"match: '\+1(\d+)', to: '+1\2', proof: [{from: +12025550199, to: +12025550199}]", "no group 2"),
        (r"match: '(\d+)+', to: '+1', proof: [{from: +12025550199, to: +12025550199}]", "a group is repeated"),
        (
            r"match: '\+1(\d+)', to: '+1\1', proof: [{from: +97231234567, to: +97231234567}]",
            "does not fit +97231234567",
        ),
        (
            r"match: '\+1(\d+)', to: '+1\1', proof: [{from: +12025550199, to: +12025550100}]",
            "becomes +12025550199, not",
        ),
        (
            r"match: '\+1(\d+)', to: '+7\1', proof: [{from: +12025550199, to: +12025550199}]",
            "becomes +72025550199, not",
        ),
        (r"match: '\+1(\d+)', to: '1\1', proof: [{from: +12025550199, to: +12025550199}]", "has no country"),
    ],
)
def test_a_rewriting_rule_that_fails_its_proof_is_an_error(mistakes: Mistakes, rewrite: str, says: str) -> None:
    """A wrong expression would send faxes to strangers."""
    (error,) = mistakes(f"destinations:\n  rewrite:\n    - {{{rewrite}}}")
    assert says in error
    assert error.startswith("a.yaml:3:")


def test_a_rewriting_rule_that_is_never_reached_is_an_error(mistakes: Mistakes) -> None:
    """An admin would trust a rule that an earlier one hides."""
    proof = "proof: [{from: +12025550199, to: +12025550199}]"
    (error,) = mistakes(
        f"destinations:\n  rewrite:\n"
        f"    - {{match: '(.*)', to: '\\1', {proof}}}\n    - {{match: '\\+1(\\d+)', to: '+1\\1', {proof}}}\n"
    )
    assert "the rule in line 3 takes +12025550199 first; put this rule above that one" in error


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """A wrong path in the configuration would look like an empty policy."""
    with pytest.raises(PolicyErrors, match="no policy file in this folder"):
        load(tmp_path)
    with pytest.raises(PolicyErrors, match="cannot be read: No such file"):
        load(tmp_path / "missing")
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(PolicyErrors, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_files_that_are_no_policy_are_passed_over(tmp_path: Path) -> None:
    """An editor's backup or a README in the folder would stop the relay."""
    (tmp_path / "a.yaml").write_text(NUMBER)
    (tmp_path / ".#a.yaml").write_text("[")
    (tmp_path / "a.yaml~").write_text("[")
    (tmp_path / "README.md").write_text("[")
    assert len(load(tmp_path).numbers) == 1


def test_hostile_files_are_refused_quickly(tmp_path: Path) -> None:
    """A file that unfolds to gigabytes or nests without end would take the relay down."""
    path = tmp_path / "a.yaml"
    for content, says in (
        (b"a: &a [x, x]\nb: &b [*a, *a]\n", "aliases"),
        (b"a: " + b"[" * 1_000_000, "nested"),
        (b"a: " + b"{b: " * 1_000_000, "nested"),
        (b"#" * (MAX_BYTES + 1), "larger than 16 MiB"),
        (b"a: \xff", "not UTF-8"),
        (b"a: \x01", "control character"),
        (b"\xff\xfea\x00:\x00", "not UTF-8"),
    ):
        path.write_bytes(content)
        with pytest.raises(PolicyErrors, match=says):
            load(tmp_path)


def test_loading_leaves_the_garbage_collector_as_it_was(load_text: LoadText) -> None:
    """The relay would grow for ever after the first reload."""
    load_text(NUMBER)
    assert gc.isenabled()


def test_a_text_in_windows_encoding_mark_loads(tmp_path: Path) -> None:
    """A file saved by a Windows editor would be refused for three bytes that nobody sees."""
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + NUMBER.replace("\n", "\r\n").encode())
    assert len(load(tmp_path).numbers) == 1


def test_a_folded_text_is_one_line(load_text: LoadText) -> None:
    """A longer description in YAML's block form would be refused for its last line break."""
    policy = load_text(NUMBER + "    description: >\n      The fax in\n      the hall\n")
    assert policy.numbers["+97231234567"].description == "The fax in the hall"
