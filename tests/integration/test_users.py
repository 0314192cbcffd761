"""``faxrelay user``: without a service and beside one, with what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from policies import load as load_policies
from relay.api_keys import digest_of
from relay.app import open_house
from relay.cli import faxrelay
from relay.settings import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory that a service has used."""
    with open_house(load(environment={"FAXRELAY_DATA": str(tmp_path)})):
        return tmp_path


def run(data: Path, *arguments: str, told: str = "") -> Result:
    """Run a command on a data directory."""
    return CliRunner().invoke(faxrelay, ("user", *arguments), env={"FAXRELAY_DATA": str(data)}, input=told)


def test_a_user_from_the_first_day_to_the_last(data: Path) -> None:
    """Lost otherwise: nobody can be given, or be taken, the right to send."""
    made = run(data, "add", "alice", "--address", "Alice@Example.COM", "--password-stdin", told="correct horse\n")
    assert made.exit_code == 0, made.output
    (listed,) = json.loads(run(data, "list", "--json").stdout)
    assert (listed["name"], listed["addresses"], listed["disabled"]) == ("alice", ["alice@example.com"], False)
    assert "hash" not in str(listed)
    assert run(data, "addresses", "alice", "--address", "@example.com", "--address", "@example.com").exit_code == 0
    assert run(data, "disable", "alice").exit_code == 0
    (listed,) = json.loads(run(data, "list", "--json").stdout)
    assert (listed["addresses"], listed["disabled"]) == (["@example.com"], True)
    assert "disabled" in run(data, "list").stdout
    assert run(data, "enable", "alice").exit_code == 0
    assert run(data, "password", "alice", "--password-stdin", told="another horse\n").exit_code == 0
    assert run(data, "remove", "alice").exit_code == 0
    assert "no users" in run(data, "list").stdout


def test_a_password_is_asked_for_twice(data: Path) -> None:
    """Lost otherwise: a slip of the finger locks the user out."""
    arguments = ("add", "alice", "--address", "alice@example.com")
    assert run(data, *arguments, told="correct horse\nanother horse\n\n").exit_code != 0
    done = run(data, *arguments, told="correct horse\ncorrect horse\n")
    assert done.exit_code == 0
    assert "correct horse" not in done.output


@pytest.mark.parametrize(
    ("arguments", "password", "told"),
    [
        (("add", "alice", "--address", "alice@example.com"), "short", "10 to 256 characters"),
        (("add", "al ice", "--address", "alice@example.com"), "correct horse", "no user name"),
        (("add", "alice", "--address", "alice"), "correct horse", "alice"),
        (("add", "bob", "--address", "bob@example.com"), "correct horse", "there is a user bob already"),
        (("password", "nobody"), "correct horse", "there is no user nobody"),
    ],
)
def test_what_cannot_be_is_said(data: Path, arguments: tuple[str, ...], password: str, told: str) -> None:
    """Lost otherwise: an admin believes that a user was made, or stares at a traceback."""
    run(data, "add", "bob", "--address", "bob@example.com", "--password-stdin", told="correct horse\n")
    done = run(data, *arguments, "--password-stdin", told=f"{password}\n")
    assert done.exit_code in (1, 3)
    assert told in done.stderr
    assert len(json.loads(run(data, "list", "--json").stdout)) == 1


def test_a_declared_user_is_shown_and_changed_in_its_file_alone(data: Path) -> None:
    """Lost otherwise: the command says 'done', and the file wins at the next start."""
    made = run(data, "hash", "--password-stdin", told="correct horse\n")
    assert made.exit_code == 0
    assert run(data, "hash", "--password-stdin", told="short\n").exit_code == 1
    file = data / "policies" / "people.yaml"
    file.write_text(
        f"users:\n  - name: dana\n    password_hash: '{made.stdout.strip()}'\n    addresses: [dana@example.com]\n"
        "    role: auditor\n"
    )
    for arguments in (
        ("add", "dana", "--address", "x@example.com", "--password-stdin"),
        ("password", "dana", "--password-stdin"),
        ("addresses", "dana", "--address", "x@example.com"),
        ("disable", "dana"),
        ("enable", "dana"),
        ("remove", "dana"),
    ):
        done = run(data, *arguments, told="another horse\n")
        assert (done.exit_code, done.stdout) == (1, "")
        assert f"the user dana is declared in {file}:2, and is changed there alone" in done.stderr
    run(data, "add", "alice", "--address", "alice@example.com", "--password-stdin", told="correct horse\n")
    alice, dana = json.loads(run(data, "list", "--json").stdout)
    assert (alice["name"], alice["declared"], alice["role"]) == ("alice", None, "user")
    assert (dana["declared"], dana["role"], dana["addresses"]) == (f"{file}:2", "auditor", ["dana@example.com"])
    assert "argon2" not in str(dana)
    assert "auditor" in run(data, "list").stdout


def test_a_key_and_its_hash_are_made_together(data: Path) -> None:
    """Lost otherwise: an admin makes hashes by hand, of keys that can be guessed."""
    made = json.loads(run(data, "key", "--json").stdout)
    assert made["key_hash"] == f"sha256:{digest_of(made['key'])}"
    told = run(data, "key").stdout.splitlines()
    (data / "policies" / "keys.yaml").write_text(f"api_keys:\n  - name: shop\n    {told[-1]}\n")
    assert load_policies(data / "policies").api_keys["shop"].digest == digest_of(told[0])
