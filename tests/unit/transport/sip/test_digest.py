"""Digest, both ends, against the examples of the RFCs and against each other."""

from __future__ import annotations

import pytest

from transport.sip.digest import LIFETIME, Answerer, Challenger, Credentials, Verdict, parse_params

ACCOUNT = Credentials("ata1", "s3cret")


@pytest.mark.parametrize("which", [0, 1])
def test_what_we_answer_is_what_we_accept(which: int) -> None:
    """Lost otherwise: devices or trunks cannot prove who they are, in MD5 or in SHA-256."""
    challenger = Challenger("faxrelay")
    challenge = challenger.challenges(100.0)[which]
    answer = Answerer(ACCOUNT).answer([challenge], "REGISTER", "sip:x")
    assert answer is not None
    assert challenger.username(answer[0]) == "ata1"
    assert challenger.check(answer[0], "s3cret", "REGISTER", 101.0) is Verdict.GOOD
    assert challenger.check(answer[0], "s3cret", "REGISTER", 101.5) is Verdict.STALE, "a counter is good for once"


def test_a_wrong_password_another_method_and_a_forged_nonce_are_refused() -> None:
    """Lost otherwise: somebody else's telephone sends faxes at our cost."""
    challenger = Challenger("faxrelay")
    challenge = challenger.challenges(0.0)[0]
    good = Answerer(ACCOUNT).answer([challenge], "INVITE", "sip:x")
    assert good is not None
    assert challenger.check(good[0], "wrong", "INVITE", 1.0) is Verdict.BAD
    assert challenger.check(good[0], "s3cret", "REGISTER", 1.0) is Verdict.BAD
    assert challenger.check(good[0], None, "INVITE", 1.0) is Verdict.BAD
    forged = Answerer(ACCOUNT).answer([Challenger("faxrelay").challenges(0.0)[0]], "INVITE", "sip:x")
    assert forged is not None
    assert challenger.check(forged[0], "s3cret", "INVITE", 1.0) is Verdict.STALE


def test_an_old_nonce_is_stale_and_no_misdeed() -> None:
    """Lost otherwise: a device that refreshes after a while is banned for it."""
    challenger = Challenger("faxrelay")
    answer = Answerer(ACCOUNT).answer([challenger.challenges(0.0)[1]], "REGISTER", "sip:x")
    assert answer is not None
    assert challenger.check(answer[0], "s3cret", "REGISTER", LIFETIME + 5) is Verdict.STALE
    assert "stale=true" in challenger.challenges(0.0, stale=True)[0]


def test_the_example_of_rfc_7616() -> None:
    """Lost otherwise: we agree with ourselves, and with nobody else (RFC 7616 3.9.1, for a nonce counter of 1)."""
    from transport.sip.digest import _response

    values = {
        "username": "Mufasa", "realm": "http-auth@example.org", "uri": "/dir/index.html", "nc": "00000001",
        "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", "qop": "auth",
        "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    }  # fmt: skip
    assert _response("md5", values, "Circle of Life", "GET") == "8ca523f5e9506fed4657c9700eebdbec"
    expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    assert _response("sha-256", values, "Circle of Life", "GET") == expected


def test_the_stronger_algorithm_is_answered_whatever_the_order() -> None:
    """Lost otherwise: a trunk that offers SHA-256 and MD5 gets the weaker (RFC 8760 2.4)."""
    for challenges in (Challenger("r").challenges(0.0), Challenger("r").challenges(0.0)[::-1]):
        answer = Answerer(ACCOUNT).answer(challenges, "INVITE", "sip:x")
        assert answer is not None
        assert "algorithm=SHA-256" in answer[0]


@pytest.mark.parametrize(
    "challenge",
    [
        "Basic realm=x", 'Digest realm="x"', 'Digest realm="x", nonce="y", algorithm=SHA-512-256',
        'Digest realm="x", nonce="y", qop="auth-int"', 'Digest realm="x, nonce="y"', "", "Digest",
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_not(challenge: str) -> None:
    """Lost otherwise: a strange challenge crashes the call, or gets our password in a form we did not mean."""
    assert Answerer(ACCOUNT).answer([challenge], "INVITE", "sip:x") is None


def test_commas_and_quotes_within_values_are_kept() -> None:
    """Lost otherwise: a carrier whose realm has a comma cannot be registered with."""
    found = parse_params('Digest realm="a, \\"b\\"", qop="auth,auth-int", stale=TRUE , nonce="x=="')
    assert found == {"realm": 'a, "b"', "qop": "auth,auth-int", "stale": "TRUE", "nonce": "x=="}
    answer = Answerer(ACCOUNT).answer(['Digest realm="a, \\"b\\"", nonce="x", opaque="o,p"'], "INVITE", "sip:x")
    assert answer is not None
    back = parse_params(answer[0])
    assert back is not None
    assert (back["realm"], back["opaque"]) == ('a, "b"', "o,p")


def test_the_counter_of_a_nonce_grows() -> None:
    """Lost otherwise: a trunk takes our second request for a replay of the first."""
    answerer = Answerer(ACCOUNT)
    challenge = Challenger("r").challenges(0.0)[0]
    counts = []
    for _ in range(2):
        answer = answerer.answer([challenge], "INVITE", "sip:x")
        assert answer is not None
        params = parse_params(answer[0])
        assert params is not None
        counts.append(params["nc"])
    assert counts == ["00000001", "00000002"]
