"""Documents become fax pages, fax pages become PDFs and pictures; what is from outside is read in confined children."""

from converters.containers import identify_bytes
from converters.converter import Converter
from converters.document import (
    Cover,
    FaxDocument,
    FaxStrip,
    HeaderLine,
    Mode,
    PageReport,
    Paper,
    Rendering,
    Resolution,
    Source,
)
from converters.errors import Broken, Reason, Refused
from converters.kinds import HEAD, Kind, detect
from converters.launcher import Allowance, Launcher, Office
from converters.ocr import LANGUAGES
from converters.receipt import ReceiptAttempt, ReceiptSheet, ReceiptTime

__all__ = [
    "HEAD",
    "LANGUAGES",
    "Allowance",
    "Broken",
    "Converter",
    "Cover",
    "FaxDocument",
    "FaxStrip",
    "HeaderLine",
    "Kind",
    "Launcher",
    "Mode",
    "Office",
    "PageReport",
    "Paper",
    "Reason",
    "ReceiptAttempt",
    "ReceiptSheet",
    "ReceiptTime",
    "Refused",
    "Rendering",
    "Resolution",
    "Source",
    "detect",
    "identify_bytes",
]
