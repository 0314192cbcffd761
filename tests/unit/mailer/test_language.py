"""The words of each language: complete, and filled in as text."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml

import templates
from converters import Reason, Refused
from converters.errors import told
from converters.kinds import _KNOWN, _PDF, _TEXT, FORMATS
from policies import CallFacts
from relay.mailer.language import Languages
from relay.mailer.receipt import Status
from relay.policy import PolicyHolder
from transport.seam import Cause

FOLDERS = sorted(path for path in (Path(next(iter(templates.__path__))) / "mail").iterdir() if path.is_dir())
ENGLISH = yaml.safe_load((Path(next(iter(templates.__path__))) / "mail" / "en" / "sentences.yaml").read_text("utf-8"))


def fields(sentence: str) -> set[str]:
    """Return the names of the values that a sentence takes."""
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_language_has_every_sentence_with_its_values(folder: Path) -> None:
    """Lost otherwise: a receipt in a language that lacks one sentence is never sent."""
    words = yaml.safe_load((folder / "sentences.yaml").read_text("utf-8"))
    assert words.keys() == ENGLISH.keys()
    for key, sentence in words.items():
        if key != "causes":
            assert fields(sentence) <= fields(ENGLISH[key])
            assert sentence
    assert words["causes"].keys() == {cause.value for cause in Cause}
    assert {path.name for path in folder.iterdir()} >= {"receipt.txt", "receipt.html", "received.txt", "received.html"}


def test_every_cause_is_told_without_a_code() -> None:
    """Lost otherwise: an office worker reads 'T.30 error 20'."""
    language = Languages().get("en")
    for cause in Cause:
        words = language.cause(cause)
        assert words.sentence.endswith(".")
        assert not any(term in words.sentence + words.advice for term in ("T.30", "SIP", "EOP", "MCF", "ECM"))


def test_every_end_has_a_title() -> None:
    """Lost otherwise: a mail without a subject."""
    language = Languages().get("en")
    for status in Status:
        assert "+972" in language.say(f"title_{status.value}", to="+972")


def test_a_language_without_a_folder_is_english() -> None:
    """Lost otherwise: a typing mistake in a policy keeps every receipt from its sender."""
    assert Languages().get("xx").name == "en"
    assert Languages().get("../../etc").name == "en"


def test_values_are_text_and_never_formats() -> None:
    """Lost otherwise: a subject with braces reads our memory, or breaks the mail."""
    assert "{count.__class__}" in Languages().get("en").say("failed", to="{count.__class__}")


HOUSE = """
domains:
{domains}
numbers:
  - number: "+97231234567"
    deliver_to: [a@example.com]
  - number: "+97231234568"
    deliver_to: [a@example.com]
    language: en
"""


@pytest.mark.parametrize(("spoken", "told"), [(["he"], "he"), (["he", "he"], "he"), (["he", "en"], "en")])
def test_what_arrives_is_told_in_the_language_of_the_house(tmp_path: Path, spoken: list[str], told: str) -> None:
    """Lost otherwise: an office of Hebrew speakers gets its faxes in English, for no mail named its domain."""
    domains = "\n".join(f"  - {{name: fax{n}.example.com, language: {name}}}" for n, name in enumerate(spoken))
    (tmp_path / "a.yaml").write_text(HOUSE.format(domains=domains))
    policy = PolicyHolder(tmp_path)
    assert policy.inbound_settings(CallFacts("+97231234567"))["language"] == told
    assert policy.inbound_settings(CallFacts("+97231234568"))["language"] == "en"
    assert policy.inbound_settings(CallFacts("+97231234569"))["language"] == told


#: Details that the converters give, by reason.
DETAILS = {
    Reason.DAMAGED: " (page 3)", Reason.TOO_MANY_PAGES: "300", Reason.TOO_MANY_FILES: "100",
    Reason.TOO_LARGE: " (9000 x 9000 pixels)", Reason.UNSUPPORTED: "a ZIP archive", Reason.MISMATCH: "a web page",
}  # fmt: skip


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_refusal_names_the_file_and_what_to_do(folder: Path, reason: Reason) -> None:
    """Lost otherwise: a sender reads in a foreign language, or not at all, what to mend in which file."""
    refused = Refused(reason, 'bill "May".pdf', detail=DETAILS.get(reason, ""))
    found = told(refused.sentence)
    assert found == (reason, "\"bill 'May'.pdf\"", DETAILS.get(reason, ""))
    words = Languages().get(folder.name).reason(refused.sentence)
    assert "bill 'May'.pdf" in words
    assert {"en": "Please", "he": "נא"}[folder.name] in words
    assert ("Please" in words) is (folder.name == "en")
    assert "ZIP" in words or reason is not Reason.UNSUPPORTED


def test_whatever_a_file_may_be_has_a_name_in_hebrew() -> None:
    """Lost otherwise: a Hebrew sentence ends in English words."""
    phrases = Languages().get("he").refusals["phrases"]
    called = {entry.people_call_it for entry in (_PDF, *FORMATS, _TEXT)} | {name for _, name in _KNOWN}
    assert called <= phrases.keys()


def test_another_reason_is_told_as_it_is() -> None:
    """Lost otherwise: why a fax failed is lost where it is no document's fault."""
    assert Languages().get("en").reason("the policy has changed") == "The policy has changed."
    assert "The policy has changed." in Languages().get("he").reason("the policy has changed")
