"""Our own fax machines: what they send becomes a submission of their number, what arrives for it is passed on to them.

A machine's call is answered as a fax. When its last page was confirmed, the pages are submitted once, whatever
crashes (the call's name is the key), to the number that was dialled, if the policy lets it be dialled. A call that
was cut sends nothing: the machine shows an error, and its user sends again; the number's mailbox is told.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from policies import check_recipient, quotas
from relay.outcome import WORDS
from relay.policy import submission_settings
from relay.submission import File, Recipient, Submission
from transport.accounts import DEVICE
from transport.seam import Cause

if TYPE_CHECKING:
    from policies import Limits, Usage
    from relay.policy import PolicyHolder
    from relay.store.blobs import Blob
    from transport.seam import Arriving, CallResult

_TIFF = "image/tiff"
#: A machine may be switched off over a night and a day: calls each half hour.
PATIENT = {"retries": {"retries": 96, "delay": 1800.0}}


def sent_by(policy: PolicyHolder, arriving: Arriving, result: CallResult, pages: Blob | None) -> Submission | None:
    """Return what a device's call asks for; ``pages``: its TIFF. ``None``: the policy has it no more."""
    device = policy.current.devices.get(arriving.device)
    number = policy.current.numbers.get(device.number if device else arriving.caller)
    if number is None:
        return None
    files = (File("fax.tif", _TIFF, pages.size, pages.name),) if pages is not None else ()
    return Submission(
        source="device",
        sender=number.deliver_to[0] if number.deliver_to else None,
        proof="device",
        number=number.number,
        subject=f"Fax from {arriving.device}",
        files=files,
        recipients=(_recipient(policy, number.number, arriving, result, complete=pages is not None),),
        answerable=bool(number.deliver_to),
        settings=submission_settings(number.settings, number, policy.language)
        | ({"receipt_device": device.name} if device is not None and device.receipts_to_device else {}),
        once=arriving.call,
    )


def within(asked: Submission, limits: Limits, used: Usage) -> Submission:
    """Return the submission, refused where its number has used up what it may send."""
    for _, _, refusal in quotas.check(limits.quota, used, len(asked.recipients), quotas.NUMBER):
        if refusal is not None:
            told = refusal.sentence
            refused = tuple(replace(one, refusal=one.refusal or told) for one in asked.recipients)
            return replace(asked, recipients=refused)
    return asked


def _recipient(
    policy: PolicyHolder, number: str, arriving: Arriving, result: CallResult, *, complete: bool
) -> Recipient:
    verdict = check_recipient(policy.current, arriving.number, None)
    asked = policy.recipient(number, verdict.dialled or arriving.number, arriving.number, verdict)
    if asked.refusal is None and (result.cause is not Cause.CONFIRMED or not complete):
        count = result.pages_confirmed
        why = f"after {count} page{'s' * (count != 1)} ({WORDS[result.cause]})"
        told = f"The fax machine's call ended {why}; nothing was sent. Please send it again."
        return replace(asked, refusal=told)
    return asked


def passed_on(settings: dict[str, Any], number: str, pages: File, fax_id: int) -> Submission | None:
    """Return the faxes to our own machines that a received fax is passed on to; ``None``: to none.

    ``settings``: those of the received fax (:meth:`PolicyHolder.inbound_settings`), ``pages``: its TIFF.
    """
    devices = settings.get("devices") or []
    if not devices:
        return None
    shared = {**PATIENT, "pinned": True, "passes_on": fax_id, "concurrency": len(devices)}
    recipients = tuple(Recipient(number, name, {**shared, "trunks": [f"{DEVICE}{name}"]}) for name in devices)
    return Submission(
        source="relay",
        sender=None,
        proof="relay",
        number=number,
        subject="A received fax, passed on",
        files=(pages,),
        recipients=recipients,
        answerable=False,
        once=f"passed on {fax_id}",
    )
