"""The shape of ``users`` and ``api_keys`` in the policy files. An error never repeats a hash: it may be a secret."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import PlainValidator

from policies.entry import Entry, key
from policies.fields import Flag, SenderPattern, TelephoneNumber, Text, text_of, told, written
from policies.people import KeyScope, UserRole

#: What SASL PLAIN can carry and a log can show: no spaces, no colon, no control characters.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", re.ASCII)
#: PHC string of Argon2id: memory in KiB, passes, lanes, salt, hash.
_ARGON2 = re.compile(r"\$argon2id\$v=19\$m=\d{1,7},t=\d{1,3},p=\d{1,3}\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,88}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def _name(value: object) -> str:
    text = text_of(value)
    if not NAME.fullmatch(text):
        raise told("this is no name of a user", "write up to 64 letters, digits and . _ @ + -")
    return text


def _password_hash(value: object) -> str:
    text = text_of(value)
    if not _ARGON2.fullmatch(text):
        raise told("this is no Argon2id hash", "make one with `faxrelay user hash`, and write it in single quotes")
    return text


def _key_hash(value: object) -> str:
    text = text_of(value)
    if not _DIGEST.fullmatch(text):
        raise told("this is no hash of an API key", "make a key and its hash with `faxrelay user key`")
    return text.removeprefix("sha256:")


LoginName: TypeAlias = Annotated[str, PlainValidator(_name), written("name", type=["string", "integer"])]
PasswordHash: TypeAlias = Annotated[
    str, PlainValidator(_password_hash), written("hash by `faxrelay user hash`", pattern="^\\$argon2id\\$")
]
KeyHash: TypeAlias = Annotated[
    str, PlainValidator(_key_hash), written("hash by `faxrelay user key`", pattern="^sha256:[0-9a-f]{64}$")
]


class UserEntry(Entry):
    """A user who logs in. Declared here, the user can be changed here alone."""

    name: LoginName = key("What is given at login.")
    password_hash: PasswordHash = key("Argon2id hash of the password, as `faxrelay user hash` prints it.")
    addresses: list[SenderPattern] = key("As whom the user may send mail.", default_factory=list)
    role: UserRole = key(
        "What the user sees and does beside sending. `admin`: everything. `manager`: changes the `numbers`. `user`: "
        "sees the faxes of the `numbers`. `auditor`: sees everything, changes nothing.",
        default=UserRole.USER,
    )
    numbers: list[TelephoneNumber] = key("The relay's own numbers that a manager or user is for.", default_factory=list)
    disabled: Flag = key("`true`: may not log in.", default=False)
    description: Text = key("For people.", default="")


class ApiKeyEntry(Entry):
    """A key of the API."""

    name: LoginName = key("What the key is called, in logs too.")
    key_hash: KeyHash = key("SHA-256 of the key, as `faxrelay user key` prints it beside a new key.")
    scopes: list[KeyScope] = key(
        "What it is for. `read`: see faxes. `send`: send and cancel them. `change`: change numbers, devices and users.",
        default_factory=lambda: [KeyScope.READ, KeyScope.SEND],
        min_length=1,
    )
    numbers: list[TelephoneNumber] = key("The relay's own numbers that it is for; none: all.", default_factory=list)
    disabled: Flag = key("`true`: it opens nothing.", default=False)
    description: Text = key("For people.", default="")
