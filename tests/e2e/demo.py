"""``make demo``: one fax the whole way on this machine, shown as it happens.

Starts the relay on its embedded default, sends a real mail (a two-page PDF) over SMTP with swaks to one of the
relay's own numbers, follows the fax, and leaves the receipt that the sender gets and the PDF that came over the wire
in ``demo-output/``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from relay import control
from relay.cli.fax import event_line, timeline

if TYPE_CHECKING:
    from email.message import EmailMessage

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "documents" / "two-pages.pdf"
OUTPUT = Path.cwd() / "demo-output"
DATA = OUTPUT / "data"
SENDER, RECIPIENT = "user@example.com", "037654321@fax.example.com"
ENVIRONMENT = {**os.environ, "FAXRELAY_DATA": str(DATA)}
RELAY = [sys.executable, "-P", "-m", "relay"]
#: Ports that leave the default's own to a relay that may be running.
CONFIG = "smtp:\n  listeners:\n    - port: 0\nweb:\n  port: 0\nlog:\n  level: warning\n"


def main() -> int:
    """Run the demo; return the exit status."""
    console = Console(highlight=False)
    shutil.rmtree(OUTPUT, ignore_errors=True)
    DATA.mkdir(parents=True)
    config = OUTPUT / "faxrelay.yaml"
    config.write_text(CONFIG)
    with (OUTPUT / "relay.log").open("wb") as log:
        service = subprocess.Popen([*RELAY, "--config", config, "serve"], env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        host, port = started(service)
        console.print(f"[bold]faxrelay is up[/] with the simulated telephone network; SMTP on {host}:{port}")
        send(host, port)
        console.print(f"[bold]mail sent[/] from {SENDER} to {RECIPIENT} with {DOCUMENT.name}\n")
        sent, received = follow(console)
        receipt = save(console, "receipt.pdf", SENDER)
        delivered = save(console, "received.pdf", "bob@example.com")
        console.print("\n[bold]the timeline of the fax[/]")
        timeline(sent)
        timeline(received)
    finally:
        service.send_signal(signal.SIGTERM)
        service.wait(20)
    console.print(f"\nreceipt: {receipt}", soft_wrap=True)
    console.print(f"received: {delivered}", soft_wrap=True)
    return 0


def started(service: subprocess.Popen[bytes]) -> tuple[str, int]:
    """Wait until the relay listens and return its SMTP address."""
    ready = DATA / "ready.json"
    for _ in range(600):
        if ready.exists():
            host, port = json.loads(ready.read_text())["smtp"][0]
            return host, port
        if service.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"the relay did not start:\n{(OUTPUT / 'relay.log').read_text()}")


def send(host: str, port: int) -> None:
    """Send the mail as any mail program would."""
    command = ["swaks", "--server", host, "--port", str(port), "--from", SENDER, "--to", RECIPIENT]
    command += [
        "--header",
        "Subject: Offer 4711",
        "--body",
        "Please find our offer attached.",
        "--attach-type",
        "application/pdf",
    ]
    command += ["--attach-name", DOCUMENT.name, "--attach", f"@{DOCUMENT}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the mail was not taken:\n{done.stdout}{done.stderr}")


def follow(console: Console) -> tuple[dict[str, Any], dict[str, Any]]:
    """Show both faxes' events as they come until both have ended; return the sent and the received one."""
    shown: dict[str, int] = {}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        faxes = [ask("fax_show", fax_id=int(fax["id"])) for fax in reversed(ask("fax_list"))]
        for fax in faxes:
            arrow = "→" if fax["direction"] == "outbound" else "←"
            for event in fax["history"][shown.get(fax["id"], 0) :]:
                console.print(f"  {event['at'][11:23]} {arrow} {event_line(event, fax['pages'])}")
            shown[fax["id"]] = len(fax["history"])
        ended = {fax["direction"]: fax for fax in faxes if fax["state"] in {"sent", "delivered"}}
        mailed = all(post["state"] == "done" for fax in faxes for post in fax["deliveries"])
        if len(ended) == 2 and mailed and ended["outbound"]["deliveries"]:
            return ended["outbound"], ended["inbound"]
        if any(fax["state"] in {"failed", "uncertain", "undeliverable"} for fax in faxes):
            break
        time.sleep(0.1)
    sys.exit(f"the fax did not arrive; see {OUTPUT / 'relay.log'}")


def ask(operation: str, **arguments: Any) -> Any:
    """Ask the relay as its command line does."""
    return asyncio.run(control.ask(DATA / "control.sock", operation, **arguments))


def save(console: Console, name: str, address: str) -> Path:
    """Save the PDF of the mail to ``address``; return its path."""
    for path in (DATA / "mail" / "new").iterdir():
        mail: EmailMessage = message_from_bytes(path.read_bytes(), policy=policy.default)
        if address in str(mail["To"]):
            for part in mail.iter_attachments():
                if part.get_content_type() == "application/pdf":
                    (OUTPUT / name).write_bytes(part.get_content())
                    console.print(f"[bold]mail[/] to {address}: {mail['Subject']}")
                    return OUTPUT / name
    sys.exit(f"there is no PDF for {address}")


if __name__ == "__main__":
    sys.exit(main())
