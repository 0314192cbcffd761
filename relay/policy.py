"""The policy in force: read at start and again when a file changes, all or nothing.

A folder with an error changes nothing: the policy that was in force stays, the errors are logged and shown by the
health page. Also here: what a decision of the policy means as the JSON settings that travel with a fax, so that a fax
keeps the rules under which it was accepted.
"""

from __future__ import annotations

import asyncio
import importlib.resources
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import watchfiles

from policies import Callers, Feature, Junk, Policy, PolicyErrors, approval_for, decide_call, load
from relay import accounts, hours
from relay.store.routes import NOWHERE
from relay.submission import Recipient
from transport.accounts import DEVICE
from transport.screening import Screen
from transport.seam import LineTable
from transport.simulated.network import TRUNK as SIMULATED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from policies import Asked, CallFacts, InboundDecision, Number, Override, RetrySettings, Settings, Verdict
    from policies.inbound import Block

log = structlog.get_logger()


class PolicyHolder:
    """Holds the current policy of a folder. ``current`` changes between two decisions, never within one."""

    def __init__(self, folder: Path, *, real_lines: bool = False) -> None:
        """Read the folder; raises :class:`policies.PolicyErrors`, since a service without a policy accepts nothing.

        ``real_lines``: faxes go out by the policy's trunks, and not by the simulated network.
        """
        self.folder = folder
        self._real_lines = real_lines
        self.current: Policy = load(folder)
        self.errors: PolicyErrors | None = None
        self.line_faults: list[str] = []
        self.on_change: list[Callable[[], Awaitable[None]]] = []

    async def watch(self) -> None:
        """Read again whenever a file changes, until cancelled."""
        async for _ in watchfiles.awatch(self.folder, recursive=False):
            await self.reload()

    async def reload(self) -> None:
        """Read the folder once; an error leaves the policy in force."""
        try:
            policy = await asyncio.to_thread(load, self.folder)
        except PolicyErrors as errors:
            self.errors = errors
            log.warning("policy not changed: the folder has errors", errors=[str(error) for error in errors.errors])
            return
        self.current, self.errors = policy, None
        log.info("policy read", folder=str(self.folder), numbers=len(policy.numbers))
        for changed in self.on_change:
            try:
                await changed()
            except Exception:  # the policy is in force; one part that does not follow must not end the service
                log.exception("a part of the service did not take the new policy")

    def answered_numbers(self) -> frozenset[str]:
        """Return the numbers whose calls are answered as faxes."""
        return frozenset(
            number
            for number, entry in self.current.numbers.items()
            if (entry.receives if self._real_lines else Feature.FAX_TO_MAIL in entry.features)
        )

    def line_table(self) -> LineTable:
        """Return what the line needs to know: the numbers it answers, its trunks and its devices."""
        numbers = self.answered_numbers()
        limits = {one: limit for one in numbers if (limit := self.current.numbers[one].inbound_calls) is not None}
        if not self._real_lines:
            return LineTable(numbers, limits, screens=self.screens())
        trunks, no_trunks = accounts.trunks(self.current, os.environ)
        devices, no_devices = accounts.devices(self.current, os.environ)
        self.line_faults = no_trunks + no_devices
        for fault in self.line_faults:
            log.error("left out", fault=fault)
        return LineTable(numbers, limits, trunks=tuple(trunks), devices=tuple(devices), screens=self.screens())

    def trunks(self, number: str, dialled: str) -> list[str]:
        """Return the trunks that serve a call from ``number`` to ``dialled``, in order; empty on a simulated line."""
        if not self._real_lines:
            return []
        return list(self.current.route(number, dialled).trunks) or [NOWHERE]

    def trunks_again(self, row: Any) -> list[str]:
        """Return the trunks by which a fax goes that is sent again: those of now, or what it is pinned to."""
        if not row.settings.get("pinned"):
            return self.trunks(row.number, row.peer)
        kept: list[str] = row.settings["trunks"]
        return kept if self.has_trunk(kept[0]) else [NOWHERE]

    def has_trunk(self, name: str) -> bool:
        """Return whether a trunk, or a device that takes faxes (``device:NAME``), is in the policy."""
        if not self._real_lines:
            return name == SIMULATED
        device = self.current.devices.get(name.removeprefix(DEVICE)) if name.startswith(DEVICE) else None
        return device.allow_inbound if device is not None else name in self.current.trunks

    def recipient(self, number: str, dialled: str, written: str, verdict: Verdict) -> Recipient:
        """Return a recipient of a submission of ``number``: its settings, its trunks, and why it is refused if it is.

        ``dialled``: E.164, or what was written where that is no number. Whose approval the fax needs is a setting.
        """
        refusal = verdict.refusal.sentence if verdict.refusal else None
        settings = recipient_settings(verdict.override)
        entry = self.current.numbers.get(number)
        if refusal is None and entry is not None and (asked := approval_for(entry.approval, dialled)) is not None:
            settings["approval"] = approval_json(asked)
        if refusal is None and self._real_lines:
            settings["trunks"] = self.trunks(number, dialled)
            if settings["trunks"] == [NOWHERE]:
                refusal = "No telephone line serves this number. The administrator of the fax relay can add one."
        return Recipient(dialled, written, settings, refusal)

    @property
    def language(self) -> str:
        """Return the language where no mail names a fax domain: that of the domains where they agree, or English."""
        spoken = {domain.language for domain in self.current.domains.values()}
        return spoken.pop() if len(spoken) == 1 else "en"

    def inbound_settings(self, call: CallFacts) -> dict[str, Any]:
        """Return the settings that travel with a fax that arrived, as far as its call is known.

        ``junk`` and ``blocked_by`` are there for one that the block list names, ``meant_for`` where it is kept from its
        mailboxes and machines: who they are.
        """
        entry = self.current.numbers.get(call.called)
        if entry is None:
            return {"deliver_to": [], "language": self.language}
        decision = decide_call(self.current, call)
        settings: dict[str, Any] = {
            "deliver_to": list(decision.deliver_to),
            "devices": list(decision.devices) if self._real_lines else [],
            "language": entry.language or self.language,
            "receipt_pages": entry.settings.receipt_pages.value,
            "paper": entry.settings.paper.value,
        }
        if entry.ocr:
            settings["ocr"] = True
        if entry.opened_by:
            settings["opened_by"] = sorted(way.value for way in entry.opened_by)
        if decision.junk is not None:
            settings |= {"junk": decision.junk.value, "blocked_by": _blocked_by(decision)}
            mailboxes, machines = decision.meant_for
            if decision.junk is not Junk.DELIVER:
                settings["meant_for"] = {
                    "deliver_to": list(mailboxes), "devices": list(machines) if self._real_lines else [],
                }  # fmt: skip
        return settings

    def screens(self) -> tuple[Screen, ...]:
        """Return whom the line does not answer: the block list as far as numbers alone tell."""
        known = [block for block in self.current.inbound.blocks if not block.selector.needs_ident]
        return tuple(_screen(block) for block in known)


