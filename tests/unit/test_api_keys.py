"""Keys of the API: made once, known by their hash."""

from __future__ import annotations

import re

from policies import ApiKey, KeyScope, Source
from relay.api_keys import ApiKeys, digest_of, new_key


def test_a_key_is_found_by_what_it_hashes_to() -> None:
    """Lost otherwise: nobody opens the API, or a disabled or made-up key does."""
    good, off = new_key(), new_key()
    assert re.fullmatch(r"frk_[A-Za-z0-9_-]{43}", good)
    declared = {
        name: ApiKey(name, digest_of(key), frozenset({KeyScope.READ}), frozenset(), disabled, Source("p.yaml", 1))
        for name, key, disabled in (("shop", good, False), ("till", off, True))
    }
    policy = [declared]
    keys = ApiKeys(lambda: policy[0])
    found = keys.find(good)
    assert found is not None
    assert found.name == "shop"
    for text in (off, new_key(), "", digest_of(good), "\ud800" * 10, "x" * 10_000):
        assert keys.find(text) is None
    policy[0] = {}
    assert keys.find(good) is None
