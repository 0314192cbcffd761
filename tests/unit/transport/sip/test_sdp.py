"""Session descriptions: offers, answers, what of them we take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transport.order import ErrorCorrection, MediaKind
from transport.seam import T38Mode
from transport.sip import sdp
from transport.sip.session import Session

HEAD = "v=0\r\no=x 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n"
AUDIO = (
    "m=audio 4000 RTP/AVP 18 0 8 101\r\na=rtpmap:18 G729/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
IMAGE = "m=image 5000 udptl t38\r\na=T38FaxVersion:0\r\na=T38FaxMaxDatagram:200\r\na=T38FaxUdpEC:t38UDPFEC\r\n"


def _session(t38: T38Mode = T38Mode.AUTO, codecs: tuple[int, ...] = (8, 0)) -> Session:
    return Session(t38, codecs, host="198.51.100.1", rtp=30000, udptl=30002, number=7)


def test_an_offer_of_audio_is_answered_with_one_codec_of_ours() -> None:
    """Lost otherwise: the far side sends G.729, which no fax survives."""
    session = _session()
    answer = session.answer_text(HEAD + AUDIO)
    assert answer is not None
    assert "m=audio 30000 RTP/AVP 8 101\r\n" in answer
    assert session.media is not None
    assert (session.media.kind, session.media.host, session.media.port) == (MediaKind.RTP, "192.0.2.9", 4000)
    assert (session.media.payload_type, session.media.events, session.media.held) == (8, 101, False)


def test_every_m_line_of_an_offer_is_answered_in_its_place() -> None:
    """Lost otherwise: the far side drops the call, for the answer does not fit its offer (RFC 3264 6)."""
    offer = HEAD + "m=video 6000 RTP/AVP 96\r\n" + AUDIO + IMAGE
    session = _session()
    answer = session.answer_text(offer)
    assert answer is not None
    lines = [line for line in answer.splitlines() if line.startswith("m=")]
    assert [line.split()[:2] for line in lines] == [["m=video", "0"], ["m=audio", "0"], ["m=image", "30002"]]
    assert "a=T38FaxUdpEC:t38UDPFEC" in answer
    assert session.media is not None
    assert (session.media.error_correction, session.media.max_datagram) == (ErrorCorrection.FEC, 200)


def test_t38_is_not_taken_where_it_is_switched_off() -> None:
    """Lost otherwise: a trunk known to break T.38 breaks it again."""
    session = _session(T38Mode.NEVER)
    assert session.answer_text(HEAD + IMAGE) is None
    assert session.answer_text(HEAD + AUDIO + IMAGE) is not None
    assert session.media is not None
    assert not session.media.t38


@pytest.mark.parametrize(
    ("line", "held", "answer"),
    [
        ("a=sendrecv", False, "a=sendrecv"), ("a=sendonly", True, "a=recvonly"),
        ("a=inactive", True, "a=inactive"), ("a=recvonly", False, "a=sendonly"),
    ],
)  # fmt: skip
def test_hold_is_understood_and_answered(line: str, held: bool, answer: str) -> None:
    """Lost otherwise: a call on hold is taken for a dead one, or sent to all the same."""
    session = _session()
    text = session.answer_text(HEAD + AUDIO.replace("a=sendrecv", line))
    assert text is not None
    assert answer in text
    assert session.media is not None
    assert session.media.held is held


def test_an_address_of_zeros_is_hold() -> None:
    """Lost otherwise: old PBXs' hold sends our packets nowhere."""
    session = _session()
    session.answer_text(HEAD.replace("c=IN IP4 192.0.2.9", "c=IN IP4 0.0.0.0") + AUDIO)
    assert session.media is not None
    assert session.media.held


def test_a_refused_offer_of_t38_leaves_audio_and_its_text() -> None:
    """Lost otherwise: after a 488 the session is of image on our side and of audio on theirs."""
    session = _session()
    first = session.offer()
    assert session.heard(HEAD + "m=audio 4000 RTP/AVP 0\r\n") is not None
    offer = session.offer_t38()
    assert "m=image 30002 udptl t38" in offer
    assert "m=audio" not in offer
    session.withdraw()
    again = session.offer()
    assert again.split("m=", 1)[1] == first.split("m=", 1)[1]
    assert session.media is not None
    assert session.media.payload_type == 0, "the answerer's codec counts"


def test_a_later_offer_has_as_many_m_lines_as_the_session() -> None:
    """Lost otherwise: strict peers answer 488 to our T.38 (RFC 3264 8)."""
    session = _session()
    session.answer_text(HEAD + AUDIO + "m=image 0 udptl t38\r\n")
    lines = [line.split()[:2] for line in session.offer_t38().splitlines() if line.startswith("m=")]
    assert lines == [["m=audio", "0"], ["m=image", "30002"]]


def test_the_version_grows_with_each_change_and_only_then() -> None:
    """Lost otherwise: a far side takes a changed description for the old one, or a refresh for a change."""

    def version(text: str) -> int:
        return int(text.splitlines()[1].split()[2])

    session = _session()
    one, two = session.offer(), session.offer()
    assert version(one) == version(two) == 1
    assert session.heard(HEAD + AUDIO) is not None
    assert version(session.offer_t38()) == 2
    session.withdraw()
    assert version(session.offer_t38()) > 2


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "v=0\r\nm=audio\r\n", "v=0\r\nm=audio 99999 RTP/AVP 0\r\n",
        HEAD + "m=audio 1 RTP/AVP 0\r\nc=IN IP4 x\r\n",
        "v=0\r\n" + "m=audio 1 RTP/AVP 0\r\n" * 50, "v=0\r\n" + "a=x\r\n" * 1000,
    ],
)  # fmt: skip
def test_what_is_no_description_is_refused(text: str) -> None:
    """Lost otherwise: a broken body crashes the call, or eats the memory."""
    with pytest.raises(sdp.BadSdp):
        sdp.parse(text)


@given(st.text(max_size=300))
def test_no_text_crashes_the_reader_and_its_summary_is_one_line(text: str) -> None:
    """Lost otherwise: a hostile body takes the line down, or forges lines of the trace."""
    said = sdp.summary("v=0\r\n" + text)
    assert "\n" not in said
    assert _session().heard(HEAD + text) is None or _session().heard(HEAD + text) is not None


@pytest.mark.parametrize("hostile", ["x\r\na=evil", "RTP/AVP;<script>", "a" * 100])
def test_what_goes_back_of_an_offer_is_tokens(hostile: str) -> None:
    """Lost otherwise: a stream that we refuse writes lines into our answer."""
    session = _session()
    offer = HEAD + f"m={hostile} 1 RTP/AVP 0\r\n" + AUDIO
    answer = session.answer_text(offer)
    assert answer is None or hostile not in answer


def test_a_small_datagram_limit_still_holds_an_image_packet() -> None:
    """Lost otherwise: an adapter that says 0 or 40 gets no fax at all."""
    session = _session()
    session.answer_text(HEAD + IMAGE.replace("T38FaxMaxDatagram:200", "T38FaxMaxDatagram:0"))
    assert session.media is not None
    assert session.media.max_datagram == 72
