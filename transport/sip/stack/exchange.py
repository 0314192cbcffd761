"""A request that is not INVITE, and its final answer; sent again with credentials if challenged (RFC 3261 22)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transport.sip.stack import messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from transport.sip.digest import Answerer
    from transport.sip.stack.messages import Flow, Request, Response
    from transport.sip.stack.transactions import Transactions

_CHALLENGES = {401: ("www-authenticate", "Authorization"), 407: ("proxy-authenticate", "Proxy-Authorization")}
_MOST_STALE = 2


class Authorizer:
    """Answers the challenges to one request: once for each who asks, again where only the nonce was stale."""

    def __init__(self, answerer: Answerer | None) -> None:
        self._answerer = answerer
        self._stale = 0
        self.headers: dict[str, str] = {}

    def again(self, response: Response, method: str, uri: str) -> bool:
        """Return whether the request is worth sending again, with :attr:`headers`."""
        if response.scode not in _CHALLENGES or self._answerer is None or response.fault:
            return False
        asks, answers = _CHALLENGES[response.scode]
        answer = self._answerer.answer(messages.texts(response, asks), method, uri)
        if answer is None:
            return False
        value, stale = answer
        if answers in self.headers:
            self._stale += 1
            if not stale or self._stale > _MOST_STALE:
                return False
        self.headers[answers] = value
        return True


def exchange(
    transactions: Transactions,
    flow: Flow,
    answerer: Answerer | None,
    build: Callable[[list[tuple[str, str]]], Request],
    done: Callable[[Response], None],
) -> Callable[[], None]:
    """Send what ``build`` makes (with the headers it is given) until the final answer; return what abandons it."""
    authorizer = Authorizer(answerer)
    state: dict[str, Any] = {}

    def attempt() -> None:
        request = build(list(authorizer.headers.items()))
        state["transaction"] = transactions.send(request, flow, lambda response: answered(request, response))

    def answered(request: Request, response: Response) -> None:
        if response.scode < 200:  # noqa: PLR2004  provisional
            return
        if authorizer.again(response, request.method, request.uri):
            attempt()
        else:
            done(response)

    attempt()
    return lambda: transactions.abandon(state["transaction"])
