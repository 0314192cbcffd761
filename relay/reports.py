"""Addresses at which other programs report on one mail of ours: a server that returns it, a reader's mail program.

``report-DELIVERY-PROOF@DOMAIN``: the delivery's id, and the first 20 bytes of HMAC-SHA256 (RFC 2104) over it with the
data directory's secret, in base32 (RFC 4648), since local parts may lose their case on the way. It is the return path
of that mail and, where a receipt is asked for, its Disposition-Notification-To: the two have to be one address (RFC
8098 section 2.1). Invariants: whoever has not had the mail cannot make its address; a local part has at most 64 octets
(RFC 5321 section 4.5.3.1.1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Final

_MARK: Final = b"faxrelay report 1"
_BYTES: Final = 20
_LOCAL: Final = re.compile(r"report-(?P<delivery>[1-9][0-9]{0,18})-(?P<proof>[a-z2-7]{32})", re.ASCII)
#: Longer than any address of ours: what is longer is not looked at.
_LONGEST: Final = 320


class ReportAddresses:
    """Makes and reads the addresses. ``key``: the secret; ``domain``: where they are, lower-case A-labels."""

    def __init__(self, key: bytes, domain: str) -> None:
        self._key = key
        self.domain = domain

    def of(self, delivery: int) -> str:
        """Return the address for reports on a delivery.

        >>> made = ReportAddresses(b"secret", "fax.example.com").of(2150102030405000001)
        >>> made.startswith("report-2150102030405000001-"), len(made.partition("@")[0])
        (True, 59)
        """
        return f"report-{delivery}-{self._proof(delivery)}@{self.domain}"

    def read(self, address: str) -> int | None:
        """Return which delivery an address is of, ``None`` for one that is none of ours."""
        local, _, domain = address[: _LONGEST + 1].lower().rpartition("@")
        matched = _LOCAL.fullmatch(local)
        if len(address) > _LONGEST or domain != self.domain or matched is None:
            return None
        delivery = int(matched["delivery"])
        return delivery if hmac.compare_digest(self._proof(delivery), matched["proof"]) else None

    def _proof(self, delivery: int) -> str:
        digest = hmac.digest(self._key, b"%s|%d" % (_MARK, delivery), hashlib.sha256)
        return base64.b32encode(digest[:_BYTES]).decode("ascii").lower()
