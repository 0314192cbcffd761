"""Where our devices are: the bindings of REGISTER (RFC 3261 10.3). Sans-I/O but for the file that outlives a restart.

Times are of the wall clock, since they are kept over restarts. Invariants: a binding belongs to the account whose
password made it, whatever To says; a device has at most :data:`MOST_CONTACTS`; an older REGISTER of the same client
(Call-ID and CSeq) changes nothing.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from transport.sip.uri import BadAddress, parse_uri

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from transport.sip.uri import Address

MOST_CONTACTS = 5
SHORTEST, USUAL, LONGEST = 60, 3600, 7200


@dataclass(frozen=True, slots=True)
class Binding:
    """One contact of a device: its URI, and where its REGISTER came from, which is where calls go (RFC 3581, 5626)."""

    device: str
    uri: str
    transport: str
    host: str
    port: int
    call_id: str
    number: int
    until: float
    agent: str = ""
    quality: float = 1.0


class TooBrief(Exception):
    """The time asked for is shorter than we allow: answer 423 with Min-Expires."""


class OutOfOrder(Exception):
    """An older REGISTER came later: answer 500."""


class Registrar:
    """The bindings of every device. ``path``: their file, ``None`` for none."""

    def __init__(self, path: Path | None, now: float) -> None:
        self._path = path
        self._bindings: dict[tuple[str, str], Binding] = {}
        self._load(now)

    def of(self, device: str, now: float) -> list[Binding]:
        """Return a device's contacts: the preferred first, of equals the one registered last."""
        found = [one for one in self._bindings.values() if one.device == device and one.until > now]
        return sorted(found, key=lambda one: (-one.quality, -one.until))

    def at(self, transport: str, remote: tuple[str, int], now: float) -> str:
        """Return the device that registered from an address and port, empty where none did."""
        return next(
            (
                one.device
                for one in self._bindings.values()
                if (one.transport, one.host, one.port) == (transport, *remote) and one.until > now
            ),
            "",
        )

    def register(
        self,
        device: str,
        contacts: Iterable[Address],
        *,
        default: int | None,
        source: tuple[str, str, int],
        call_id: str,
        number: int,
        agent: str,
        now: float,
    ) -> list[Binding]:
        """Change a device's contacts and return those that it has then.

        ``default``: the Expires header's seconds; ``source``: transport, host, port. Raises :class:`TooBrief`,
        :class:`OutOfOrder`.
        """
        changes: list[Binding] = []
        for contact in contacts:
            said = contact.params.get("expires") or ""
            seconds = int(said) if said.isdigit() and len(said) < 10 else default if default is not None else USUAL  # noqa: PLR2004
            if 0 < seconds < SHORTEST:
                raise TooBrief
            uri = str(contact.uri)
            known = self._bindings.get((device, uri))
            if known is not None and known.call_id == call_id and number <= known.number:
                raise OutOfOrder
            until = now + min(seconds, LONGEST) if seconds else 0.0
            quality = _quality(contact.params.get("q") or "")
            changes.append(Binding(device, uri, *source, call_id, number, until, agent[:80], quality))
        for change in changes:
            self._bindings[device, change.uri] = change
        self._trim(device, now)
        self._save()
        return self.of(device, now)

    def clear(self, device: str) -> None:
        """Forget every contact of a device (``Contact: *``)."""
        for key in [key for key in self._bindings if key[0] == device]:
            del self._bindings[key]
        self._save()

    def keep_only(self, devices: Iterable[str], now: float) -> None:
        """Forget the contacts of devices that are no more, and those that ended."""
        wanted = set(devices)
        gone = [key for key, one in self._bindings.items() if key[0] not in wanted or one.until <= now]
        for key in gone:
            del self._bindings[key]
        if gone:
            self._save()

    def _trim(self, device: str, now: float) -> None:
        own = [(key, one) for key, one in self._bindings.items() if one.device == device]
        for key, one in own:
            if one.until <= now:
                del self._bindings[key]
        alive = sorted((one.until, key) for key, one in own if one.until > now)
        for _, key in alive[: max(len(alive) - MOST_CONTACTS, 0)]:
            del self._bindings[key]

    def _load(self, now: float) -> None:
        """Read what a predecessor left; connections are gone with it, so that datagrams alone can be gone on with."""
        if self._path is None:
            return
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
            for entry in entries:
                binding = Binding(**entry)
                parse_uri(binding.uri)
                if binding.transport == "udp" and binding.until > now:
                    self._bindings[binding.device, binding.uri] = replace(binding, port=int(binding.port))
        except (OSError, ValueError, TypeError, BadAddress):
            return  # devices register again within the hour

    def _save(self) -> None:
        if self._path is None:
            return
        # losing the file costs devices a refresh, so that nothing waits for the disk here, and a full one harms nobody
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft = self._path.with_suffix(".new")
            draft.write_text(json.dumps([asdict(one) for one in self._bindings.values()]), encoding="utf-8")
            draft.replace(self._path)


def _quality(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 1.0
