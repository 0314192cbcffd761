"""``faxrelay policy diff`` and ``policy replay``: without a service and beside one, on what was really submitted."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from policies import Facts, Proof, decide
from relay import control
from relay.app import House, open_house
from relay.cli import faxrelay
from relay.ledger import submit
from relay.policy import PolicyHolder
from relay.replay import kept, replay
from relay.settings import load
from relay.store.tables import fax, submission
from relay.submission import File, Recipient, Submission

if TYPE_CHECKING:
    from pathlib import Path

    from relay.ids import IdSource
    from relay.store.engine import Store

OURS, SECOND, FAR = "+97231234567", "+97237654321", "+12025550123"
POLICY = """\
domains: [{name: fax.example.com, default_region: IL}]
numbers:
  - number: +97231234567
    deliver_to: [a@example.com]
    senders: [{match: "@example.com"}, {match: scanner@example.com, proof: network, networks: [192.0.2.0/24]}]
  - number: +97237654321
    deliver_to: [b@example.com]
    senders: [{match: "@example.com"}]
    default_for: ["@example.com"]
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a policy of its own."""
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    with open_house(load(environment={"FAXRELAY_DATA": str(tmp_path)})):
        return tmp_path


def other(data: Path, *changes: tuple[str, str]) -> Path:
    """Return a folder with the policy changed."""
    folder = data / "other"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = POLICY
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "p.yaml").write_text(text)
    return folder


def run(data: Path, *arguments: str) -> Result:
    """Run a command on a data directory."""
    return CliRunner().invoke(faxrelay, ("policy", *arguments), env={"FAXRELAY_DATA": str(data)})


def mail(house: House, sender: str, *to: str, ago: float = 3600, **known: Any) -> int:
    """Submit a mail as the desk does; return its submission."""
    facts = Facts(sender, to or (FAR,), "fax.example.com", known.pop("proofs", frozenset({Proof.DMARC})), **known)
    decision = decide(house.policy.current, facts)
    assert decision.sender is not None, decision.reply
    number = decision.sender.number
    recipients = tuple(
        house.policy.recipient(number, verdict.dialled or text[:16], f"{text}@fax.example.com", verdict)
        for text, verdict in zip(facts.recipients, decision.recipients, strict=True)
    )
    blob = house.blobs.put(b"page")
    asked = Submission(
        source="smtp", sender=sender, proof=min(proof.value for proof in facts.proofs), number=number, subject="",
        files=(File("a.pdf", "application/pdf", facts.attachment_bytes[0], blob.name),), recipients=recipients,
        facts=kept(facts),
    )  # fmt: skip
    made = house.store.write_now(submit, house.ids, asked, time.time() - ago)
    assert made.id is not None
    return made.id


@pytest.fixture
def history(data: Path) -> list[int]:
    """What was submitted: by domain, by header, by network, to two numbers, and long ago."""
    with open_house(load(environment={"FAXRELAY_DATA": str(data)})) as house:
        size: dict[str, Any] = {"attachment_bytes": (1000,)}
        return [
            mail(house, "x@example.com", **size),
            mail(house, "x@example.com", requested_number=OURS, **size),
            mail(
                house, "scanner@example.com", proofs=frozenset({Proof.NETWORK}), client_ip=ip_address("192.0.2.7"),
                attachment_bytes=(9_000_000,),
            ),
            mail(house, "x@example.com", FAR, "+18765550123", **size),
            mail(house, "x@example.com", ago=40 * 86400, **size),
        ]  # fmt: skip


def replayed(data: Path, *arguments: str) -> dict[str, Any]:
    """Return what a replay tells."""
    done = run(data, "replay", "--json", *arguments)
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_policy_under_which_mail_was_taken_changes_nothing(data: Path, history: list[int]) -> None:
    """Lost otherwise: every replay tells of changes that nobody made."""
    assert len(history) == 5
    found = replayed(data)
    assert (found["judged"], found["unknown"], found["changed"]) == (4, 0, [])
    assert replayed(data, "--since", "60d")["judged"] == 5
    assert "0 of 4 would get another verdict" in run(data, "replay").stdout


@pytest.mark.parametrize(
    ("change", "which", "reply"),
    [
        (("192.0.2.0/24", "198.51.100.0/24"), [2], "550 5.7.1"),
        (
            ("deliver_to: [a@example.com]", "deliver_to: [a@example.com]\n    limits: {attachment_bytes: 1MB}"),
            [2],
            "552",
        ),
        (('senders: [{match: "@example.com"}, ', "senders: ["), [1], "250"),
        (
            ("deliver_to: [b@example.com]", "deliver_to: [b@example.com]\n    limits: {faxes_per_hour: 2}"),
            [3],
            "452 4.2.2",
        ),
        (("numbers:\n", "senders: {block: ['@example.com']}\nnumbers:\n"), [0, 1, 2, 3], "550 5.7.1"),
    ],
)
def test_another_policy_tells_whom_it_would_have_treated_otherwise(
    data: Path, history: list[int], change: tuple[str, str], which: list[int], reply: str
) -> None:
    """Lost otherwise: a stricter policy is put in force, and its first victims are the ones who tell."""
    found = replayed(data, "--dir", str(other(data, change)))
    assert [one["submission"] for one in found["changed"]] == [str(history[index]) for index in which]
    for one in found["changed"]:
        assert one["before"]["reply"] == "250 2.0.0 The mail is accepted."
        assert one["after"]["reply"].startswith(reply)


def test_a_recipient_is_judged_by_itself(data: Path, history: list[int]) -> None:
    """Lost otherwise: a destination rule seems to change nothing, since the mail as a whole is still taken."""
    folder = other(data, ("numbers:\n", "destinations: {rules: [{deny: {prefix: +1876}}]}\nnumbers:\n"))
    found = replayed(data, "--dir", str(folder))
    (one,) = found["changed"]
    assert one["submission"] == str(history[3])
    assert one["after"]["recipients"]["+18765550123@fax.example.com"]["accepted"] is False
    told = run(data, "replay", "--dir", str(folder)).stdout
    assert "+18765550123@fax.example.com: dialled as +18765550123 -> refused (550 5.7.1" in told
    assert "1 of 4 would get another verdict" in told


def test_what_is_not_known_is_said_and_nothing_is_written(data: Path, history: list[int]) -> None:
    """Lost otherwise: mail of an older version is judged by guesses, or a replay disturbs the service."""
    with open_house(load(environment={"FAXRELAY_DATA": str(data)})) as house:
        house.store.write_now(lambda c: c.execute(submission.update().values(facts=sa.null())))
        before = house.store.read_now(lambda c: list(c.execute(sa.select(fax))))
        found = replayed(data)  # beside whoever holds the data directory
        assert house.store.read_now(lambda c: list(c.execute(sa.select(fax)))) == before
    assert (found["judged"], found["unknown"], found["changed"]) == (3, 1, [])
    assert history
    assert "client's address was not kept" in run(data, "replay").stdout


def test_a_replay_of_nothing_and_with_bad_words(data: Path, tmp_path: Path) -> None:
    """Lost otherwise: a traceback, or 'nothing changes' about a database that is not there."""
    assert run(data, "replay", "--since", "soon").exit_code == 2
    assert run(tmp_path / "nowhere", "replay").exit_code == 4
    (data / "other").mkdir()
    (data / "other" / "p.yaml").write_text("numbers: 5")
    done = run(data, "replay", "--dir", str(data / "other"))
    assert (done.exit_code, "p.yaml:1:10" in done.stderr) == (1, True)
    assert run(data, "diff", str(data / "other")).exit_code == 1


async def test_diff_compares_with_the_policy_in_force(data: Path) -> None:
    """Lost otherwise: with a broken folder, the difference to the policy that really runs cannot be seen."""
    folder = other(data, ("a@example.com", "c@example.com"))
    alone = await asyncio.to_thread(run, data, "diff", str(folder))
    assert "      - a@example.com\n      + c@example.com" in alone.stdout
    with open_house(load(environment={"FAXRELAY_DATA": str(data)})) as house:
        house.policy.current = replace(house.policy.current, numbers=PolicyHolder(folder).current.numbers)
        server = await control.serve(data / "control.sock", control.named(house.desks))
        beside = json.loads((await asyncio.to_thread(run, data, "diff", "--json", str(folder))).stdout)
        server.close()
    assert beside == []


def test_a_replay_works_on_every_database(store: Store, ids: IdSource, tmp_path: Path) -> None:
    """Lost otherwise: the larger installations, on PostgreSQL, cannot try a policy."""
    (tmp_path / "p.yaml").write_text(POLICY)
    holder, now = PolicyHolder(tmp_path), time.time()
    asked = Submission(
        source="smtp", sender="x@example.com", proof="dmarc", number=SECOND, subject="", files=(),
        recipients=(Recipient(FAR, f"{FAR}@fax.example.com"), Recipient("+12", "12@fax.example.com", refusal="No.")),
        facts=kept(Facts("x@example.com", (FAR, "12"), "fax.example.com", frozenset({Proof.DMARC}))),
    )  # fmt: skip
    store.write_now(submit, ids, asked, now - 60)
    order = replace(asked, source="command", proof="command", sender=None, facts=None, number=OURS)
    store.write_now(submit, ids, replace(order, recipients=(Recipient(FAR, "+1 202 555 0123"),)), now - 30)
    assert store.read_now(replay, holder, now - 3600).changed == []
    (tmp_path / "p.yaml").write_text(POLICY.replace("numbers:", "destinations: {otherwise: deny}\nnumbers:"))
    found = store.read_now(replay, PolicyHolder(tmp_path), now - 3600)
    assert [(one.before.number, one.after.accepted) for one in found.changed] == [(SECOND, False), (OURS, True)]
    assert [fate.accepted for fate in found.changed[1].after.recipients.values()] == [False]
