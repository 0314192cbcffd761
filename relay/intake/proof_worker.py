"""The child that verifies a mail's signatures: it reads strangers' bytes and has no network.

Runs confined (:mod:`relay.confine`) and keeps nothing between two questions. A message is asked of twice, each time
with two descriptors, the message and the answers of the DNS as JSON: ``{"do": "key_names", "wanted": {...}}`` and
``{"do": "read", "wanted": {...}}`` (:mod:`relay.auth.reading`); it answers ``{"names": [...]}`` and ``{"reading":
"..."}``. Whoever asked believes none of it unchecked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from relay.auth import reading

if TYPE_CHECKING:
    from relay.channel import Channel


def serve(channel: Channel, _descriptors: list[int]) -> None:
    """Answer until nobody asks any more."""
    while (received := channel.receive()) is not None:
        request, (message, keys) = received
        with os.fdopen(message, "rb") as source, os.fdopen(keys, "rb") as answers:
            channel.send(_answer(request, source.read(), answers.read()))


def _answer(request: dict[str, Any], message: bytes, keys: bytes) -> dict[str, Any]:
    wanted = reading.Wanted(**request["wanted"])
    if request["do"] == "key_names":
        return {"names": reading.key_names(message, wanted)}
    found = reading.read_message(message, reading.keys_from_json(keys), wanted)
    return {"reading": reading.as_json(found).decode()}
