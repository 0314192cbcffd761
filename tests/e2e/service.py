"""A relay of our own for a test, a demo or a soak: started as its users start it, on ports that the system picks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from relay import control

OFFICE_A = "+97231234567"
OFFICE_B = "+97237654321"
DOCUMENTS = Path(__file__).parents[1] / "data" / "documents"

POLICY = """\
domains:
  - name: fax.example.com
    default_region: IL
numbers:
  - number: "{a}"
    deliver_to: [alice@example.com]
    senders:
      - match: "@example.com"
        proof: none
  - number: "{b}"
    deliver_to: [bob@example.com]
{retries}
"""

#: Delays that a test can wait for.
QUICK_RETRIES = "retries:\n  delay: 1s"


class Relay:
    """One service with its folder.

    ``exchange``: the socket of a simulated network that runs outside; ``behaviours``: YAML lines of its numbers.
    ``policy``: the text of its policy file in place of the usual one; ``lines``: the section of its settings;
    ``processes``: those that accept mail, 0 for main itself. ``base_url``: how people reach its pages; ``mail``: lines
    of that section of its settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        exchange: Path | None = None,
        behaviours: str = "",
        retries: str = QUICK_RETRIES,
        policy: str = "",
        lines: str = "",
        processes: int = 0,
        base_url: str = "",
        mail: str = "",
    ) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "faxrelay.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self.smtp: tuple[str, int] = ("", 0)
        self.web: tuple[str, int] = ("", 0)
        policies = self.data / "policies"
        policies.mkdir(parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (policies / "test.yaml").write_text(policy or POLICY.format(a=OFFICE_A, b=OFFICE_B, retries=retries))
        network = f"    exchange: {exchange}\n" if exchange else ""
        table = f"    behaviours:\n{behaviours}" if behaviours else ""
        simulated = f"lines:\n  simulated:\n{network}{table}" if network or table else ""
        self.config.write_text(
            f"data: data\nsmtp:\n  listeners:\n    - port: 0\n  processes: {processes}\nweb:\n  port: 0\n"
            + (f"  base_url: {base_url}\n" if base_url else "")
            + (f"mail:\n{mail}" if mail else "")
            # Most of these relays never see an Office document.
            + "log:\n  format: json\n  full_numbers: true\ndocuments:\n  office_spares: 0\n"
            + (lines or simulated)
        )

    def start(self, *around: str) -> None:
        """Start the service and wait until it listens; raises :class:`RuntimeError` with its log if it does not.

        ``around``: a command that runs it (strace and its options).
        """
        ready = self.data / "ready.json"
        ready.unlink(missing_ok=True)
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(
            [*around, sys.executable, "-P", "-m", "relay", "--config", self.config, "serve"],
            stdout=log, stderr=log, cwd=self.folder, env=self.environment(),
        )  # fmt: skip
        log.close()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            if ready.exists():
                found = json.loads(ready.read_text())
                self.pid = found["pid"]
                self.smtp = tuple(found["smtp"][0])
                self.web = tuple(found["web"] or ("", 0))
                return
            time.sleep(0.02)
        raise RuntimeError("the service did not start:\n" + (self.folder / "log").read_text()[-4000:])

    def environment(self) -> dict[str, str]:
        """Return the environment of the service and of its commands."""
        return {key: value for key, value in os.environ.items() if not key.startswith("FAXRELAY_")}

    def stop(self) -> int:
        """Ask the service to end and return its exit status."""
        if self.process is None:
            return 0
        os.kill(self.pid, signal.SIGTERM)
        status = self.process.wait(30)
        self.process = None
        return status

    def kill(self) -> None:
        """End main at once, as a power failure or an out-of-memory kill would."""
        if self.process is not None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``faxrelay ARGUMENTS`` against this relay."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "relay", "--config", self.config, *arguments],
            capture_output=True, text=True, check=False, cwd=self.folder, env=self.environment(), timeout=60,
        )  # fmt: skip

    def ask(self, *arguments: str) -> Any:
        """Run a command with ``--json`` and return its answer."""
        done = self.command(*arguments, "--json")
        if done.returncode != 0:
            raise RuntimeError(f"faxrelay {' '.join(arguments)}: {done.stderr}")
        return json.loads(done.stdout)

    def pixels(self, blob: str) -> list[bytes]:
        """Return each page's bitmap of a fax TIFF among the blobs, drawn by a program that is not ours."""
        with Image.open(self.data / "blobs" / blob[:2] / blob) as image:
            return [f"{page.size}".encode() + page.convert("1").tobytes() for page in ImageSequence.Iterator(image)]

    def mail(
        self,
        *recipients: str,
        message_id: str | None = None,
        document: Path = DOCUMENTS / "one-page.pdf",
        copies: int = 1,
    ) -> str:
        """Send a mail with a document, attached ``copies`` times, over SMTP; return the server's reply to its data."""
        message = EmailMessage()
        message["From"] = "User <user@example.com>"
        message["To"] = ", ".join(recipients)
        message["Subject"] = "Offer 4711"
        message["Message-ID"] = message_id or f"<{time.time_ns()}@example.com>"
        message.set_content("Please find the document attached.")
        for _ in range(copies):
            message.add_attachment(document.read_bytes(), maintype="application", subtype="pdf", filename=document.name)
        with smtplib.SMTP(*self.smtp, timeout=30) as client:
            client.ehlo("client.example.com")
            client.mail("user@example.com")
            for recipient in recipients:
                code, said = client.rcpt(recipient)
                if code != 250:
                    raise smtplib.SMTPRecipientsRefused({recipient: (code, said)})
            code, said = client.data(message.as_bytes(policy=message.policy.clone(linesep="\r\n")))
            if code != 250:
                raise smtplib.SMTPDataError(code, said)
            return said.decode()

    def wait_for(self, *states: str, count: int = 1, seconds: float = 60) -> list[dict[str, Any]]:
        """Wait until ``count`` faxes are in one of ``states`` and return them, oldest first."""
        deadline = time.monotonic() + seconds
        while True:
            faxes = asyncio.run(control.ask(self.data / "control.sock", "fax_list", limit=10_000))
            found = [fax for fax in reversed(faxes) if fax["state"] in states]
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()[-6000:]
                raise TimeoutError(
                    f"waited for {count} in {states}, there are {[(f['state'], f['reason']) for f in faxes]}\n{log}"
                )
            time.sleep(0.1)

    def until_mailed(self, address: str, count: int = 1, seconds: float = 60) -> list[EmailMessage]:
        """Wait until ``count`` mails to an address went out and return them."""
        deadline = time.monotonic() + seconds
        while len(found := self.mails(address)) < count:
            if time.monotonic() > deadline:
                log = (self.folder / "log").read_text()[-6000:]
                raise TimeoutError(f"waited for {count} mails to {address}, there are {len(found)}\n{log}")
            time.sleep(0.05)
        return found

    def mails(self, address: str | None = None) -> list[EmailMessage]:
        """Return the mails that the relay sent, oldest first; ``address`` keeps those to one recipient."""
        import email
        import email.policy

        paths = sorted((self.data / "mail" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        found = [email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in paths]
        return [mail for mail in found if address is None or address in str(mail["To"])]
