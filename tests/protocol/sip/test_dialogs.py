"""Calls between two ends on a network that loses, repeats and crosses: no call is left over, none is answered twice."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import pytest

from transport.sip.digest import Answerer, Challenger, Credentials, Verdict
from transport.sip.stack import messages
from transport.sip.stack.dialogs import Reply

from .world import End, Way, World, pair

if TYPE_CHECKING:
    from transport.sip.stack.invitations import Summons
    from transport.sip.stack.station import Asked


def test_a_call_is_answered_and_ended() -> None:
    """Lost otherwise: no call works at all."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    assert near.happened == [("accepted", "v=0\r\n(ours)")]
    assert far.kinds() == ["acknowledged"]
    assert near.dialog is not None
    near.dialog.bye()
    world.run(1)
    assert far.happened[-1] == ("gone", "the far end hung up")
    world.run(100)
    assert near.idle()
    assert far.idle()


@pytest.mark.parametrize("seed", range(25))
def test_calls_survive_a_network_that_loses_and_repeats(seed: int) -> None:
    """Lost otherwise: one lost datagram leaves a call hanging at one end (RFC 3261 17)."""
    world, near, far, way = pair()
    rng = random.Random(seed)
    world.lose = lambda _: rng.random() < 0.25
    world.twice = lambda _: rng.random() < 0.2
    near.invite(way)
    world.run(40)
    assert near.kinds().count("accepted") + near.kinds().count("refused") == 1
    if near.dialog is not None:
        near.dialog.offer("v=0\r\n(t38)\r\n")
        world.run(40)
        near.dialog.bye()
    world.run(150)
    assert near.idle()
    assert far.idle()
    assert far.kinds().count("acknowledged") <= 2
    assert far.kinds().count("gone") <= 1


def test_an_answer_without_acknowledgement_is_repeated_and_then_given_up() -> None:
    """Lost otherwise: a caller that died keeps a channel for ever (RFC 3261 13.3.1.4)."""
    world, near, far, way = pair()
    world.lose = lambda text: text.startswith("ACK")
    near.invite(way)
    world.run(31)
    assert 5 < world.said("SIP/2.0 200") < 14
    assert far.kinds() == []
    world.run(5)
    assert far.happened == [("gone", "our answer was never acknowledged")]
    assert near.kinds() == ["accepted", "gone"]
    world.run(100)
    assert near.idle()
    assert far.idle()


def test_a_lost_acknowledgement_is_sent_again_with_the_answer() -> None:
    """Lost otherwise: one lost ACK ends the call after half a minute."""
    world, near, far, way = pair()
    lost: list[str] = []

    def lose(text: str) -> bool:
        if text.startswith("ACK"):
            lost.append(text)
        return text.startswith("ACK") and len(lost) < 3

    world.lose = lose
    near.invite(way)
    world.run(20)
    assert far.kinds() == ["acknowledged"]
    assert len(set(lost)) == 1, "the ACK is the same each time (RFC 3261 13.2.2.4)"


def test_silence_is_told_after_the_time_of_the_rfc() -> None:
    """Lost otherwise: a call to a dead trunk never ends."""
    world, near, _, way = pair()
    world.lose = lambda _: True
    near.invite(way)
    world.run(31.9)
    assert near.kinds() == []
    assert world.said("INVITE") == 7
    world.run(1)
    assert near.happened == [("refused", 408, "no answer")]
    world.run(100)
    assert near.idle()


def test_nothing_is_repeated_on_a_reliable_transport_but_the_answer() -> None:
    """Lost otherwise: each message comes several times over TCP (RFC 3261 17.1.1.2, 13.3.1.4)."""
    world, near, far, way = pair(reliable=True)
    far.answers = lambda summons: summons.trying()
    near.invite(way)
    world.run(10)
    assert world.said("INVITE") == 1
    assert far.summons is not None
    far.summons.refuse(486, "Busy Here")
    world.lose = lambda text: text.startswith("ACK")
    world.run(10)
    assert world.said("SIP/2.0 486") == 1


