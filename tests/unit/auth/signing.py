"""Keys and signatures for tests, made by openssl and dkimpy: what a real signer would send."""

from __future__ import annotations

import base64
import functools
import subprocess
from typing import Any

import dkim
import nacl.signing

from relay.auth.resolver import Kind
from relay.auth.testing import ZoneResolver

#: The time of the tests, seconds since 1970. dkimpy writes the machine's own time into t=, so it has to be near.
NAMES = [b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"]

MESSAGE = (
    b"From: Alice Miller <alice@good.example>\r\n"
    b"To: fax@relay.example\r\n"
    b"Subject: An  offer\r\n"
    b"Date: Fri, 20 Nov 2026 10:00:00 +0100\r\n"
    b"Message-ID: <1@good.example>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"Dear  Sir, \r\n\r\nthe price is 100.\r\n\r\n\r\n"
)


@functools.cache
def rsa_key(bits: int = 2048, which: int = 0) -> tuple[bytes, str]:
    """A private key (PEM) and the p= of its record; ``which`` tells keys of one size apart."""
    del which
    made = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], check=True, capture_output=True).stdout
    public = subprocess.run(
        ["openssl", "rsa", "-pubout", "-outform", "DER"], input=made, check=True, capture_output=True
    ).stdout
    return made, base64.b64encode(public).decode()


@functools.cache
def ed25519_key() -> tuple[bytes, str]:
    """A private key (base64 of the seed) and the p= of its record."""
    key = nacl.signing.SigningKey(bytes(range(32)))
    return base64.b64encode(bytes(key)), base64.b64encode(bytes(key.verify_key)).decode()


def rsa_record(bits: int = 2048, which: int = 0, **tags: str) -> str:
    """The TXT record of a key."""
    extra = "".join(f"; {name}={value}" for name, value in tags.items())
    return f"v=DKIM1; k=rsa{extra}; p={rsa_key(bits, which)[1]}"


def ed25519_record() -> str:
    """The TXT record of the Ed25519 key."""
    return f"v=DKIM1; k=ed25519; p={ed25519_key()[1]}"


def signed(message: bytes = MESSAGE, domain: str = "good.example", selector: str = "s1", **options: Any) -> bytes:
    """The message with one more signature on top. ``which``, ``bits``, ``ed25519`` choose the key."""
    algorithm = b"rsa-sha256"
    private = rsa_key(options.pop("bits", 2048), options.pop("which", 0))[0]
    if options.pop("ed25519", False):
        algorithm, private = b"ed25519-sha256", ed25519_key()[0]
    options.setdefault("include_headers", [name for name in NAMES if name + b":" in message.lower()])
    signature = dkim.sign(
        message, selector.encode(), domain.encode(), private, signature_algorithm=algorithm, **options
    )
    return bytes(signature) + message


def zone_with_key(domain: str = "good.example", selector: str = "s1", record: str | None = None) -> ZoneResolver:
    """A zone with the key that :func:`signed` uses."""
    return ZoneResolver({f"{selector}._domainkey.{domain}": {Kind.TXT: [record or rsa_record()]}})
