"""WeasyPrint without fetching: what is drawn is in the text that was handed in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from weasyprint.urls import URLFetcher, URLFetcherResponse  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping


class NothingFetcher(URLFetcher):  # type: ignore[misc]  # WeasyPrint is not typed
    """Refuses every address: no network, no file, no ``data:``."""

    def __init__(self) -> None:
        super().__init__(allowed_protocols=(), allow_redirects=False)

    def fetch(self, url: str, headers: object = None) -> NoReturn:  # noqa: ARG002  the library's signature
        """Refuse; WeasyPrint then draws the page without the resource."""
        raise ValueError(f"not fetched: {url[:60]}")


class HandedFetcher(URLFetcher):  # type: ignore[misc]  # as above
    """Knows only the pictures that it was handed, by name (``page:1``); refuses everything else."""

    def __init__(self, pictures: Mapping[str, bytes]) -> None:
        """``pictures``: PNG bytes by address."""
        super().__init__(allowed_protocols=(), allow_redirects=False)
        self._pictures = pictures

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:  # noqa: ARG002  the library's signature
        """Return a handed picture or refuse."""
        if (picture := self._pictures.get(url)) is None:
            raise ValueError(f"not fetched: {url[:60]}")
        return URLFetcherResponse(url, picture, {"Content-Type": "image/png"})


class DataFetcher(URLFetcher):  # type: ignore[misc]  # as above
    """Knows only ``data:`` addresses (RFC 2397): what it returns stood in the page itself."""

    def __init__(self) -> None:
        super().__init__(allowed_protocols=("data",), allow_redirects=False)

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:
        """Return what a ``data:`` address holds or refuse."""
        if url[:5].lower() != "data:":
            raise ValueError(f"not fetched: {url[:60]}")
        return super().fetch(url, headers)