def test_a_cancel_before_any_response_waits_for_one() -> None:
    """Lost otherwise: the far end rings on although nobody calls (RFC 3261 9.1)."""
    world, near, far, way = pair()

    def late(summons: Summons) -> None:
        world.later(3.0, summons.trying)

    far.answers = late
    invitation = near.invite(way)
    world.run(1)
    invitation.cancel()
    world.run(1)
    assert world.said("CANCEL") == 0
    world.run(5)
    assert world.said("CANCEL") == 1
    assert far.happened == [("cancelled",)]
    assert near.kinds() == []
    world.run(100)
    assert near.idle()
    assert far.idle()


def test_an_answer_that_crosses_the_cancel_is_ended() -> None:
    """Lost otherwise: the far end stays in a call that we gave up."""
    world, near, far, way = pair()
    far.answers = lambda summons: summons.trying()
    invitation = near.invite(way)
    world.run(0.5)
    assert far.summons is not None
    far.answer(far.summons)
    invitation.cancel()
    world.run(2)
    assert near.kinds() == ["progressed"]
    assert far.kinds() == ["acknowledged", "gone"]
    world.run(100)
    assert near.idle()
    assert far.idle()


def test_a_second_fork_is_acknowledged_and_ended() -> None:
    """Lost otherwise: a second machine stays off hook for ever (RFC 3261 13.2.2.4)."""
    world, near, _, way = pair()
    other = End(world, "192.0.2.3")
    back = Way(world, ("192.0.2.3", 5060), ("192.0.2.1", 5060), near)
    back.back = Way(world, ("192.0.2.1", 5060), ("192.0.2.3", 5060), other, back)

    def late(summons: Summons) -> None:
        world.later(0.5, lambda: other.answer(summons))

    other.answers = late
    near.invite(way)
    invite = next(text for text in world.sent if text.startswith("INVITE"))
    other.station.receive(invite.encode(), back)
    world.run(0.3)
    assert near.kinds() == ["accepted"]
    world.run(2)
    assert near.kinds() == ["accepted"], "the second answer is no second call"
    byes = [text for text in world.sent if text.startswith("BYE")]
    assert len(byes) >= 1
    assert near.dialog is not None
    assert all(f"tag={near.dialog.tags[1]}" not in text for text in byes)


def test_of_two_offers_at_once_one_waits() -> None:
    """Lost otherwise: both ends switch to what the other has just left (RFC 3261 14.1)."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    assert near.dialog is not None
    assert far.dialog is not None
    assert near.dialog.offer("v=0\r\n(a)\r\n")
    assert far.dialog.offer("v=0\r\n(b)\r\n")
    assert not near.dialog.offer("v=0\r\n(c)\r\n"), "one at a time"
    world.run(2)
    assert near.happened[-1][:2] == ("answered", 491)
    assert far.happened[-1][:2] == ("answered", 491)
    assert far.dialog.offer("v=0\r\n(b)\r\n")
    world.run(2)
    assert ("offered", "v=0\r\n(b)") in near.happened
    assert far.happened[-1] == ("answered", 200, "v=0\r\n(answer)")


def test_a_refused_offer_leaves_the_call() -> None:
    """Lost otherwise: a 488 to T.38 ends the fax."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    far.reply = Reply(488, "Not Acceptable Here")
    assert near.dialog is not None
    near.dialog.offer("v=0\r\n(t38)\r\n")
    world.run(2)
    assert near.happened[-1] == ("answered", 488, "")
    near.dialog.bye()
    world.run(2)
    assert far.kinds()[-1] == "gone"


