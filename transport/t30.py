"""The words of ITU-T T.30 that calls are judged by: frames, modems, what a frame says.

Frames are as libspandsp shows them: address, control, facsimile control field (FCF, 5.3.6.1), then the information
field; the FCF's bit X, which tells who received a DIS, is libspandsp's lowest bit and is ignored here. Everything
here is pure, and reads frames of a far machine that may be hostile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Characters of a TSI or CSI, and how many (5.3.6.2.4): digits, space and plus.
IDENT_CHARACTERS = frozenset("0123456789+ ")
IDENT_LENGTH = 20

_FCF = 2
_ANY_SENDER = 0xFE


class Frame(Enum):
    """The facsimile control fields that decide something here."""

    DIS = 0x80
    DCS = 0x82
    CFR = 0x84
    FTT = 0x44
    MPS = 0x4E
    EOM = 0x8E
    EOP = 0x2E
    PRI_MPS = 0x5E
    PRI_EOM = 0x9E
    PRI_EOP = 0x3E
    PPS = 0xBE
    EOR = 0xCE
    MCF = 0x8C
    RTP = 0xCC
    RTN = 0x4C
    PPR = 0xBC
    DCN = 0xFA


_FRAMES = {frame.value: frame for frame in Frame}
#: And those that are only spoken of, by their field without bit X.
_NAMES = {
    0x20: "NSF", 0x22: "NSS", 0x40: "CSI", 0x42: "TSI", 0xC0: "PWD", 0xC2: "SUB", 0xA0: "SEP", 0xA2: "SID",
    0x12: "CTC", 0x24: "CTR", 0x1E: "EOS", 0x6E: "RR", 0xEC: "RNR", 0x1C: "ERR", 0xAC: "PIP", 0x2C: "PIN",
    0x1A: "CRP", 0xCA: "FNV", 0xFC: "FDM", 0x06: "FCD", 0x86: "RCP",
}  # fmt: skip
_IDENTS = frozenset({0x40, 0x42})
#: Image data with error correction, and the end of a block of them (T.4 annex A).
_FCD, _RCP = 0x06, 0x86
#: "That was the last page", with and without a wish to talk (5.3.6.1.6).
LAST_PAGE = frozenset({Frame.EOP, Frame.PRI_EOP})
#: The far machine took the page: message confirmation, and retrain positive (5.3.6.1.7).
CONFIRMS = frozenset({Frame.MCF, Frame.RTP})


class Modem(IntFlag):
    """Modems a machine may use, with libspandsp's values."""

    V27TER = 1
    V29 = 2
    V17 = 4
    ALL = 7


#: Bit/s.
_FASTEST = {Modem.V17: 14400, Modem.V29: 9600}


class Resolution(IntFlag):
    """Vertical and horizontal resolutions a machine may use, with libspandsp's values."""

    STANDARD = 0x1
    FINE = 0x2
    SUPERFINE = 0x4
    R8 = 0x20000
    ALL = 0x20007


@dataclass(frozen=True, slots=True)
class Agreed:
    """What a DCS says: the modem's name and speed in bit/s, and whether errors are corrected."""

    modem: str
    bit_rate: int
    ecm: bool


#: DCS bits 11 to 14, as they stand in the second octet of its field, lowest bit first (table 2).
_RATES = {
    0x00: ("V.27ter", 2400),
    0x08: ("V.27ter", 4800),
    0x04: ("V.29", 9600),
    0x0C: ("V.29", 7200),
    0x20: ("V.17", 14400),
    0x28: ("V.17", 12000),
    0x24: ("V.17", 9600),
    0x2C: ("V.17", 7200),
}
_RATE_OCTET, _RATE_MASK = 4, 0x3C
_ECM_OCTET, _ECM_MASK = 6, 0x04
#: What else a DIS or DCS says in one bit (table 2): bit 15, 16, 27, 31; and a DIS of its modems (bits 11 to 14).
_FINE_OCTET, _FINE_MASK = 4, 0x40
_FEATURES = ((_FINE_OCTET, _FINE_MASK, "fine"), (4, 0x80, "MR"), (_ECM_OCTET, _ECM_MASK, "ECM"), (6, 0x40, "MMR"))
_CAPABLE = {0x00: "V.27ter", 0x08: "V.27ter", 0x04: "V.29", 0x0C: "V.29", 0x2C: "V.17"}
_FRAMES_OCTET = 6  # of a PPS or EOR: how many frames the block had, less one


def frame_of(message: bytes) -> Frame | None:
    """Return what kind of frame this is, ``None`` for one that decides nothing.

    >>> frame_of(bytes.fromhex("ff 13 2f"))
    <Frame.EOP: 46>
    """
    return _FRAMES.get(message[_FCF] & _ANY_SENDER) if len(message) > _FCF else None


