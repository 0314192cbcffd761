"""What files may do: annotations, forms, actions, files in files, layers; ISO 19005-2 sections 6.3 to 6.11."""

from __future__ import annotations

from collections.abc import Iterator

from pikepdf import Name

from .rules import File, rule

_ACTIONS = {"/GoTo", "/GoToR", "/GoToE", "/Thread", "/URI", "/Named", "/SubmitForm"}


@rule("6.3.1", 1)
def links_only(file: File) -> Iterator[str]:
    """Annotations are links (of those that are allowed, the only ones that are ours)."""
    for page in file.pdf.pages:
        for one in page.obj.get(Name.Annots, []):
            if one.get(Name.Subtype) != Name.Link:
                yield str(one.get(Name.Subtype))


@rule("6.3.2", 1)
def printed(file: File) -> Iterator[str]:
    """Annotations have flags: printed, and neither hidden, invisible nor out of view (number 2)."""
    for page in file.pdf.pages:
        for one in page.obj.get(Name.Annots, []):
            flags = int(one.get(Name.F, 0))
            if not flags & 4 or flags & (1 | 2 | 32 | 256):
                yield f"flags {flags}"


@rule("6.4.1", 1)
def no_forms(file: File) -> Iterator[str]:
    """No forms: never ours (6.4.2: XFA, NeedsRendering; 6.4.3: signatures)."""
    for key in ("/AcroForm", "/NeedsRendering"):
        if key in file.pdf.Root:
            yield key


@rule("6.5.1", 1)
def actions(file: File) -> Iterator[str]:
    """Actions only lead somewhere: no scripts, no programs, no sounds."""
    for one in file.dictionaries():
        for key in ("/A", "/OpenAction", "/Next"):
            found = one.get(key)
            kind = getattr(found, "get", lambda _: None)("/S")
            if kind is not None and str(kind) not in _ACTIONS:
                yield str(kind)
        if one.get("/S") == Name.JavaScript or "/JS" in one:
            yield "JavaScript"


@rule("6.5.2", 1)
def no_triggers(file: File) -> Iterator[str]:
    """Nothing happens by itself: no additional actions of the document or of pages (number 2)."""
    for one in (file.pdf.Root, *(page.obj for page in file.pdf.pages)):
        if Name.AA in one:
            yield "AA"


@rule("6.8", 2)
def no_files(file: File) -> Iterator[str]:
    """No files are embedded: never ours (number 5: those that are must be PDF/A themselves)."""
    for one in file.dictionaries():
        if "/EF" in one or one.get(Name.Type) == Name.EmbeddedFile:
            yield "an embedded file"


@rule("6.9", 1)
def no_layers(file: File) -> Iterator[str]:
    """No optional content: never ours (numbers 2 to 4)."""
    if Name.OCProperties in file.pdf.Root:
        yield "OCProperties"


@rule("6.10", 1)
def no_alternate_presentations(file: File) -> Iterator[str]:
    """No alternate presentations, and no steps of one (number 2)."""
    if "/AlternatePresentations" in file.pdf.Root.get(Name.Names, {}):
        yield "AlternatePresentations"
    yield from ("PresSteps" for page in file.pdf.pages if "/PresSteps" in page.obj)


@rule("6.11", 1)
def no_requirements(file: File) -> Iterator[str]:
    """The document requires nothing of its reader."""
    if "/Requirements" in file.pdf.Root:
        yield "Requirements"
