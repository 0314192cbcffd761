"""Mail acceptance beside Postfix: messages per second with 20 sessions, both durable, in turn on the same disk.

The load is Postfix's own ``smtp-source`` with a real mail: multipart, a one-page PDF of 4 KB, 100 KB or 1 MB. Postfix
queues and discards; the relay parses the mail in a confined child, asks the policy, keeps the document and commits
its rows before each 250, in :data:`PROCESSES` accepting processes. For the ``signed`` rows the mail has a DKIM
signature (RSA of 2048 bits), which the relay verifies, with SPF and DMARC, against a name server of the bench's own;
Postfix only queues. The ``slow disk`` rows add 5 ms to each fsync and fdatasync of both (strace's injection), since a
fast disk flatters.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dkim
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench.table import Row, line
from tests.postfix import postfix

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 20
#: Accepting processes of the relay: one for each of the machine's two processors.
PROCESSES = 2
RECIPIENT = "+97237654321@fax.example.com"
SLOW = ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]
SLOW += ["-e", "inject=fsync,fdatasync:delay_exit=5000"]
POLICY = """\
domains:
  - name: fax.example.com
numbers:
  - number: "+97231234567"
    deliver_to: [alice@example.com]
    senders: [{match: "@example.com", proof: PROOF}]
"""
SETTINGS = """\
data: data
smtp:
  listeners: [{port: 0, proofs: [PROOF]}]
  processes: PROCESSES
  nameservers: [SERVERS]
