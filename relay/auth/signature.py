"""What DKIM and ARC signatures have in common: tags, key records, body hashes, and the check by the library.

Source: RFC 6376 sections 3.2 to 3.7, RFC 8301 (no SHA-1, no short keys), RFC 8463 (Ed25519), RFC 8616. The library
dkimpy hashes the header and does the arithmetic; it sees only what was understood here first, because it takes
``l=``, SHA-1, keys for other services and the first of several records as they come.

Invariants: pure, no questions asked: keys come as answers that somebody else fetched. Work is linear in the message
and bounded by the limits below, whatever a signature or a key record says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

import dkim
from dkim.crypto import parse_public_key

from relay.auth.domains import BadDomain, domain_of
from relay.auth.resolver import Status, labels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from relay.auth.header import Field, Header
    from relay.auth.resolver import Answer

#: Bytes of a signature's field. The library's search for ``b=`` is cubic in the longest run of white space.
MAX_SIGNATURE: Final = 8192
MAX_BLANK: Final = 100
#: Names in ``h=``: the library looks through the whole header for each.
MAX_NAMES: Final = 200
MIN_RSA: Final = 1024
MAX_RSA: Final = 8192
_MIN_EXPONENT: Final = 3
_MAX_EXPONENT: Final = 2**32
#: Bytes of a key: the library's conversion of numbers is quadratic.
_MAX_KEY: Final = 2048
#: What a signature must sign where it stands in the message. RFC 6376 section 5.4.1 asks for more, and the large
#: providers each leave out something else (To, Content-Type); these all of them sign.
COVERED: Final = ("from", "subject", "date", "x-fax-from")
#: Seconds that a signer's clock may be wrong.
CLOCK_SKEW: Final = 900

#: What the library would say to its logger, the reason says too.
_SILENT: Final = logging.getLogger("relay.auth.dkimpy")
_SILENT.disabled = True

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_NAME = re.compile(r"[!-9;-~]+", re.ASCII)
_SELECTOR = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_BLANKS = re.compile(rb"[ \t\r\n]{%d}" % MAX_BLANK)
_KEYS_OF = {"rsa-sha256": "rsa", "ed25519-sha256": "ed25519"}
_CANONICAL = ("simple", "relaxed")


class DkimResult(Enum):
    """RFC 8601 section 2.7.1. NEUTRAL: it may verify, and does not count all the same."""

    PASS = "pass"  # noqa: S105  a result, not a secret
    FAIL = "fail"
    NEUTRAL = "neutral"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


class Unproven(Exception):
    """A signature that does not pass. ``result`` is never PASS; the text says why."""

    def __init__(self, result: DkimResult, reason: str) -> None:
        super().__init__(reason)
        self.result = result
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """What a signature says of itself, understood and within bounds, not verified yet.

    ``domain`` in its one spelling; ``names`` of the signed fields in lower case; ``body_hash`` empty for an ARC-Seal,
    which signs no body.
    """

    field: Field
    domain: str
    selector: str
    algorithm: str
    header_canon: str
    body_canon: str
    names: tuple[str, ...]
    body_hash: bytes
    signature: str

    @property
    def key_name(self) -> str:
        """Where the key stands in the DNS (TXT)."""
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, slots=True)
class Key:
    """A public key out of its record. ``exact``: for mail of the domain itself; ``testing``: counts for nothing."""

    kind: str
    material: str
    exact: bool
    testing: bool


def permerror(reason: str) -> Unproven:
    """Return what is raised for a signature or key that cannot be used."""
    return Unproven(DkimResult.PERMERROR, reason)


def read_tags(text: str) -> dict[str, str]:
    """Return the tags of a tag=value list (RFC 6376 section 3.2), values trimmed; raise :class:`Unproven`."""
    tags: dict[str, str] = {}
    parts = text.split(";")
    if not parts[-1].strip(" \t"):
        parts.pop()
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip(" \t")
        if not equals or not _TAG.fullmatch(name):
            raise permerror("its tags cannot be read")
        if name in tags:
            raise permerror(f"the tag {name}= stands twice")
        tags[name] = value.strip(" \t")
    return tags


def field_tags(field: Field) -> dict[str, str]:
    """Return the tags of a signature's field; raise :class:`Unproven`."""
    if len(field.raw) > MAX_SIGNATURE or _BLANKS.search(field.raw):
        raise permerror("it is longer than any signature needs to be")
    try:
        return read_tags(field.value.decode("utf-8"))
    except UnicodeDecodeError:
        raise permerror("it is not UTF-8") from None


