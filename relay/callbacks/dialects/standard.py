"""The relay's own dialect: POST of JSON, signed as Standard Webhooks 1.0.0 says (standardwebhooks.com).

Every secret of the endpoint signs, so that one can be rolled without a call that its receiver cannot verify: a
``whsec_`` one with HMAC-SHA256 (``v1``), a ``whsk_`` one with Ed25519 (``v1a``; 32 bytes of seed, or 64 with the
public key behind it).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from relay.callbacks.dialects import writing
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import Occasion
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Attempt, Event, Fax, Submission

OPTIONS: Final[Mapping[str, str]] = {}
PRESET: Final = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0)

#: The first unless the endpoint says otherwise: Standard Webhooks names POST, and some gateways take PUT alone.
_METHODS: Final = ("POST", "PUT")
_SHARED: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
#: Standard Webhooks: a shared secret has 24 to 64 bytes.
_SHARED_SIZES: Final = range(24, 65)
_SEED: Final = 32


def check(endpoint: Endpoint) -> None:
    """Raise :class:`Unfit` unless the endpoint has secrets, each of a known kind, and a method that has a body."""
    if endpoint.method not in {"", *_METHODS}:
        raise Unfit("method", f"this dialect calls by {' or '.join(_METHODS)}")
    if not endpoint.secrets:
        raise Unfit("secrets", "this dialect signs; give a secret that begins with whsec_ or whsk_")
    for secret in endpoint.secrets:
        _key(secret)


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the request of any event; a step is no event of its own here."""
    url = endpoint.inbound_url if event.inbound else endpoint.url
    if not url:
        return None
    body = json.dumps(payload(event), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    at = str(int(now))
    signed = b".".join((event.id.encode(), at.encode(), body))
    headers = (
        ("Content-Type", "application/json"),
        ("webhook-id", event.id),
        ("webhook-timestamp", at),
        ("webhook-signature", " ".join(_sign(secret, signed) for secret in endpoint.secrets)),
    )
    return Request(endpoint.method or _METHODS[0], url, writing.with_own(headers, endpoint.headers), body)


def understood(status: int, body: bytes) -> bool:
    """Return whether the status is of class 2."""
    del body
    return writing.good(status)


def public_key(secret: str) -> str:
    """Return what a receiver verifies ``v1a`` with, for a private key (``whsk_``); raises :class:`Unfit`."""
    key = _key(secret)
    if not isinstance(key, Ed25519PrivateKey):
        raise Unfit("secrets", "a whsec_ secret has no public key; make one that begins with whsk_")
    return _PUBLIC + base64.b64encode(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()


def payload(event: Event) -> dict[str, Any]:
    """Return the body: ``type``, ``timestamp`` and ``data``, as docs/callbacks.md describes them."""
    data: dict[str, Any] = {
        "version": event.version,
        "sequence": event.sequence,
        "test": event.test,
        "reason": event.reason,
        "fax": _fax(event.fax) if event.fax is not None else None,
        "submission": _submission(event.submission) if event.submission is not None else None,
    }
    if event.decision is not None:
        one = event.decision
        data["decision"] = {
            "kind": one.kind, "why": one.why, "verdict": one.verdict, "by": one.by, "until": writing.iso(one.until),
        }  # fmt: skip
    if event.mail is not None:
        data["mail"] = {"recipient": event.mail.recipient, "answer": event.mail.answer}
    if event.suspension is not None:
        bad = event.suspension
        data["suspension"] = {"endpoint": bad.endpoint, "failures": bad.failures, "why": bad.why}
    if event.download_url:
        data["download_url"] = event.download_url
    if event.occasion is not Occasion.ACTION:
        data["occasion"] = event.occasion.value
    return {"type": event.name.value, "timestamp": writing.iso(event.at), "data": data}


def _fax(fax: Fax) -> dict[str, Any]:
    return {
        "id": fax.id,
        "direction": fax.direction,
        "state": fax.state,
        "reason": fax.reason,
        "number": fax.number,
        "peer": fax.peer,
        "peer_written": fax.peer_written,
        "ident": fax.ident,
        "remote_ident": fax.remote_ident,
        "subaddress": fax.subaddress,
        "document_id": fax.document_id,
        "pages": fax.pages,
        "pages_confirmed": fax.pages_confirmed,
        "resolution": fax.resolution,
        "priority": fax.priority,
        "billing": fax.billing,
        "credits": str(fax.credits) if fax.credits is not None else None,
        "resend_of": fax.resend_of,
        "step": fax.step,
        "simulated": fax.simulated,
        "created_at": writing.iso(fax.created_at),
        "scheduled_at": writing.iso(fax.scheduled_at),
        "ended_at": writing.iso(fax.ended_at),
        "attempts": [_attempt(one) for one in fax.attempts],
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    return {
        "number": one.number,
        "started_at": writing.iso(one.started_at),
        "ended_at": writing.iso(one.ended_at),
        "trunk": one.trunk,
        "cause": one.cause,
        "why": one.why,
        "pages_confirmed": one.pages_confirmed,
        "sip_code": one.sip_code,
        "sip_reason": one.sip_reason,
        "t30_code": one.t30_code,
        "t30_reason": one.t30_reason,
        "ring_seconds": one.ring_seconds,
        "talk_seconds": one.talk_seconds,
        "bit_rate": one.bit_rate,
        "ecm": one.ecm,
        "next": one.next,
    }


def _submission(asked: Submission) -> dict[str, Any]:
    totals = asked.totals
    return {
        "id": asked.id,
        "source": asked.source,
        "sender": asked.sender,
        "subject": asked.subject,
        "message_id": asked.message_id,
        "reference": asked.reference,
        "credits": str(asked.credits) if asked.credits is not None else None,
        "created_at": writing.iso(asked.created_at),
        "totals": {
            "recipients": totals.recipients,
            "called": totals.called,
            "sent": totals.sent,
            "failed": totals.failed,
            "uncertain": totals.uncertain,
            "cancelled": totals.cancelled,
        },
    }


def _sign(secret: str, signed: bytes) -> str:
    key = _key(secret)
    if isinstance(key, bytes):
        return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return "v1a," + base64.b64encode(key.sign(signed)).decode()


def _key(secret: str) -> bytes | Ed25519PrivateKey:
    """Return what a secret signs with; raises :class:`Unfit`, whose text holds nothing of the secret."""
    for prefix in (_SHARED, _PRIVATE):
        if secret.startswith(prefix):
            try:
                raw = base64.b64decode(secret.removeprefix(prefix), validate=True)
            except (binascii.Error, ValueError):
                raise Unfit("secrets", f"what stands behind {prefix} is not base64") from None
            break
    else:
        raise Unfit("secrets", "a secret begins with whsec_ (shared) or whsk_ (private key)")
    if prefix == _SHARED:
        if len(raw) not in _SHARED_SIZES:
            raise Unfit("secrets", "a whsec_ secret holds 24 to 64 bytes as base64")
        return raw
    if len(raw) not in {_SEED, 2 * _SEED}:
        raise Unfit("secrets", "a whsk_ secret holds an Ed25519 key of 32 or 64 bytes as base64")
    key = Ed25519PrivateKey.from_private_bytes(raw[:_SEED])
    if raw[_SEED:] and raw[_SEED:] != key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw):
        raise Unfit("secrets", "the public half of the whsk_ secret does not belong to its private half")
    return key
