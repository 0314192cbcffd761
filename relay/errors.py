"""The relay's own errors. Our fault and the peer's fault are different exceptions; permanence lives on the class."""

from __future__ import annotations

#: RFC 5321 section 4.2.1: 5yz is permanent.
_PERMANENT = 500


class RelayError(Exception):
    """Root of what the relay raises itself."""


class IllegalMove(RelayError):
    """A fault of ours: a caller asked for a change of state that the table does not have."""


class Decided(IllegalMove):
    """Somebody has decided already. The message says who, what and when."""


class LostClaim(RelayError):
    """Somebody else holds the row now (the lease ran out): drop the work, change nothing."""


class NotFound(RelayError):
    """There is no such thing. The message names it."""


class Erased(NotFound):
    """There was such a fax, and it was erased. The message says when and by whom."""


class Conflict(RelayError):
    """There is such a thing already. The message names it and the remedy."""


class SettingsError(RelayError):
    """The settings cannot be used. The message names the key and the remedy."""


class DataDirectoryBusy(RelayError):
    """A second service wants the same data directory."""


class Refusal(RelayError):
    """A submission that cannot be taken, for a reason that its sender can mend.

    ``code`` and ``enhanced`` are the SMTP reply (RFC 5321 section 4.2, RFC 3463); ``sentence`` is for a mail user.
    """

    def __init__(self, code: int, enhanced: str, sentence: str) -> None:
        super().__init__(f"{code} {enhanced} {sentence}")
        self.code = code
        self.enhanced = enhanced
        self.sentence = sentence

    @property
    def permanent(self) -> bool:
        """Whether trying again unchanged cannot help."""
        return self.code >= _PERMANENT