def read_claim(field: Field, tags: Mapping[str, str], now: float, *, seal: bool = False) -> Claim:
    """Return what the tags of a signature claim; raise :class:`Unproven`. ``now``: seconds since 1970.

    ``seal``: an ARC-Seal, which names neither fields nor a body (RFC 8617 section 4.1.3).
    """
    needed = ("a", "b", "d", "s") if seal else ("a", "b", "bh", "d", "h", "s")
    for name in needed:
        if not tags.get(name):
            raise permerror(f"the tag {name}= is missing")
    algorithm = tags["a"].lower()
    if algorithm not in _KEYS_OF:
        raise permerror("its algorithm is not used any more, or unknown")
    header_canon, _, body_canon = tags.get("c", "simple/simple").lower().partition("/")
    body_canon = body_canon or "simple"
    if header_canon not in _CANONICAL or body_canon not in _CANONICAL:
        raise permerror("its canonicalization is unknown")
    if "dns/txt" not in tags.get("q", "dns/txt").replace(" ", "").split(":"):
        raise permerror("its key is not in the DNS")
    domain, selector = _domain(tags["d"]), _selector(tags["s"])
    _check_times(tags, now)
    names = () if seal else _names(tags["h"])
    body_hash = b"" if seal else decoded(tags["bh"])
    signature = re.sub(r"[ \t]+", "", tags["b"])
    decoded(signature)
    claim = Claim(field, domain, selector, algorithm, header_canon, body_canon, names, body_hash, signature)
    if labels(claim.key_name) is None:
        raise permerror("the name of its key is too long")
    return claim


def decoded(text: str) -> bytes:
    """Return what base64 with blanks stands for; raise :class:`Unproven`."""
    plain = re.sub(r"[ \t]+", "", text)
    try:
        if _BASE64.fullmatch(plain):
            return base64.b64decode(plain, validate=True)
    except binascii.Error:
        pass
    raise permerror("its base64 is damaged")


def _domain(text: str) -> str:
    try:
        return domain_of(text)
    except BadDomain:
        raise permerror("its d= is no domain name") from None


def _selector(text: str) -> str:
    if not all(_SELECTOR.fullmatch(label) for label in text.split(".")):
        raise permerror("its selector is no name")
    return text.lower()


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip(" \t").lower() for name in text.split(":"))
    if len(names) > MAX_NAMES or not all(_NAME.fullmatch(name) for name in names):
        raise permerror("its list of signed fields cannot be read")
    if "from" not in names:
        # RFC 6376 section 5.4.
        raise permerror("it does not sign the From line")
    return names


def _check_times(tags: Mapping[str, str], now: float) -> None:
    times = {name: tags[name] for name in ("t", "x") if name in tags}
    if not all(_NUMBER.fullmatch(text) for text in times.values()):
        raise permerror("its times are no numbers")
    signed, expires = int(times.get("t", "0")), int(times.get("x", "0"))
    if "x" in times and expires < signed:
        raise permerror("it expired before it was made")
    if "x" in times and now > expires + CLOCK_SKEW:
        raise Unproven(DkimResult.FAIL, "it has expired")
    if signed > now + CLOCK_SKEW:
        raise Unproven(DkimResult.NEUTRAL, "it was made in the future")


def read_key(answer: Answer | None, algorithm: str) -> Key:
    """Return the one key that the records hold for the algorithm; raise :class:`Unproven` (RFC 6376 section 3.6.1)."""
    if answer is None or answer.status is Status.TEMPERROR:
        raise Unproven(DkimResult.TEMPERROR, "its key could not be fetched")
    records = [tags for text in answer.records if (tags := _key_tags(text)) is not None]
    if not records:
        raise permerror("there is no key for it")
    if len(records) > 1:
        raise permerror("there is more than one key for it")
    tags = records[0]
    kind = tags.get("k", "rsa").lower()
    if kind != _KEYS_OF[algorithm]:
        raise permerror("its key is of another kind")
    if "sha256" not in _listed(tags.get("h", "sha256")):
        raise permerror("its key is not for SHA-256")
    if not {"*", "email"} & set(_listed(tags.get("s", "*"))):
        raise permerror("its key is not for mail")
    flags = _listed(tags.get("t", ""))
    if not tags["p"]:
        raise permerror("its key was revoked")
    material = re.sub(r"[ \t]+", "", tags["p"])
    _check_strength(kind, decoded(material))
    return Key(kind, material, "s" in flags, "y" in flags)