def test_a_far_end_that_forgot_the_call_ends_it() -> None:
    """Lost otherwise: after a crash of the far end the call goes on for ever at ours (RFC 3261 12.2.1.2)."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    far.station._dialogs.clear()
    assert near.dialog is not None
    near.dialog.offer("v=0\r\n")
    world.run(2)
    assert near.happened[-1][0] == "gone"
    assert "481" in str(near.happened[-1][1])


def _inside(near: End, world: World, way: Way, method: str, **headers: str) -> str:
    """Send a bare request within the dialog; return the first line of its answer."""
    near.invite(way)
    world.run(1)
    assert near.dialog is not None
    dialog = near.dialog
    request = dialog._request(method, "", list(headers.items()))
    before = len(world.sent)
    near.station.transactions.send(request, way, lambda _: None)
    world.run(1)
    return next(text for text in world.sent[before:] if text.startswith("SIP/2.0"))


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("UPDATE", 200), ("INFO", 200), ("OPTIONS", 200), ("REFER", 603), ("NOTIFY", 481), ("SUBSCRIBE", 489),
        ("PRACK", 481), ("MESSAGE", 405), ("NONSENSE", 405),
    ],
)  # fmt: skip
def test_every_request_within_a_call_is_answered(method: str, code: int) -> None:
    """Lost otherwise: a keep-alive of the far side goes unanswered, and it drops the call."""
    world, near, far, way = pair()
    assert _inside(near, world, way, method).startswith(f"SIP/2.0 {code} ")
    assert "gone" not in far.kinds()


def test_a_session_timer_is_echoed_with_its_refresher() -> None:
    """Lost otherwise: a far side with session timers drops the call after ninety seconds (RFC 4028 9)."""
    world, near, _, way = pair()
    headers = {"Supported": "timer", "Session-Expires": "90;refresher=uac"}
    answer = _inside(near, world, way, "UPDATE", **headers)
    assert "Session-Expires: 90;refresher=uac" in answer
    assert "Require: timer" in answer


def test_we_refresh_where_that_is_our_part() -> None:
    """Lost otherwise: a far side that leaves the refreshes to us drops the call when none comes."""
    world, near, far, way = pair()
    headers = {"Supported": "timer", "Session-Expires": "120;refresher=uas"}
    assert "refresher=uas" in _inside(near, world, way, "UPDATE", **headers)
    before = world.said("UPDATE")
    world.run(300)
    assert world.said("UPDATE") - before in (4, 5)
    assert "gone" not in far.kinds()
    world.lose = lambda text: text.startswith("UPDATE")
    world.run(200)
    assert far.kinds()[-1] == "gone", "a refresh that nobody answers is the end"


def test_an_old_request_is_not_obeyed() -> None:
    """Lost otherwise: a delayed re-INVITE undoes the switch to T.38 (RFC 3261 12.2.2)."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    assert near.dialog is not None
    near.dialog.offer("v=0\r\n(new)\r\n")
    world.run(1)
    near.dialog._number -= 5
    near.dialog.offer("v=0\r\n(old)\r\n")
    world.run(1)
    assert ("offered", "v=0\r\n(old)") not in far.happened
    assert near.happened[-1][:2] == ("answered", 500)


def test_the_same_invite_by_two_ways_is_one_call() -> None:
    """Lost otherwise: a proxy that forks to us twice rings two machines for one fax (RFC 3261 8.2.2.2)."""
    world, near, far, way = pair()
    near.invite(way)
    world.run(1)
    invite = next(text for text in world.sent if text.startswith("INVITE"))
    assert way.back is not None
    far.station.receive(re.sub(r"branch=\S+", "branch=z9hG4bKother", invite).encode(), way.back)
    world.run(1)
    assert world.said("SIP/2.0 482") == 1
    assert far.kinds() == ["acknowledged"]


