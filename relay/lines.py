"""The line that the settings ask for: real trunks by SIP where ``lines.sip`` is set, the simulated network otherwise.

There is one line a node; which trunks and devices it has is the policy's affair (:meth:`PolicyHolder.line_table`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.line import LineSettings, start
from transport.client import ProcessLine
from transport.simulated.network import TRUNK as SIMULATED

if TYPE_CHECKING:
    from pathlib import Path

    from relay.settings import Settings, Sip


def build(settings: Settings, journals: Path) -> ProcessLine | None:
    """Return the line, not started yet; ``None`` where the settings want none."""
    if settings.lines.sip is not None:
        wanted = _sip_line(settings, settings.lines.sip, journals)
    elif settings.lines.simulated.enabled:
        wanted = _simulated_line(settings, journals)
    else:
        return None
    simulated = wanted.sip is None
    channels = {SIMULATED: wanted.channels} if simulated else {}
    return ProcessLine(
        wanted.name, channels, journals, lambda descriptor: start(descriptor, wanted), simulated=simulated
    )


def _simulated_line(settings: Settings, journals: Path) -> LineSettings:
    simulated = settings.lines.simulated
    return LineSettings(
        name=SIMULATED,
        channels=simulated.channels,
        journals=str(journals),
        sandbox=settings.confinement.value,
        real_time=simulated.real_time,
        exchange=str(simulated.exchange) if simulated.exchange else None,
        behaviours=dict(simulated.behaviours),
    )


def _sip_line(settings: Settings, sip: Sip, journals: Path) -> LineSettings:
    return LineSettings(
        name="sip",
        channels=0,
        journals=str(journals),
        ring_seconds=sip.ring_seconds,
        sandbox=settings.confinement.value,
        calls_per_worker=sip.calls_per_worker,
        sip=_sip_settings(settings, sip),
    )


def _sip_settings(settings: Settings, sip: Sip) -> dict[str, Any]:
    return {
        "address": sip.address,
        "port": sip.port,
        "tls_port": sip.tls_port,
        "certificate": str(sip.certificate or ""),
        "key": str(sip.key or ""),
        "external_address": sip.external_address or "",
        "media_ports": [sip.media_first, sip.media_last],
        "whitelist": list(sip.trusted),
        "state": str(settings.data / "line"),
    }
