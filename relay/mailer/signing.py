"""DKIM signatures on our own mail (RFC 6376, RFC 8301, RFC 8463), made by dkimpy over the bytes that go out.

Relaxed canonical forms, for servers on the way fold header lines anew. Every field that may stand once is signed once
more than it stands there, so that nobody can add a second one (RFC 6376 section 8.15). With several keys, each signs:
a receiver that does not know Ed25519 takes the RSA signature (RFC 8463 section 6).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import dkim
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from relay import settings as configuration
from relay.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What is signed, and signed as absent where it is absent.
_ONCE: Final = (
    "from", "to", "cc", "reply-to", "sender", "subject", "date", "message-id", "in-reply-to", "references",
    "mime-version", "content-type", "auto-submitted",
)  # fmt: skip
#: Signed where it stands; a server on the way may add it where it does not.
_ENCODING: Final = b"content-transfer-encoding"
_SHORTEST_RSA: Final = 2048  # RFC 8301 section 3.2: what signers should use
_SEED: Final = 32


@dataclass(frozen=True, slots=True)
class Key:
    """One private key, as dkimpy wants it: an RSA key as PEM, an Ed25519 seed as base64."""

    domain: bytes
    selector: bytes
    algorithm: bytes
    material: bytes


class Signer:
    """Signs mails. Raises :class:`relay.errors.SettingsError` where a key cannot be read or is not fit to sign."""

    def __init__(self, keys: Sequence[configuration.Dkim]) -> None:
        self._keys = tuple(_read(key) for key in keys)

    def __call__(self, message: bytes) -> bytes:
        """Return a message with its signatures on top. Its lines end with CRLF."""
        present = {line.partition(b":")[0].lower() for line in message.partition(b"\r\n\r\n")[0].split(b"\r\n")}
        names = [name.encode() for name in _ONCE]
        names = [name for name in (*names, _ENCODING) if name in present] + names
        made = [
            dkim.sign(
                message, key.selector, key.domain, key.material, canonicalize=(b"relaxed", b"relaxed"),
                signature_algorithm=key.algorithm, include_headers=names,
            )
            for key in self._keys
        ]  # fmt: skip
        return b"".join(made) + message


def _read(key: configuration.Dkim) -> Key:
    where = f"mail.dkim: the key of {key.selector}._domainkey.{key.domain}"
    text = configuration.secret(key.key)
    try:
        private = load_pem_private_key(text.encode(), None) if "-----BEGIN" in text else _seed(text)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):  # their words may hold parts of the key
        raise SettingsError(
            f"{where} cannot be read; name a PEM file of an RSA or Ed25519 key without a passphrase"
        ) from None
    if isinstance(private, RSAPrivateKey):
        if private.key_size < _SHORTEST_RSA:
            raise SettingsError(f"{where} has {private.key_size} bits; make one of {_SHORTEST_RSA} bits or Ed25519")
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        return Key(key.domain.encode(), key.selector.encode(), b"rsa-sha256", pem)
    if isinstance(private, Ed25519PrivateKey):
        seed = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return Key(key.domain.encode(), key.selector.encode(), b"ed25519-sha256", base64.b64encode(seed))
    raise SettingsError(f"{where} is neither RSA nor Ed25519, which DKIM signs with")


def _seed(text: str) -> Ed25519PrivateKey:
    """Return an Ed25519 key written as the base64 of its seed, as DKIM tools write it."""
    seed = base64.b64decode(text, validate=True)
    if len(seed) != _SEED:
        raise ValueError("no Ed25519 seed")
    return Ed25519PrivateKey.from_private_bytes(seed)
