"""faxrelay.yaml: read once, every mistake told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.errors import SettingsError
from relay.settings import load, secret

MAILBOX = "mailboxes:\n  - name: box\n    host: imap.example.com\n    user: fax@example.com\n"


def written(tmp_path: Path, text: str) -> Path:
    """Return a settings file."""
    file = tmp_path / "faxrelay.yaml"
    file.write_text(text)
    return file


def test_with_no_file_the_embedded_default_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lost otherwise: a newcomer's first `faxrelay serve` asks for a configuration."""
    monkeypatch.chdir(tmp_path)
    settings = load(environment={})
    listener = settings.smtp.listeners[0]
    assert (listener.address, listener.port) == ("127.0.0.1", 8025)
    assert settings.data == tmp_path / "faxrelay-data"
    assert settings.database_url == f"sqlite:///{tmp_path / 'faxrelay-data' / 'faxrelay.db'}"
    assert load(environment={"FAXRELAY_DATA": "/srv/fax"}).data == Path("/srv/fax")


def test_paths_count_from_the_file(tmp_path: Path) -> None:
    """Lost otherwise: a service started from another folder opens another, empty database."""
    assert load(written(tmp_path, "data: here\n"), {}).data == tmp_path / "here"


def test_paths_of_a_mailbox_count_from_the_file(tmp_path: Path) -> None:
    """Lost otherwise: the authority of a mail server is looked for in whatever folder the service was started from."""
    file = written(tmp_path, MAILBOX + "    password: env:P\n    ca: server.pem\n")
    assert load(file, {}).mailboxes[0].ca == tmp_path / "server.pem"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("smtp:\n  hostnam: x\n", ":2:3: smtp.hostnam: extra inputs are not permitted"),
        (
            "smtp:\n  listeners:\n    - port: 99999\n",
            ":3:13: smtp.listeners.0.port: input should be less than or equal to 65535",
        ),
        ("data: [\n", ":2:1: "),
        ("data: x\ndata: y\n", ":2:1: "),
        ("smtp:\n  listeners:\n    - address: 0.0.0.0\n", "takes senders without proof from other machines"),
        ("smtp:\n  listeners:\n    - protocol: lmtp\n", "takes senders without proof from other machines"),
        ("smtp:\n  listeners:\n    - path: fax.sock\n", "fax.sock takes senders without proof"),
        ("smtp:\n  listeners:\n    - tls: starttls\n", "speaks TLS without a certificate"),
        ("smtp:\n  listeners:\n    - certificate: a.pem\n", "has a certificate and speaks no TLS"),
        (
            "smtp:\n  listeners:\n    - {address: 0.0.0.0, proofs: [network], auth: true}\n",
            "would take passwords in the clear",
        ),
        (MAILBOX + "    tls: none\n    password: env:P\n", "would send the password in the clear"),
        (MAILBOX, "give password or oauth, one of them"),
        (MAILBOX + "    password: env:P\n    rejected: INBOX\n", "must be other folders"),
        (MAILBOX + "    password: env:P\n    recipient: subject\n", "domain belongs to recipient: subject"),
        (MAILBOX + "    oauth: {token_endpoint: http://id.example/t, client_id: a}\n", "has to begin with https://"),
        (MAILBOX + "    password: env:P\n" + MAILBOX[11:] + "    password: env:P\n", "the name box stands twice"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """Lost otherwise: an admin searches the whole file for one letter, or opens the relay to the world."""
    with pytest.raises(SettingsError) as error:
        load(written(tmp_path, text), {})
    assert told in str(error.value)


def test_a_secret_is_a_reference(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lost otherwise: passwords stand in a file that is copied into tickets."""
    monkeypatch.setenv("SMARTHOST_PASSWORD", "hunter2")
    (tmp_path / "password").write_text("from a file\n")
    assert secret("env:SMARTHOST_PASSWORD") == "hunter2"
    assert secret(f"file:{tmp_path / 'password'}") == "from a file"
    with pytest.raises(SettingsError, match="never the value itself"):
        secret("hunter2")
