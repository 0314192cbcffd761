"""Metadata: ISO 19005-2 section 6.6."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from lxml import etree
from pikepdf import Name

from .rules import File, rule

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_PDFAID = "{http://www.aiim.org/pdfa/ns/id/}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_XMP = "{http://ns.adobe.com/xap/1.0/}"
_PDF = "{http://ns.adobe.com/pdf/1.3/}"
#: The properties of XMP 2005's schemas that we write, and of the identification.
_KNOWN = {
    f"{_PDFAID}part", f"{_PDFAID}conformance", f"{_DC}title", f"{_DC}creator", f"{_DC}description", f"{_DC}language",
    f"{_DC}format", f"{_XMP}CreateDate", f"{_XMP}ModifyDate", f"{_XMP}CreatorTool", f"{_XMP}MetadataDate",
    f"{_PDF}Producer", f"{_PDF}Keywords", f"{_PDF}PDFVersion",
}  # fmt: skip
_CONTAINERS = {f"{_DC}title": "Alt", f"{_DC}description": "Alt", f"{_DC}creator": "Seq", f"{_DC}language": "Bag"}


def packet(file: File) -> bytes:
    """The metadata stream, empty where there is none."""
    found = file.pdf.Root.get(Name.Metadata)
    return b"" if found is None else found.read_bytes()


def _tree(file: File) -> etree._Element | None:
    try:
        return etree.fromstring(packet(file), etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return None


def properties(file: File) -> dict[str, etree._Element | str]:
    """The properties of the packet by their names."""
    found: dict[str, etree._Element | str] = {}
    tree = _tree(file)
    for description in [] if tree is None else tree.iter(f"{_RDF}Description"):
        found |= {str(key): str(value) for key, value in description.attrib.items() if key != f"{_RDF}about"}
        found |= {str(child.tag): child for child in description}
    return found


def text(value: etree._Element | str | None) -> str:
    """What a property says: of a container, its first item."""
    if value is None or isinstance(value, str):
        return value or ""
    item = next(value.iter(f"{_RDF}li"), value)
    return item.text or ""


@rule("6.6.2.1", 1)
def is_there(file: File) -> Iterator[str]:
    """The catalogue has a metadata stream of the type Metadata and the subtype XML, which no filter hides."""
    found = file.pdf.Root.get(Name.Metadata)
    if found is None:
        yield "none"
    elif found.get(Name.Type) != Name.Metadata or found.get(Name.Subtype) != Name.XML:
        yield "not called so"


@rule("6.6.2.1", 2)
def plain_header(file: File) -> Iterator[str]:
    """The packet's header has neither bytes nor encoding (number 3)."""
    head = packet(file)[:200].decode("utf-8", "replace").partition("?>")[0]
    if re.search(r"\s(bytes|encoding)\s*=", head):
        yield head


@rule("6.6.2.1", 4)
def well_formed(file: File) -> Iterator[str]:
    """The packet is RDF in XML, in UTF-8 (number 5)."""
    tree = _tree(file)
    if tree is None or next(tree.iter(f"{_RDF}RDF"), None) is None:
        yield "no RDF"


@rule("6.6.2.3.1", 1)
def known_properties(file: File) -> Iterator[str]:
    """Properties are those of XMP 2005: no schema of ours is described."""
    for name in properties(file):
        if name not in _KNOWN:
            yield name


@rule("6.6.2.3.1", 2)
def right_types(file: File) -> Iterator[str]:
    """Properties have their types: language alternatives, lists, dates of ISO 8601."""
    for name, value in properties(file).items():
        kind = _CONTAINERS.get(name)
        if kind and (isinstance(value, str) or value.find(f"{_RDF}{kind}") is None):
            yield f"{name} is no {kind}"
        if name.endswith("Date") and not re.fullmatch(
            r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?)?)?", text(value)
        ):
            yield f"{name}: {text(value)}"


@rule("6.6.4", 1)
def says_so(file: File) -> Iterator[str]:
    """The packet identifies the file as PDF/A."""
    if not any(name.startswith(_PDFAID) for name in properties(file)):
        yield "no pdfaid"


@rule("6.6.4", 2)
def part_two(file: File) -> Iterator[str]:
    """It is part 2."""
    if text(properties(file).get(f"{_PDFAID}part")) != "2":
        yield text(properties(file).get(f"{_PDFAID}part"))


@rule("6.6.4", 3)
def level_b(file: File) -> Iterator[str]:
    """It is level B."""
    if text(properties(file).get(f"{_PDFAID}conformance")) != "B":
        yield text(properties(file).get(f"{_PDFAID}conformance"))


@rule("6.6.4", 4)
def usual_prefix(file: File) -> Iterator[str]:
    """The identification's prefix is pdfaid (numbers 4 to 7)."""
    for name in re.findall(rb'xmlns:([\w.-]+)\s*=\s*["\']http://www\.aiim\.org/pdfa/ns/id/["\']', packet(file)):
        if name != b"pdfaid":
            yield name.decode()


@rule("6.6.3", 0)
def agrees_with_info(file: File) -> Iterator[str]:
    """Title, producer and time are those of the information dictionary."""
    info, told = file.pdf.docinfo, properties(file)
    for key, name in (("/Title", f"{_DC}title"), ("/Producer", f"{_PDF}Producer")):
        if str(info.get(key, "")) != text(told.get(name)):
            yield f"{key}: {info.get(key)!s} is not {text(told.get(name))}"
    for key, name in (("/CreationDate", f"{_XMP}CreateDate"), ("/ModDate", f"{_XMP}ModifyDate")):
        if _moment(str(info.get(key, ""))) != _moment(text(told.get(name))):
            yield f"{key}: {info.get(key)!s} is not {text(told.get(name))}"


def _moment(written: str) -> datetime | str:
    """A date as PDF or XMP writes it; what is none, as it stands."""
    found = re.fullmatch(r"D:(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(Z|[+-]\d\d'\d\d)'?", written)
    if found:
        year, month, day, hour, minute, second, zone = found.groups()
        written = f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone.replace(chr(39), ':')}"
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return written
