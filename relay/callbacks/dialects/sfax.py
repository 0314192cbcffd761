"""``sfax``: GET with 25 query keys, always all of them and in this order, blank where they do not apply.

The keys, their lengths and examples are the first of the documents that callbacks were ordered by. It is told of every
fax that ended. Result and error codes are those of :mod:`relay.callbacks.codes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from relay.callbacks import codes
from relay.callbacks.dialects import token, writing
from relay.callbacks.endpoint import Unfit
from relay.callbacks.event import ENDS, Name
from relay.callbacks.request import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relay.callbacks.endpoint import Endpoint
    from relay.callbacks.event import Event, Fax

OPTIONS: Final[Mapping[str, str]] = {
    "user": "Name of the master API user, who is in the token.",
    "api_key": "API key of the master API user, at most 32 characters.",
    "iv": "Initialisation vector of the token, 16 ASCII characters, for receivers that know a fixed one.",
}
#: 5 attempts, 2 minutes apart.
PRESET: Final = (120.0, 120.0, 120.0, 120.0)

_KEY: Final = 32
_NUMBER: Final = 25
_CODE: Final = 8
_TRACKING: Final = 40
_TEXT: Final = 100


def check(endpoint: Endpoint) -> None:
    """Raise :class:`Unfit` unless the endpoint has what the token is made of."""
    for option in ("user", "api_key"):
        value = endpoint.options.get(option, "")
        if not value or "&" in value or "=" in value:
            raise Unfit(option, "the token of this dialect needs it, without & and =")
    if len(endpoint.options["api_key"]) > _KEY:
        raise Unfit("api_key", f"it holds at most {_KEY} characters")
    if not endpoint.secrets:
        raise Unfit("secrets", "the token is encrypted; give a secret of 16, 24 or 32 characters")
    for secret in endpoint.secrets:
        token.check(secret, endpoint.options.get("iv", ""))


def render(event: Event, endpoint: Endpoint, now: float) -> Request | None:
    """Return the request of a fax that ended; only the newest secret encrypts."""
    url = endpoint.inbound_url if event.inbound else endpoint.url
    if not url or event.fax is None or event.name not in {*ENDS, Name.RECEIVED}:
        return None
    options = endpoint.options
    proof = token.encrypt(
        token.Claim(options.get("user", ""), options.get("api_key", ""), int(now)),
        endpoint.secrets[0],
        options.get("iv", ""),
    )
    pairs = (
        ("token", proof),
        ("apikey", options.get("api_key", "")),
        *_common(event, event.fax),
        *_inbound(event.fax if event.inbound else None),
        *_outbound(event, None if event.inbound else event.fax),
        ("istest", "1" if event.test else "0"),
    )
    return Request("GET", writing.with_query(url, writing.lower_form(pairs)), endpoint.headers)


def understood(status: int, body: bytes) -> bool:
    """Return whether the status is of class 2."""
    del body
    return writing.good(status)


def _common(event: Event, fax: Fax) -> writing.Pairs:
    pages = fax.pages_confirmed if event.inbound else fax.pages
    return (
        ("faxtype", "1" if event.inbound else "0"),
        ("faxid", fax.id),
        ("faxsuccess", "1" if event.success else "0"),
        ("faxpages", str(pages) if pages is not None else ""),
        ("faxdateiso", writing.iso_seconds(event.at)),
        ("faxpwatermarkid", fax.document_id),
        ("hasbarcodedata", ""),  # nobody looks for barcodes
    )


def _inbound(fax: Fax | None) -> writing.Pairs:
    return (
        ("intofaxnumber", writing.dashed(fax.number)[:_NUMBER] if fax else ""),
        ("infromfaxnumber", writing.dashed(fax.peer)[:_NUMBER] if fax else ""),
        ("infromcpn", writing.digits(fax.peer)[:_NUMBER] if fax else ""),
        ("infromcsid", fax.remote_ident[:_NUMBER] if fax else ""),
    )


def _outbound(event: Event, fax: Fax | None) -> writing.Pairs:
    asked = event.submission if fax and event.submission and event.submission.source == "api" else None
    short, long = codes.words(event)
    return (
        ("outtofaxnumber", writing.dashed(fax.peer)[:_NUMBER] if fax else ""),
        ("outfromfaxnumber", writing.dashed(fax.number)[:_NUMBER] if fax else ""),
        ("outfromcpn", writing.digits(fax.caller_id)[:_NUMBER] if fax else ""),
        ("outfromcsid", fax.ident[:_NUMBER] if fax else ""),
        ("outsendfaxqueueid", asked.id[:_TEXT] if asked else ""),
        ("outsendfaxtrackingcode", asked.reference[:_TRACKING] if asked else ""),
        ("outresultcode", str(codes.RESULTS[event.name])[:_CODE] if fax else ""),
        ("outerrorcode", str(codes.error(event))[:_CODE] if fax else ""),
        ("outresultshortdescr", short[:_TEXT] if fax else ""),
        ("outresultdescr", long[:_TEXT] if fax else ""),
        ("outfaxattempts", str(len(fax.attempts)) if fax else ""),
    )
