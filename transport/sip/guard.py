"""Who guesses passwords or scans for numbers is told nothing more for a while. Pure; the clock is the caller's.

Each misdeed of a source address has a weight; enough of them within a window lead to a ban, and each further ban lasts
twice as long. Memory is bounded: the sources heard of longest ago are forgotten first. IPv6 counts by /64, for one
customer has that many addresses.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_SOURCES = 10_000
_FORGIVEN = 7 * 86400.0  # seconds after which a former ban no longer lengthens the next
_LONGEST_DOUBLING = 20
_PROVEN, _MOST_PROVEN = 3600.0, 4
_LONGEST_NAME = 64  # of a name that somebody claims, as it is remembered


class Misdeed(Enum):
    """What a stranger can do wrong; the value is its weight, of a wrong password's one."""

    PASSWORD = 1.0
    UNKNOWN = 0.25  # a request without credentials: every honest device begins with one
    UNREADABLE = 0.1

    @property
    def words(self) -> str:
        """Return it as it stands in a table of bans."""
        return {"PASSWORD": "wrong passwords", "UNKNOWN": "calls or scans without a password"}.get(self.name, "junk")


@dataclass(slots=True)
class _Source:
    scores: dict[str, float] = field(default_factory=dict)  # by the name that was claimed
    proven: OrderedDict[str, float] = field(default_factory=OrderedDict)  # names, and when they were proved last
    since: float = 0.0
    bans: int = 0
    until: float = 0.0
    why: str = ""


@dataclass(frozen=True, slots=True)
class Ban:
    """A source that gets no answer. ``seconds``: how long it still lasts."""

    source: str
    seconds: float
    why: str


class Guard:
    """Counts misdeeds by source.

    ``failures`` within ``window`` seconds lead to a ban of ``ban`` seconds, doubled each time up to ``longest``;
    ``whitelist``: networks (CIDR) that are never banned.
    """

    def __init__(
        self, failures: float, window: float, ban: float, longest: float, whitelist: Iterable[str] = ()
    ) -> None:
        self._failures, self._window, self._ban, self._longest = failures, window, ban, longest
        self._whitelist = [ipaddress.ip_network(one, strict=False) for one in whitelist]
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def banned(self, address: str, now: float) -> bool:
        """Return whether a source gets no answer now."""
        known = self._sources.get(_key(address))
        return known is not None and now < known.until

    def failed(self, address: str, misdeed: Misdeed, now: float, claimed: str = "") -> Ban | None:
        """Count a misdeed; return the ban that it led to. ``claimed``: who the source said that it was."""
        if self._trusted(address):
            return None
        key = _key(address)
        known = self._sources.pop(key, None) or _Source(since=now)
        self._sources[key] = known
        while len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
        if now < known.until:
            return None
        if now - known.since > self._window:
            if known.bans and now - known.since > _FORGIVEN:
                known.bans = 0
            known.scores, known.since = {}, now
        name = claimed[:_LONGEST_NAME]
        known.scores[name] = known.scores.get(name, 0.0) + misdeed.value
        # Behind one address may be an office: one machine there with an old password must not lock out the others.
        proven = sum(now - at < _PROVEN for at in known.proven.values())
        if sum(known.scores.values()) < self._failures * (1 + proven):
            return None
        seconds = min(self._ban * 2 ** min(known.bans, _LONGEST_DOUBLING), self._longest)
        known.bans += 1
        known.scores, known.since, known.until, known.why = {}, now, now + seconds, misdeed.words
        return Ban(key, seconds, known.why)

    def succeeded(self, address: str, now: float, claimed: str = "") -> None:
        """Forgive what a source did wrong under no name or the one that it has proved: not its guesses at others'.

        Each name that was proved in the last hour, up to :data:`_MOST_PROVEN`, lets so many failures more pass.
        """
        known = self._sources.get(_key(address))
        if known is None:
            return
        name = claimed[:_LONGEST_NAME]
        known.scores.pop("", None)
        known.scores.pop(name, None)
        if name:
            known.proven[name] = now
            known.proven.move_to_end(name)
            while len(known.proven) > _MOST_PROVEN:
                known.proven.popitem(last=False)

    def bans(self, now: float) -> list[Ban]:
        """Return who is banned now."""
        return [
            Ban(key, round(one.until - now, 1), one.why) for key, one in self._sources.items() if now < one.until
        ]  # fmt: skip

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._whitelist if network.version == parsed.version)


def _key(address: str) -> str:
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:
        return address
