"""The ways out, built out of settings: mail, reports of other programs' mails, machines of ours, callbacks.

Links in mails go to the listener's own address where no other is set; those in callbacks, and in mails that are opened
by their link, go out only where ``web.base_url`` says how the relay is reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING

from relay.callbacks.operations import lane_of
from relay.mailer.compose import Identity
from relay.mailer.device_lane import DeviceLane
from relay.mailer.disposition import DispositionLane
from relay.mailer.lane import Followed, MailLane
from relay.mailer.maildir import Maildir
from relay.mailer.signing import Signer
from relay.mailer.smarthost import Smarthost
from relay.reports import ReportAddresses
from relay.web.links import Action, Links

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable

    from relay.callbacks.lane import CallbackLane
    from relay.ids import IdSource
    from relay.mailer.enclosures import Enclosures
    from relay.mailer.language import Languages
    from relay.mailer.letter import Carrier
    from relay.outbox import Lane
    from relay.policy import PolicyHolder
    from relay.settings import Settings
    from relay.store.blobs import LocalBlobs
    from relay.store.engine import Store

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Builds the ways out. ``key``: what signs links; what is opened is closed with ``stack``."""

    settings: Settings
    store: Store
    blobs: LocalBlobs
    policy: PolicyHolder
    ids: IdSource
    clock: Callable[[], float]
    key: bytes
    enclosures: Enclosures
    languages: Languages
    stack: contextlib.AsyncExitStack

    def lanes(self, address: str, port: int) -> list[Lane]:
        """Return the lanes; ``address`` and ``port``: where the HTTP listener is."""
        settings = self.settings
        base = settings.web.base_url or f"http://{address}:{port}"
        links = Links(self.key, life=settings.web.link_days * DAY)
        carrier, identity = self._carrier(), Identity(settings.mail.sender, settings.mail.sender_name)
        hostname, domain = settings.smtp.hostname, settings.mail.reports_domain
        mail = MailLane(
            self.store,
            carrier,
            self.enclosures,
            self.languages,
            identity,
            lambda fax_id, at: links.url(base, Action.RESEND, fax_id, at),
            lambda answer, fax_id, position, until: links.answer(base, Action(answer), fax_id, position, until),
            hostname=hostname,
            zone=UTC,
            followed=Followed(
                None if settings.web.base_url is None else lambda one, at: links.url(base, Action.OPEN, one, at),
                ReportAddresses(self.key, domain).of if domain is not None else lambda _: "",
            ),
        )
        processed = DispositionLane(self.store, carrier, self.languages, identity, hostname=hostname, zone=UTC)
        device = DeviceLane(
            self.store, self.blobs, self.enclosures, self.languages, self.ids, self.clock, zone=UTC
        )  # fmt: skip
        return [mail, processed, device, self._callbacks()]

    def _callbacks(self) -> CallbackLane:
        web = self.settings.web
        download = None
        if web.base_url is not None:
            base, links = web.base_url, Links(self.key, life=web.download_days * DAY)

            def download(fax_id: int, at: float) -> str:
                return links.url(base, Action.FAX, fax_id, at)[0]

        lane = lane_of(self.policy, self.ids, self.clock, download)
        self.stack.push_async_callback(lane.close)
        return lane

    def _carrier(self) -> Carrier:
        mail = self.settings.mail
        sign = Signer(mail.dkim) if mail.dkim else None
        if mail.smarthost is None:
            return Maildir(self.settings.maildir, sign)
        return Smarthost(mail.smarthost, self.settings.smtp.hostname, sign=sign)