web: {port: 0}
log: {level: error}
"""


def pdf(size: int) -> bytes:
    """Return a one-page PDF of about ``size`` bytes: a line of text and an image of noise that does not compress."""
    noise = bytes((index * 2654435761 >> 13) & 0xFF for index in range(max(size - 900, 64)))
    content = b"BT /F1 12 Tf 72 760 Td (Offer 4711) Tj ET q 200 0 0 200 72 400 cm /I Do Q"
    resources = b"<</Font<</F1 5 0 R>>/XObject<</I 6 0 R>>>>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources%s>>" % resources,
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Type/XObject/Subtype/Image/Width %d/Height 1/ColorSpace/DeviceGray/BitsPerComponent 8/Length %d>>"
        b"stream\n%s\nendstream" % (len(noise), len(noise), noise),
    ]
    whole, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<</Size 7/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(whole)
    return whole + b"xref\n0 7\n0000000000 65535 f \n" + table + end


def mail(size: int) -> str:
    """Return a mail of about ``size`` bytes without a Message-ID: each copy is a mail of its own."""
    document = base64.encodebytes(pdf(int(size * 0.73) - 400)).decode()
    return (
        f"From: user@example.com\nTo: {RECIPIENT}\nSubject: Offer 4711\nMIME-Version: 1.0\n"
        'Content-Type: multipart/mixed; boundary="b"\n\n--b\n'
        "Content-Type: text/plain\n\nPlease find the offer attached.\n"
        '--b\nContent-Type: application/pdf\nContent-Disposition: attachment; filename="offer.pdf"\n'
        f"Content-Transfer-Encoding: base64\n\n{document}\n--b--\n"
    )


@contextmanager
def relay(*, slow: bool, processes: int = PROCESSES, name_server: str = "") -> Iterator[tuple[str, int]]:
    """Run the relay's door alone (the stages behind it belong to other nodes) and give its address."""
    folder = Path(tempfile.mkdtemp(prefix="fr-bench-"))
    proof = "dmarc" if name_server else "none"
    written = SETTINGS
    for name, value in {"PROCESSES": str(processes), "PROOF": proof, "SERVERS": name_server}.items():
        written = written.replace(name, value)
    (folder / "data" / "policies").mkdir(parents=True)
    (folder / "data" / "policies" / "bench.yaml").write_text(POLICY.replace("PROOF", proof))
    (folder / "faxrelay.yaml").write_text(written)
    command = [
        sys.executable,
        "-P",
        "-m",
        "relay",
        "--config",
        str(folder / "faxrelay.yaml"),
        "serve",
        "--roles",
        "smtp",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*(SLOW if slow else []), *command], stdout=log, stderr=log)
    try:
        ready = folder / "data" / "ready.json"
        for _ in range(300):
            if ready.exists():
                break
            time.sleep(0.1)
        else:
            raise SystemExit((folder / "log").read_text())
        found = json.loads(ready.read_text())
        yield "127.0.0.1", found["smtp"][0][1]
        subprocess.run(["kill", "-TERM", str(found["pid"])], check=False)
        process.wait(30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def rate(address: tuple[str, int], message: Path, count: int) -> float:
    """Return messages per second of ``count`` mails in 20 sessions; every one must be taken."""
    host, port = address
    command = ["smtp-source", "-s", str(SESSIONS), "-m", str(count), "-f", "user@example.com", "-t", RECIPIENT]
    started = time.perf_counter()
    done = subprocess.run([*command, "-F", str(message), f"{host}:{port}"], capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"smtp-source: {done.stderr}")
    return count / seconds


def signed(message: str, key: rsa.RSAPrivateKey) -> str:
    """Return a mail with a DKIM signature of example.com."""
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    raw = message.replace("\n", "\r\n").encode()
    header: bytes = dkim.sign(raw, b"s1", b"example.com", pem, canonicalize=(b"relaxed", b"relaxed"))
    return header.decode().replace("\r\n", "\n") + message


@contextmanager
def name_server(key: rsa.RSAPrivateKey) -> Iterator[str]:
    """Answer for example.com on the loopback, and give the address."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    encoded = base64.b64encode(public).decode()
    zone = {
        "s1._domainkey.example.com.": f'"v=DKIM1; k=rsa; p={encoded[:200]}" "{encoded[200:]}"',
        "_dmarc.example.com.": '"v=DMARC1; p=reject"',
    }
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                wire, client = server.recvfrom(4096)
                question = dns.message.from_wire(wire)
                response = dns.message.make_response(question)
                asked = question.question[0]
                found = zone.get(asked.name.to_text().lower())
                if found and asked.rdtype == dns.rdatatype.TXT:
                    response.answer.append(dns.rrset.from_text(asked.name, 300, "IN", "TXT", found))
                elif not found:
                    response.set_rcode(dns.rcode.NXDOMAIN)
                server.sendto(response.to_wire(), client)

    threading.Thread(target=serve, daemon=True).start()
    yield f"127.0.0.1:{server.getsockname()[1]}"
    server.close()


def rows(counts: dict[int, int], rounds: int) -> list[Row]:
    """Return the medians of each, and of the rounds' ratios."""
    key = rsa.generate_private_key(65537, 2048)
    found: list[Row] = []
    with name_server(key) as server:
        for slow, proven in ((False, False), (False, True), (True, False)):
            sizes = {SIGNED: counts[SIGNED]} if proven else counts
            with (
                postfix(around=SLOW if slow else None) as theirs,
                relay(slow=slow, name_server=server if proven else "") as ours,
            ):
                for size, count in sizes.items():
                    message = signed(mail(size), key) if proven else mail(size)
                    told = f"mail of {size // 1024} KB{', signed' * proven}, {SESSIONS} sessions"
                    if slow:
                        told += ", each sync 5 ms slower"
                    found.append(_row(f"{told}: accepted a second", message, ours, theirs, count, rounds))
    return found


def _row(told: str, message: str, ours: tuple[str, int], theirs: tuple[str, int], count: int, rounds: int) -> Row:
    with tempfile.NamedTemporaryFile("w", suffix=".eml") as file:
        file.write(message)
        file.flush()
        for address in (ours, theirs):
            rate(address, Path(file.name), count)  # warm: Postfix starts its processes as they are needed
        pairs = [(rate(ours, Path(file.name), count), rate(theirs, Path(file.name), count)) for _ in range(rounds)]
    ours_rate, theirs_rate = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(one / other for one, other in pairs)
    return Row(told, f"{ours_rate:.0f}", f"Postfix {theirs_rate:.0f}", f"{ratio:.2f}")


#: Mails a round, by their size.
COUNTS = {4 * 1024: 1500, 100 * 1024: 900, 1024 * 1024: 100}
#: The size that is measured with a signature, too.
SIGNED = 100 * 1024

if __name__ == "__main__":
    for row in rows(COUNTS, rounds=3):
        print(line(row))