def first_folder(folder: Path) -> None:
    """Make the folder with the first example policy if there is none."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    example = importlib.resources.files("policies") / "examples" / "first.yaml"
    (folder / "first.yaml").write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
    log.info("first policy written", file=str(folder / "first.yaml"))


def _blocked_by(decision: InboundDecision) -> str:
    """Return which rule of which file a call is blocked by."""
    found = next((each for each in decision.reasons if each.matched and each.rule.startswith("inbound.block")), None)
    return f"{found.rule} ({Path(found.file).name}:{found.line})" if found is not None else ""


def _screen(block: Block) -> Screen:
    callers = block.selector.callers or Callers()
    return Screen(
        refuse=block.junk is Junk.REFUSE,
        called=tuple(sorted(block.selector.called)),
        callers=tuple(sorted(callers.exact)),
        prefixes=callers.prefixes,
        anonymous=callers.anonymous,
    )


def submission_settings(settings: Settings, number: Number, language: str) -> dict[str, Any]:
    """Return what a sending number's policy means for a submission, as JSON."""
    values: dict[str, Any] = {
        "resolution": settings.resolution.value,
        "mode": settings.mode.value,
        "paper": settings.paper.value,
        "ident": settings.ident,
        "header": settings.header,
        "caller_id": settings.caller_id,
        "priority": settings.priority,
        "share_of_line": settings.share_of_line,
        "receipt_pages": settings.receipt_pages.value,
        "language": number.language or language,
        "zone": number.zone,
        "retries": retries_json(settings.retries),
    }
    if number.limits.pages is not None:
        values["max_pages"] = number.limits.pages
    if settings.accepted_mail:
        values["accepted_mail"] = True
    if settings.delayed_mail is not None:
        values["delayed_mail"] = settings.delayed_mail.total_seconds()
    if settings.hours is not None:
        values["hours"] = hours.as_settings(settings.hours)
    return values


def recipient_settings(override: Override) -> dict[str, Any]:
    """Return what a destination's override means for its fax, as JSON."""
    values: dict[str, Any] = {"ecm": override.ecm, "t38": override.t38.value, "concurrency": override.concurrency}
    if override.max_rate is not None:
        values["max_rate"] = override.max_rate
    if override.notes:
        values["destination_notes"] = override.notes
    return values


def approval_json(asked: Asked) -> dict[str, Any]:
    """Return the approval that a fax needs as :mod:`relay.store.holds` reads it."""
    return {"by": list(asked.by), "seconds": asked.within.total_seconds(), "over_pages": asked.over_pages}


def retries_json(rule: RetrySettings) -> dict[str, Any]:
    """Return a retry rule as :meth:`relay.outcome.RetryRule.of_settings` reads it: seconds."""
    return {
        "retries": rule.retries,
        "delay": rule.delay.total_seconds(),
        "delays": {cause: delay.total_seconds() for cause, delay in rule.delays.items()},
        "never": sorted(rule.never),
        "ladder": list(rule.ladder),
        "remember": rule.remember.total_seconds(),
    }
