"""Whether a PDF keeps PDF/A-2b: the rules of ISO 19005-2 that can apply to what the relay writes, each by its clause.

veraPDF is a Java program that neither Debian nor PyPI nor npm brings; its profile of PDF/A-2b lists 144 tests, whose
numbers stand behind the clauses here. What its other tests ask about (signatures, forms with scripts, JPEG 2000,
halftones, spot colours, extension schemas) must not be in our files at all: it is told, and not judged.
"""

from __future__ import annotations

from . import fonts, graphics, interaction, metadata, structure
from .rules import RULES, Rule, faults

__all__ = ["RULES", "Rule", "faults", "fonts", "graphics", "interaction", "metadata", "structure"]
