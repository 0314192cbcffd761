"""Graphics: ISO 19005-2 section 6.2 without the fonts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pikepdf
from pikepdf import Name

from .rules import File, rule

#: The operators of ISO 32000-1 annex A.
_TOLD = (
    "b B b* B* BDC BI BMC BT BX c cm CS cs d d0 d1 Do DP EI EMC ET EX f F f* G g gs h i ID j J K k l m M MP n "
    "q Q re RG rg ri s S SC sc SCN scn sh T* Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz v w W W* y ' \""
)
_OPERATORS = {*_TOLD.split(), "INLINE IMAGE"}
_MODES = {
    "/Normal", "/Compatible", "/Multiply", "/Screen", "/Overlay", "/Darken", "/Lighten", "/ColorDodge", "/ColorBurn",
    "/HardLight", "/SoftLight", "/Difference", "/Exclusion", "/Hue", "/Saturation", "/Color", "/Luminosity",
}  # fmt: skip
_INTENTS = {"/RelativeColorimetric", "/AbsoluteColorimetric", "/Perceptual", "/Saturation"}
#: Operators that paint in a device colour, and the space.
_DEVICE = {
    "g": "/DeviceGray",
    "G": "/DeviceGray",
    "rg": "/DeviceRGB",
    "RG": "/DeviceRGB",
    "k": "/DeviceCMYK",
    "K": "/DeviceCMYK",
}


def contents(file: File) -> Iterator[tuple[pikepdf.Object, pikepdf.Object, list[tuple[list[pikepdf.Object], str]]]]:
    """Yield owner, resources and instructions of each page and form."""
    for page in file.pdf.pages:
        yield page.obj, page.obj.get(Name.Resources, pikepdf.Dictionary()), _parsed(page)
    for one in file.streams():
        if one.stream_dict.get(Name.Subtype) == Name.Form:
            yield one, one.stream_dict.get(Name.Resources, pikepdf.Dictionary()), _parsed(one)


def _parsed(owner: pikepdf.Page | pikepdf.Stream) -> list[tuple[list[pikepdf.Object], str]]:
    parsed = pikepdf.parse_content_stream(owner)
    return [(list(one.operands), str(one.operator)) for one in parsed]


@rule("6.1.13", 8)
def nesting(file: File) -> Iterator[str]:
    """Graphics states are nested at most 28 deep, and given back."""
    for _, _, instructions in contents(file):
        depth = 0
        for _, operator in instructions:
            depth += {"q": 1, "Q": -1}.get(operator, 0)
            if not 0 <= depth <= 28:
                yield f"{depth} deep"
        if depth:
            yield f"{depth} left open"


@rule("6.2.2", 1)
def known_operators(file: File) -> Iterator[str]:
    """Content streams have operators of ISO 32000-1 alone."""
    for _, _, instructions in contents(file):
        for _, operator in instructions:
            if operator not in _OPERATORS:
                yield operator


@rule("6.2.2", 2)
def own_resources(file: File) -> Iterator[str]:
    """Pages and forms name their resources themselves and have all that they use."""
    used = {"Do": "/XObject", "Tf": "/Font", "gs": "/ExtGState", "sh": "/Shading"}
    for _, resources, instructions in contents(file):
        for operands, operator in instructions:
            if operator in used and str(operands[0]) not in resources.get(used[operator], {}):
                yield f"{operands[0]} {operator}"


@rule("6.2.3", 1)
def output_profile(file: File) -> Iterator[str]:
    """The output intent has an ICC profile for printing or display, of gray, RGB or CMYK, older than version 5."""
    found = file.profile()
    if found is None:
        yield "none"
        return
    yield from _profile_faults(found, {b"prtr", b"mntr"}, {b"RGB ": 3, b"CMYK": 4, b"GRAY": 1})


@rule("6.2.3", 2)
def one_profile(file: File) -> Iterator[str]:
    """The output intent is that of PDF/A; all intents share one profile (number 3: none refers to one elsewhere)."""
    intents = list(file.pdf.Root.get(Name.OutputIntents, []))
    if not any(one.get(Name.S) == Name.GTS_PDFA1 and Name.OutputConditionIdentifier in one for one in intents):
        yield "no intent of PDF/A"
    if len({one.DestOutputProfile.objgen for one in intents if Name.DestOutputProfile in one}) > 1:
        yield "several profiles"
    if any(Name.DestOutputProfileRef in one for one in intents):
        yield "a profile elsewhere"


@rule("6.2.4.2", 1)
def input_profiles(file: File) -> Iterator[str]:
    """Profiles of colour spaces are such, with as many components as N says."""
    kinds = {b"RGB ": 3, b"CMYK": 4, b"GRAY": 1, b"Lab ": 3}
    for one in file.objects():
        if isinstance(one, pikepdf.Array) and len(one) == 2 and str(one[0]) == "/ICCBased":
            yield from _profile_faults(one[1], {b"prtr", b"mntr", b"scnr", b"spac"}, kinds)


def _profile_faults(stream: pikepdf.Object, classes: set[bytes], spaces: dict[bytes, int]) -> Iterator[str]:
    data = stream.read_bytes()
    # ICC.1 section 7.2: size, version, class, colour space, signature.
    if len(data) < 132 or int.from_bytes(data[:4], "big") != len(data) or data[36:40] != b"acsp":
        yield "no ICC profile"
    elif data[8] >= 5 or data[12:16] not in classes or data[16:20] not in spaces:
        yield f"version {data[8]}, {data[12:20]!r}"
    elif int(stream.get(Name.N, 0)) != spaces[data[16:20]]:
        yield f"N is {stream.get(Name.N)!s}"


@rule("6.2.4.3", 2)
def device_colours(file: File) -> Iterator[str]:
    """Device colours are those of the output intent; gray goes with any (numbers 3 and 4)."""
    found = file.profile()
    space = found.read_bytes()[16:20] if found is not None else b""
    allowed = {
        b"RGB ": {"/DeviceRGB", "/DeviceGray"},
        b"CMYK": {"/DeviceCMYK", "/DeviceGray"},
        b"GRAY": {"/DeviceGray"},
    }
    for used in _spaces(file):
        if used in {"/DeviceRGB", "/DeviceCMYK", "/DeviceGray"} and used not in allowed.get(space, set()):
            yield used


def _spaces(file: File) -> Iterator[str]:
    for image in file.images():
        space = image.stream_dict.get(Name.ColorSpace)
        yield from (str(part) for part in (space if isinstance(space, pikepdf.Array) else [space]) if part is not None)
    for _, resources, instructions in contents(file):
        yield from (str(value) for value in resources.get(Name.ColorSpace, {}).values())
        for operands, operator in instructions:
            if operator in _DEVICE:
                yield _DEVICE[operator]
            elif operator in {"cs", "CS"}:
                yield str(operands[0])


@rule("6.2.4.4", 1)
def no_spot_colours(file: File) -> Iterator[str]:
    """No spot colours: never ours, and not judged."""
    for one in file.objects():
        if isinstance(one, pikepdf.Array) and len(one) > 2 and str(one[0]) in {"/Separation", "/DeviceN"}:
            yield str(one[0])


@rule("6.2.5", 1)
def no_transfer(file: File) -> Iterator[str]:
    """Graphics states have no transfer functions and no halftones (numbers 2 to 6)."""
    for _, resources, _ in contents(file):
        for state in resources.get(Name.ExtGState, {}).values():
            for key in ("/TR", "/TR2", "/HTP", "/HT"):
                if key in state and not (key == "/TR2" and state[key] == Name.Default):
                    yield key


@rule("6.2.6", 1)
def intents(file: File) -> Iterator[str]:
    """Rendering intents are the four of ISO 32000-1."""
    for one in file.dictionaries():
        for key in ("/RI", "/Intent"):
            intent = one.get(key)
            if isinstance(intent, pikepdf.Name) and str(intent) not in _INTENTS:
                yield str(intent)
    for _, _, instructions in contents(file):
        yield from (
            str(operands[0])
            for operands, operator in instructions
            if operator == "ri" and str(operands[0]) not in _INTENTS
        )


@rule("6.2.8", 1)
def no_alternates(file: File) -> Iterator[str]:
    """Images have no alternates."""
    yield from ("Alternates" for image in file.images() if Name.Alternates in image.stream_dict)


@rule("6.2.8", 2)
def no_opi(file: File) -> Iterator[str]:
    """Images have no OPI."""
    yield from ("OPI" for image in file.images() if Name.OPI in image.stream_dict)


@rule("6.2.8", 3)
def no_interpolation(file: File) -> Iterator[str]:
    """Images are not interpolated."""
    yield from ("Interpolate" for image in file.images() if bool(image.stream_dict.get(Name.Interpolate, False)))


@rule("6.2.8", 4)
def depth(file: File) -> Iterator[str]:
    """Images have 1, 2, 4, 8 or 16 bits a component; masks 1 (number 5)."""
    for image in file.images():
        bits = int(image.stream_dict.get(Name.BitsPerComponent, 1))
        if bits not in ({1} if bool(image.stream_dict.get(Name.ImageMask, False)) else {1, 2, 4, 8, 16}):
            yield f"{bits} bits"


@rule("6.2.8", 0)
def fax_images(file: File) -> Iterator[str]:
    """What a fax image says of its coding is what the image is (ISO 32000-1 table 11): T.6, its columns, its rows."""
    for image in file.images():
        if image.stream_dict.get(Name.Filter) != Name.CCITTFaxDecode:
            continue
        told, size = image.stream_dict.get(Name.DecodeParms, pikepdf.Dictionary()), image.stream_dict
        wanted = {"/K": -1, "/Columns": int(size[Name.Width]), "/Rows": int(size[Name.Height])}
        if (
            any(int(told.get(key, 0)) != value for key, value in wanted.items())
            or int(size[Name.BitsPerComponent]) != 1
        ):
            yield f"{told!r}"


@rule("6.2.9", 1)
def forms(file: File) -> Iterator[str]:
    """Forms have no PostScript, no OPI (number 3), and refer to no other file (number 2)."""
    for one in file.streams():
        found = one.stream_dict
        if found.get(Name.Subtype) == Name.PS or (
            found.get(Name.Subtype) == Name.Form and any(key in found for key in ("/PS", "/OPI", "/Ref", "/Subtype2"))
        ):
            yield "PostScript, OPI or a reference"


@rule("6.2.10", 1)
def blend_modes(file: File) -> Iterator[str]:
    """Blend modes are those of ISO 32000-1."""
    for one in file.dictionaries():
        modes = one.get("/BM")
        for mode in modes if isinstance(modes, pikepdf.Array) else [modes]:
            if mode is not None and str(mode) not in _MODES:
                yield str(mode)


@rule("6.2.10", 2)
def blending_space(file: File) -> Iterator[str]:
    """A page with transparency has a blending space: the output intent's, or its group's."""
    if file.profile() is not None:
        return
    transparent = any("/SMask" in one or float(one.get("/ca", 1)) < 1 or "/BM" in one for one in file.dictionaries())
    for number, page in enumerate(file.pdf.pages, 1):
        if transparent and "/CS" not in page.obj.get(Name.Group, {}):
            yield f"page {number}"


@rule("6.1.10", 1)
def no_inline_images(file: File) -> Iterator[str]:
    """No inline images: never ours, and their filters are not judged."""
    for owner, _, instructions in contents(file):
        if any(re.match("INLINE|BI", operator) for _, operator in instructions):
            yield f"in {owner.objgen}"
