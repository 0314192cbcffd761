"""One HTTP request, ready to be sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """What goes out. ``headers`` in their order; ``body`` empty for a GET. Host and length are the client's to add."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return a header's value, empty where there is none.

        >>> Request("GET", "https://example.com/", (("Accept", "*/*"),)).header("accept")
        '*/*'
        """
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")