def _key_tags(text: str) -> dict[str, str] | None:
    try:
        tags = read_tags(text)
    except Unproven:
        return None
    if "p" not in tags or ("v" in tags and (tags["v"] != "DKIM1" or next(iter(tags)) != "v")):
        return None
    return tags


def _listed(text: str) -> list[str]:
    return [part.strip(" \t").lower() for part in text.split(":")]


def _check_strength(kind: str, material: bytes) -> None:
    if kind == "ed25519":
        return
    if len(material) > _MAX_KEY:
        raise permerror("its key is longer than any key needs to be")
    try:
        parsed = parse_public_key(material)
        bits, exponent = int(parsed["modulus"]).bit_length(), int(parsed["publicExponent"])
    except Exception:  # noqa: BLE001  the library meets strangers' bytes: its crash is their fault
        raise permerror("its key cannot be read") from None
    if not MIN_RSA <= bits <= MAX_RSA:
        raise permerror(f"its key has {bits} bits")
    if not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise permerror("its key has an exponent that nobody uses")


class Bodies:
    """The hashes of one body, each canonical form made once."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._digests: dict[str, bytes] = {}

    def digest(self, canon: str) -> bytes:
        """Return SHA-256 of the body in a canonical form (RFC 6376 sections 3.4.3 and 3.4.4)."""
        if canon not in self._digests:
            self._digests[canon] = hashlib.sha256(canonical_body(self._body, canon)).digest()
        return self._digests[canon]


def canonical_body(body: bytes, canon: str) -> bytes:
    """Return a body whose lines all end with CRLF in its ``relaxed`` or ``simple`` form."""
    if canon == "relaxed":
        body = body.replace(b"\t", b" ")
        while b"  " in body:  # halves each run: far faster than a pattern that looks at every byte
            body = body.replace(b"  ", b" ")
        body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ")
    kept = body.rstrip(b"\r\n")
    if not kept:
        return b"" if canon == "relaxed" else b"\r\n"
    return kept + b"\r\n"


def check(claim: Claim, key: Key, fields: Iterable[Field], names: Sequence[str], bodies: Bodies | None) -> None:
    """Return where the signature verifies; raise :class:`Unproven` where it does not.

    ``fields``: those that ``names`` (lower case) choose from, each name the lowest that is left. ``bodies``: None for
    a seal.
    """
    if bodies is not None and bodies.digest(claim.body_canon) != claim.body_hash:
        raise Unproven(DkimResult.FAIL, "the body was changed")
    signer = dkim.DKIM(logger=_SILENT)
    signer.headers = [(field.name, field.raw) for field in fields]
    tags = {
        b"a": claim.algorithm.encode(),
        b"b": claim.signature.encode(),
        b"c": f"{claim.header_canon}/{claim.body_canon}".encode(),
        b"d": claim.domain.encode(),
        b"s": claim.selector.encode(),
    }
    record = f"v=DKIM1; k={key.kind}; p={key.material}".encode()
    signed = [name.encode() for name in names]
    try:
        good = signer.verify_sig(tags, signed, tuple(claim.field), lambda _name, **_named: record)
    except Exception as error:  # noqa: BLE001  the library meets strangers' bytes: its crash is their fault
        raise permerror(f"it cannot be verified: {type(error).__name__}") from None
    if good is not True:
        raise Unproven(DkimResult.FAIL, "the signed fields were changed")


def uncovered(header: Header, names: Sequence[str]) -> tuple[str, ...]:
    """Return the fields of :data:`COVERED` that the message has and a signature leaves open."""
    return tuple(name for name in COVERED if name not in names and header.named(name))
