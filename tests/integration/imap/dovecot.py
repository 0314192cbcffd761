"""A Dovecot of our own: Debian's, with a configuration in a folder of the test, on loopback ports that it picks."""

from __future__ import annotations

import contextlib
import imaplib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
first_valid_uid = 0
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
disable_plaintext_auth = no
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.key
mail_location = maildir:{folder}/mail/%u
mail_plugins = quota
protocol imap {{
  mail_plugins = quota imap_quota
}}
imap_idle_notify_interval = 2s
namespace inbox {{
  inbox = yes
  separator = /
}}
namespace full {{
  prefix = Full/
  separator = /
  location = maildir:{folder}/full/%u
}}
plugin {{
  quota = count:User
  quota2 = count:Full:ns=Full/
  quota2_rule = *:storage=1K
  quota_vsizes = yes
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
{passdb}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u allow_all_users=yes
}}
"""
OAUTH = """\
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2
}}
"""

PASSWORD = 'correct "horse" \\battery'


@dataclass
class Dovecot:
    """One server. ``introspection``: a URL that knows access tokens."""

    folder: Path
    introspection: str = ""
    port: int = 0
    tls_port: int = 0
    process: subprocess.Popen[bytes] | None = None
    users: list[str] = field(default_factory=lambda: ["fax", "second"])

    def prepare(self) -> None:
        """Write its configuration."""
        self.folder.mkdir(exist_ok=True)
        self.port, self.tls_port = free_port(), free_port()
        root = os.geteuid() == 0
        uid, gid = (65534, 65534) if root else (os.getuid(), os.getgid())
        own = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
        group = subprocess.run(["id", "-gn"], capture_output=True, text=True, check=True).stdout.strip()
        for name in ("mail", "full", "run", "state"):
            (self.folder / name).mkdir(exist_ok=True)
        if root:
            for name in ("mail", "full"):
                os.chown(self.folder / name, uid, gid)
        certificate(self.folder)
        (self.folder / "users").write_text("".join(f"{user}:{{PLAIN}}{PASSWORD}\n" for user in self.users))
        if self.introspection:
            (self.folder / "oauth2").write_text(
                f"introspection_url = {self.introspection}\nintrospection_mode = post\n"
                "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
            )
        (self.folder / "dovecot.conf").write_text(
            CONFIG.format(
                folder=self.folder, port=self.port, tls_port=self.tls_port, uid=uid, gid=gid,
                internal="dovecot" if root else own, internal_group="dovecot" if root else group,
                login="dovenull" if root else own,
                passdb=OAUTH.format(folder=self.folder) if self.introspection else "",
            )
        )  # fmt: skip

    def start(self) -> None:
        """Start it and wait until it greets."""
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [shutil.which("dovecot") or "/usr/sbin/dovecot", "-F", "-c", self.folder / "dovecot.conf"],
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.settimeout(5)
                if probe.recv(100).startswith(b"* OK"):
                    return
            time.sleep(0.05)
        raise RuntimeError("Dovecot did not start:\n" + self.logged()[-3000:])

    def stop(self) -> None:
        """End it as an administrator would: whoever is in IDLE hears BYE."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def kill(self) -> None:
        """End it and all its children at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
            self.process = None
            (self.folder / "run" / "master.pid").unlink(missing_ok=True)

    def logged(self) -> str:
        """Return what it wrote."""
        files = (self.folder / "out", self.folder / "log")
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    @contextlib.contextmanager
    def client(self, user: str = "fax", folder: str = "INBOX") -> Iterator[imaplib.IMAP4]:
        """Give a mail program's connection, as a person would use beside the poller."""
        client = imaplib.IMAP4("127.0.0.1", self.port)
        try:
            client.login(user, PASSWORD)
            client.select(folder)
            yield client
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    def put(self, *messages: bytes, user: str = "fax", folder: str = "INBOX") -> None:
        """Deliver messages."""
        with self.client(user) as client:
            for message in messages:
                kind, told = client.append(folder, "", "", message)
                assert kind == "OK", told

    def count(self, folder: str, user: str = "fax") -> int:
        """Return how many messages a folder holds that are not deleted; 0 for none such."""
        with self.client(user) as client:
            kind, _ = client.select(f'"{folder}"', readonly=True)
            if kind != "OK":
                return 0
            _, found = client.search(None, "UNDELETED")
            return len(found[0].split())


def certificate(folder: Path) -> None:
    """Make a certificate for localhost that is its own authority."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "server.key", "-out", folder / "server.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
