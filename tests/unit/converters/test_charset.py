"""Which characters a text file's bytes are."""

from __future__ import annotations

import pytest

from converters.charset import decode

RUSSIAN = "Уважаемые господа! Просим подтвердить получение заказа."
HEBREW = "שלום רב, ההזמנה מוכנה ונשלחה היום"
GREEK = "Καλημέρα σας, η παραγγελία είναι έτοιμη."
GERMAN = "Schöne Grüße aus Zürich, es wäre gut, wenn Sie kämen."


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        (RUSSIAN, "windows-1251"),
        (RUSSIAN, "koi8-r"),
        (HEBREW, "windows-1255"),
        (GREEK, "windows-1253"),
        (GERMAN, "windows-1252"),
        (RUSSIAN, "utf-8"),
        (HEBREW, "utf-16"),
        (GERMAN, "utf-16-le"),
        (GERMAN, "utf-8-sig"),
        (GREEK, "utf-32"),
    ],
)
def test_text_without_a_declared_charset_is_read(text: str, codec: str) -> None:
    """Lost otherwise: a letter in Cyrillic or Hebrew arrives as rows of accented Latin letters."""
    assert decode(text.encode(codec))[0] == text


@pytest.mark.parametrize("claim", ["zip", "hex", "no-such", "utf-7\r\n", "", "idna", "rot13"])
def test_a_false_claim_is_not_followed(claim: str) -> None:
    """Lost otherwise: a hostile charset parameter unpacks a bomb or raises in the middle of a mail."""
    assert decode(GERMAN.encode("windows-1252"), claim)[0] == GERMAN


def test_a_true_claim_is_followed() -> None:
    """Lost otherwise: charsets that no guess knows cannot be sent at all."""
    assert decode("Zażółć gęślą jaźń".encode("iso-8859-2"), "ISO-8859-2") == ("Zażółć gęślą jaźń", "ISO-8859-2")