def test_a_bye_before_the_acknowledgement_waits_for_it() -> None:
    """Lost otherwise: a callee that hangs up at once leaves the caller in a call that it cannot know (RFC 3261 15)."""
    world, near, far, way = pair()
    world.lose = lambda text: text.startswith("ACK")
    near.invite(way)
    world.run(1)
    assert far.dialog is not None
    far.dialog.bye()
    world.run(1)
    assert world.said("BYE") == 0
    world.lose = lambda _: False
    world.run(5)
    assert near.kinds() == ["accepted", "gone"]


@pytest.mark.parametrize("code", [401, 407])
def test_a_challenged_call_and_a_challenged_bye_prove_themselves(code: int) -> None:
    """Lost otherwise: a trunk that asks for the password again at the BYE bills the call for ever."""
    world, near, far, way = pair()
    challenger = Challenger("trunk, west")
    asks, answers = {401: ("WWW-Authenticate", "authorization"), 407: ("Proxy-Authenticate", "proxy-authorization")}[
        code
    ]
    inner = far.station._requested
    verdicts = []

    def proved(request: messages.Request) -> bool:
        for value in messages.texts(request, answers):
            verdicts.append(challenger.check(value, "s3cret", request.method, world.now))
            return verdicts[-1] is Verdict.GOOD
        return False

    def guarded(asked: Asked) -> None:
        if proved(asked.request):
            inner(asked)
        else:
            asked.reply(code, "Prove It", [(asks, value) for value in challenger.challenges(world.now)])

    far.station._requested = guarded
    near.invite(way, Answerer(Credentials("relay", "s3cret")))
    world.run(1)
    assert near.kinds() == ["accepted"]
    assert near.dialog is not None
    assert far.dialog is not None
    receive = far.dialog.receive

    def guarded_bye(request: messages.Request, transaction: object) -> None:
        if proved(request):
            receive(request, transaction)
        else:
            headers = [(asks, value) for value in challenger.challenges(world.now)]
            far.station.transactions.reply(request, transaction, code, "Prove It", headers)

    far.dialog.receive = guarded_bye  # type: ignore[method-assign]
    near.dialog.bye()
    world.run(2)
    assert far.kinds()[-1] == "gone"
    assert set(verdicts) == {Verdict.GOOD}


def test_a_wrong_password_is_tried_once() -> None:
    """Lost otherwise: our own retries look like an attack, and the trunk bans us."""
    world, near, far, way = pair()
    challenger = Challenger("trunk")

    def refuse(asked: Asked) -> None:
        asked.reply(407, "No", [("Proxy-Authenticate", value) for value in challenger.challenges(world.now)])

    far.station._requested = refuse
    near.invite(way, Answerer(Credentials("relay", "wrong")))
    world.run(40)
    assert near.happened == [("refused", 407, "No")]
    assert world.said("INVITE") == 2


def test_a_broken_connection_is_told_to_who_waits() -> None:
    """Lost otherwise: a call on a dead TCP connection waits half a minute, or for ever."""
    world, near, far, way = pair(reliable=True)
    far.answers = lambda summons: summons.trying()
    near.invite(way)
    world.run(1)
    near.station.broken(way, "the connection ended")
    assert near.happened == [("progressed", 100), ("refused", 503, "the connection ended")]


def test_a_refused_call_is_told_with_its_reason() -> None:
    """Lost otherwise: nobody learns from the line why a number cannot be called."""
    world, near, far, way = pair()

    def busy(summons: Summons) -> None:
        summons.refuse(486, "Busy Here", [("Reason", 'Q.850;cause=17;text="User busy"')])

    far.answers = busy
    near.invite(way)
    world.run(1)
    assert near.happened == [("refused", 486, "Busy Here (Q.850 17 User busy)")]


def test_tags_branches_and_call_ids_tell_nothing_of_us() -> None:
    """Lost otherwise: our machine's name is in every message, or ids can be guessed."""
    world, near, _, way = pair()
    for _ in range(3):
        near.invite(way)
    world.run(1)
    ids = re.findall(r"^Call-ID: (.*?)\r$", "".join(world.sent), re.MULTILINE)
    assert len(set(ids)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)
