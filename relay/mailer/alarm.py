"""The mail to the person of an endpoint whose callbacks fail: what happened, what is held, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay.mailer import writing
from relay.mailer.notice import Notice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo


def alarm(told: Mapping[str, Any], zone: tzinfo) -> Notice:
    """Return the notice. ``told``: the delivery's payload: the endpoint, what happened, why, and when.

    In English, as the log and the commands are: it is for who runs the relay.
    """
    name, why = writing.one_line(told["endpoint"]), writing.one_line(told["why"])
    suspended = told["what"] == "suspended"
    if suspended:
        headline = f"Callbacks to the endpoint {name} are suspended."
        then = (
            "Nothing is lost: what happens is kept for it. When the endpoint answers again, "
            f"`faxrelay callback resume {name}` sends what is held, the oldest first."
        )
    else:
        headline = f"A callback to the endpoint {name} was given up."
        then = (
            f"`faxrelay callback log --endpoint {name}` shows each attempt, and `faxrelay callback replay` sends it "
            "again. You are told of this once, until a call succeeds."
        )
    facts = (("Endpoint", name), ("Reason", why), ("Time", writing.moment(told["at"], zone)))
    return Notice(
        title=f"Callbacks to {name} {'are suspended' if suspended else 'fail'}",
        headline=headline,
        lines=(f"The last answer: {why}.", then),
        facts=facts,
        offers=(),
        fax_id="",
    )
