"""The token of ``sfax``: who calls and when, encrypted with a secret that both sides know.

Plaintext: ``Username=USER&ApiKey=KEY&GenDT=TIME&``, UTF-8, the time as ``2015-03-06T23:59:04Z``. AES in CBC mode
(NIST SP 800-38A), PKCS #7 padding (RFC 5652 section 6.3); the key is the secret's own 16, 24 or 32 ASCII characters.
The IV is the endpoint's ``iv`` where it has one, and then is no part of the token. Without one it is the first 16
bytes of HMAC-SHA256 (key: the secret) over the plaintext, and stands before the ciphertext: it differs for each token,
and proves that nobody changed it. All of that as base64 (RFC 4648 section 4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from relay.callbacks.dialects import writing
from relay.callbacks.endpoint import Unfit

_BLOCK: Final = 16
_SIZES: Final = frozenset({16, 24, 32})


class BadToken(ValueError):
    """A token that this secret did not make."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who calls: the master API user, its key, and when, in seconds since 1970."""

    user: str
    api_key: str
    at: int


def check(secret: str, iv: str) -> None:
    """Raise :class:`Unfit` where they cannot make a token; the text holds nothing of the secret."""
    if not secret.isascii() or len(secret) not in _SIZES:
        raise Unfit("secrets", "the secret of this dialect has 16, 24 or 32 ASCII characters")
    if iv and (not iv.isascii() or len(iv) != _BLOCK):
        raise Unfit("iv", "it has 16 ASCII characters")


def encrypt(claim: Claim, secret: str, iv: str = "") -> str:
    """Return the token of a claim."""
    key = secret.encode()
    plain = f"Username={claim.user}&ApiKey={claim.api_key}&GenDT={writing.iso_seconds(claim.at)}&".encode()
    start = iv.encode() or _own_iv(key, plain)
    padder = PKCS7(8 * _BLOCK).padder()
    encryptor = Cipher(AES(key), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    return base64.b64encode(sealed if iv else start + sealed).decode()


def decrypt(token: str, secret: str, iv: str = "") -> Claim:
    """Return what a token says; raises :class:`BadToken`. Whether its time is near enough, its reader says."""
    key = secret.encode()
    try:
        raw = base64.b64decode(token, validate=True)
        start, sealed = (iv.encode(), raw) if iv else (raw[:_BLOCK], raw[_BLOCK:])
        decryptor = Cipher(AES(key), CBC(start)).decryptor()
        unpadder = PKCS7(8 * _BLOCK).unpadder()
        plain = unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
        fields = dict(part.split("=", 1) for part in plain.decode().split("&") if part)
        at = datetime.strptime(fields["GenDT"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        claim = Claim(fields["Username"], fields["ApiKey"], int(at.timestamp()))
    except (binascii.Error, ValueError, KeyError) as fault:
        raise BadToken("the token was not made with this secret") from fault
    if not iv and not hmac.compare_digest(start, _own_iv(key, plain)):
        raise BadToken("the token was changed on its way")
    return claim


def _own_iv(key: bytes, plain: bytes) -> bytes:
    return hmac.new(key, plain, hashlib.sha256).digest()[:_BLOCK]