def command_of(message: bytes) -> Frame | None:
    """Return the post-message command in a frame; that of a PPS or EOR stands in its second field (T.30 A.4.3).

    >>> command_of(bytes.fromhex("ff 13 bf 2f 00 00 10"))
    <Frame.EOP: 46>
    """
    frame = frame_of(message)
    if frame in (Frame.PPS, Frame.EOR):
        return frame_of(message[1:])
    return frame


def agreed_in(message: bytes) -> Agreed | None:
    """Return what a DCS settles, ``None`` if the frame is none or too short."""
    if frame_of(message) is not Frame.DCS or len(message) <= _RATE_OCTET:
        return None
    modem, bit_rate = _RATES.get(message[_RATE_OCTET] & _RATE_MASK, ("", 0))
    return Agreed(modem, bit_rate, ecm=len(message) > _ECM_OCTET and bool(message[_ECM_OCTET] & _ECM_MASK))


def takes_fine(message: bytes) -> bool | None:
    """Return whether a DIS takes pages of fine resolution (table 2 bit 15), ``None`` for any other frame.

    >>> takes_fine(bytes.fromhex("ff 13 80 00 ee f8 c4 80"))
    True
    """
    if frame_of(message) is not Frame.DIS or len(message) <= _FINE_OCTET:
        return None
    return bool(message[_FINE_OCTET] & _FINE_MASK)


def is_image(message: bytes) -> bool:
    """Return whether a frame is a piece of a page, not a word of the procedure."""
    return len(message) > _FCF and message[_FCF] in (_FCD, _RCP)


def describe(message: bytes) -> str:
    """Return a frame by its name and what it says, as people read it in a trace; printable ASCII.

    >>> describe(bytes.fromhex("ff 13 bf 2f 00 01 1f"))
    'PPS-EOP page 0 block 1 frames 32'
    >>> describe(bytes.fromhex("ff 03 40 34 33 32 31"))
    'CSI "1234"'
    """
    if len(message) <= _FCF:
        return "a frame without a field"
    field = message[_FCF] & _ANY_SENDER
    frame = _FRAMES.get(field)
    match frame:
        case Frame.DIS:
            name = "DTC" if message[_FCF] & 1 else "DIS"
            return " ".join((name, *_modem_in(message, _CAPABLE), *_features_in(message)))
        case Frame.DCS:
            agreed = agreed_in(message)
            speed = (str(agreed.bit_rate), agreed.modem) if agreed is not None else ()
            return " ".join(("DCS", *speed, *_features_in(message)))
        case Frame.PPS | Frame.EOR:
            command = command_of(message)
            name = f"{frame.name}-{command.name.replace('_', '-') if command is not None else 'NULL'}"
            if frame is Frame.EOR or len(message) <= _FRAMES_OCTET:
                return name
            return f"{name} page {message[4]} block {message[5]} frames {message[_FRAMES_OCTET] + 1}"
        case None:
            name = _NAMES.get(field, f"frame {field:02x}")
            return f'{name} "{printable(message[:_FCF:-1])}"' if field in _IDENTS else name
    return frame.name.replace("_", "-")


def _modem_in(message: bytes, names: dict[int, str]) -> tuple[str, ...]:
    name = names.get(message[_RATE_OCTET] & _RATE_MASK) if len(message) > _RATE_OCTET else None
    return (name,) if name is not None else ()


def _features_in(message: bytes) -> Iterator[str]:
    return (name for octet, mask, name in _FEATURES if len(message) > octet and message[octet] & mask)


def modems_up_to(max_rate: int) -> Modem:
    """Return the modems whose highest speed is not over ``max_rate`` bit/s; V.27ter is always there."""
    if max_rate >= _FASTEST[Modem.V17]:
        return Modem.ALL
    return Modem.V29 | Modem.V27TER if max_rate >= _FASTEST[Modem.V29] else Modem.V27TER


def ident_problem(ident: str) -> str | None:
    """Return what is wrong with an ident, ``None`` if nothing.

    >>> ident_problem("+1 202 555 0100") is None
    True
    """
    if len(ident) > IDENT_LENGTH:
        return f"the ident {ident!r} is longer than {IDENT_LENGTH} characters"
    if not set(ident) <= IDENT_CHARACTERS:
        return f"the ident {ident!r} may only have digits, spaces and +"
    return None


def printable(ident: bytes) -> str:
    """Return a far machine's ident as printable ASCII of at most 20 characters, without outer spaces."""
    said = ident[:IDENT_LENGTH].decode("ascii", "replace")
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in said).strip()
