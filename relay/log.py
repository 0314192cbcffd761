"""The structured log: one event a line on standard error, for people or for programs.

One id follows a fax through every line (``fax=``), and a submission (``submission=``). No document content; telephone
numbers are masked unless the settings ask for them in full. User text comes last in a line and is escaped by the
renderer.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from relay.settings import Log

#: Keys whose values are telephone numbers.
_NUMBERS = frozenset({"number", "peer", "destination", "caller", "recipient"})
_SHOWN = 4


def configure(settings: Log) -> None:
    """Set the process's log up; called once, by the entry point."""
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if not settings.full_numbers:
        processors.append(_mask_numbers)
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=max(level, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
    # The SMTP library warns of commands that it does not know, in the client's own bytes: passwords, escapes.
    logging.getLogger("mail.log").setLevel(logging.ERROR)


def mask(number: str) -> str:
    """Return a number with its last digits hidden.

    >>> mask("+97231234567")
    '+97231******'
    """
    shown = len(number) - max(_SHOWN, len(number) // 2)
    return number[:shown] + "*" * (len(number) - shown)


def _mask_numbers(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in _NUMBERS & line.keys():
        line[key] = mask(str(line[key]))
    return line
