"""Users and API keys of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from policies import KeyScope, UserRole

if TYPE_CHECKING:
    from tests.unit.policies.conftest import LoadText, Mistakes

HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo"
NUMBER = "numbers: [{number: +97231234567, deliver_to: [a@example.com]}]\n"


def test_users_and_keys_are_known_by_hash_alone(load_text: LoadText) -> None:
    """Lost otherwise: whoever reads the files can log in."""
    policy = load_text(
        NUMBER + f"users:\n  - {{name: alice, password_hash: '{HASH}', addresses: ['@example.com'], role: manager, "
        f"numbers: [+97231234567]}}\napi_keys:\n  - {{name: shop, key_hash: 'sha256:{'ab' * 32}'}}\n"
    )
    alice, shop = policy.users["alice"], policy.api_keys["shop"]
    assert (alice.password_hash, alice.role, set(alice.numbers)) == (HASH, UserRole.MANAGER, {"+97231234567"})
    assert (str(alice.addresses[0]), alice.disabled, alice.source.line) == ("@example.com", False, 3)
    assert (shop.digest, set(shop.scopes)) == ("ab" * 32, {KeyScope.READ, KeyScope.SEND})


def test_a_secret_in_a_file_is_an_error_that_does_not_repeat_it(mistakes: Mistakes) -> None:
    """Lost otherwise: the log and the health page show a password that was pasted into the wrong place."""
    found = mistakes(
        "users: [{name: alice, password_hash: hunter2secret}]\napi_keys: [{name: a, key_hash: frk_topsecret}]"
    )
    assert len(found) == 2
    assert "secret" not in str(found)
