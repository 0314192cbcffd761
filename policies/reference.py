"""The reference of the policy files for people, made from the schema: ``docs/policies.md``."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias

from policies.entry import Entry, entry_in, fields_of
from policies.fields import SINGLE, UNIT, VALUE
from policies.policy import MEGABYTE
from policies.schema import PolicyFile

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

Schema: TypeAlias = dict[str, Any]

_INTRODUCTION = """\
# Policy files

<!-- Generated from policies/schema.py by policies/reference.py; a test compares them. -->

A policy is a folder of YAML files. Every file ending in `.yaml` or `.yml` is read; together they are one policy.
`domains`, `numbers`, `trunks`, `devices`, `users` and `api_keys` may stand in any number of files, `senders`,
`destinations`, `inbound`, `retries`, `retention`, `callbacks` and `cover` in one. The folder counts as a whole or not
at all: a mistake anywhere changes nothing and is told with file, line, column, key and remedy.

Values are read as they are written: `0312345678` keeps its zero, quoted or not. Words that some programs read as
booleans (`yes`, `no`, `on`, `off`, and so the country `"NO"`) must be quoted; what begins with `@` or `*` too.
Aliases, tags, merge keys, duplicate keys, empty values and unknown keys are errors.

A password never stands in a policy file: `env:NAME` names a variable of the service's environment, `file:/PATH` a file
that holds the password alone (a line break at its end does not count). Passwords of users and keys of the API, which
are only compared, stand there as their hashes.

Commented files to start from are in `policies/examples/`.

## How a mail is decided

1. **The sender.** Whom `senders.block` names is refused, whatever else is said here. A rule of a number's `senders`
   counts only with its proof. The sending number is the one named in the mail's
   `X-Fax-From`, if a rule permits it; else the one that lists the exact address; else the one that lists the domain;
   else the one that lists the subdomains of a domain above, the nearest first. Where several do at the same step, the
   one with the sender in `default_for` is taken; without it the mail is refused with their names. A mail that no rule
   lets through but one with proof `confirm` is held: its From address is mailed a link, at most 3 times an hour and 10
   a day, and at most 20 times an hour for one client. Without a click it is deleted, and nobody is told.
   Mail that a mailbox was polled for is refused instead.
2. **The mail's limits**: recipients, the size of each attachment, pages.
3. **Each recipient.** National digits are read by the `default_region` of the number, else of the domain. The number
   is rewritten, then the rules are looked at in order, and the first that fits decides. Premium, shared cost and
   satellite numbers are denied unless an `allow` rule names their type. Where the numbering plan cannot tell which of
   several countries a number belongs to, a rule that denies one of them applies, and a rule that allows must allow all.
4. **The number's quota.** A mail is taken whole or refused whole; what would never fit is refused for good.
5. **The hours of sending.** What is accepted outside of them is made ready and waits; its sender gets a mail that says
   until when. A retry that comes due outside waits, too, and so does a fax that found no free channel before closing.
6. **Approval.** When the pages are made, a fax that needs an approval waits for it. Those who may give it get a mail
   with links, the faxes of one mail together; the first answer counts. A refused fax tells its sender why.

## How a fax finds its trunk

A trunk serves a fax if its `numbers` name the sending number (or none) and its `prefixes` begin the number to dial (or
there are none). Those that serve it are tried by `priority`, the lower figure first; of equal priority the cheaper
first, by the cost of one minute and one page together; of equal cost as they stand in the files. At most 16 are tried.
A trunk that is down, or fails before the far end rings, gives way to the next without spending a retry.
`faxrelay policy explain` shows each trunk and why it is used or not.

## How a call that comes in is decided

1. **While it rings**, the entries of `inbound.block` without `csid` are looked at in order. With `junk: refuse`, the
   first that fits refuses the call unanswered (SIP 603).
2. **When the far machine has said its ident**, those with `csid` are looked at. With `junk: refuse` the call is hung up
   before its first page; pages that came nevertheless go to the quarantine, since their sender saw them confirmed.
3. **At the end** the first of `inbound.routes` that fits says who gets the fax, else the number's own entry.

The far side chooses its ident and, on most trunks, its number: blocks keep away who does not hide, routes must not
carry secrets. Our own `devices` are not blocked. `faxrelay policy explain --called NUMBER --caller NUMBER --csid TEXT`
shows what becomes of a call; `faxrelay fax list --state quarantined` what is in quarantine.

## Where a callback may go

An endpoint's host is resolved once, every address of the answer is checked, and the connection is made to a checked
address. Only public addresses are called, unless the endpoint names a range of `callbacks.networks`; multicast and
unspecified addresses cannot be named. A URL with a user in it, or with an address in an unusual spelling (`127.1`,
`0x7f000001`), is an error. Redirects are not followed, and proxies of the environment are not used.
"""


def render() -> str:
    """Return the reference as Markdown."""
    definitions = PolicyFile.model_json_schema(by_alias=True)["$defs"]
    parts = [_INTRODUCTION, _table(PolicyFile, "## Sections", definitions)]
    seen: set[type[Entry]] = {PolicyFile}
    pending: list[tuple[str, type[Entry]]] = [("", PolicyFile)]
    while pending:
        path, model = pending.pop(0)
        for key, info in fields_of(model).items():
            inner = entry_in(info.annotation)
            if inner is None or inner in seen:
                continue
            seen.add(inner)
            here = f"{path}.{key}".lstrip(".")
            parts.append(_table(inner, f"## `{here}`", definitions))
            pending.append((here, inner))
    return "\n".join(parts)


def _table(model: type[Entry], heading: str, definitions: Schema) -> str:
    described = model.model_json_schema(by_alias=True)["properties"]
    rows = []
    for key, info in fields_of(model).items():
        cells = (f"`{key}`", _value(described[key], definitions), _default(info), info.description or "")
        rows.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    head = ["| Key | Value | Default | Meaning |", "|---|---|---|---|"]
    return "\n".join([heading, "", (model.__doc__ or "").strip(), "", *head, *rows, ""])


def _value(schema: Schema, definitions: Schema) -> str:
    """Return what may be written, in words."""
    if "anyOf" in schema:  # "or null", which a file cannot say: leaving the key out is how
        schema = {**schema, **next(each for each in schema["anyOf"] if each.get("type") != "null")}
    if "$ref" in schema:
        schema = {**definitions[schema["$ref"].rpartition("/")[2]], **schema}
    value = str(schema[VALUE]) if VALUE in schema else _by_shape(schema, definitions)
    return f"{value} ({schema[UNIT]})" if UNIT in schema else value


def _by_shape(schema: Schema, definitions: Schema) -> str:
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema["type"] == "array":
        return ("one or a list of: " if schema.get(SINGLE) else "list of: ") + _value(schema["items"], definitions)
    if schema["type"] == "integer":
        highest = schema.get("maximum")
        return f"{schema['minimum']} " + ("or more" if highest is None else f"to {highest}")
    if "propertyNames" in schema:
        causes = _value(schema["propertyNames"], definitions)
        return f"{causes}, each with a {_value(schema['additionalProperties'], definitions)}"
    return "mapping, below"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if value is None or value == "" or isinstance(value, (Entry, dict)) or value == []:
        return ""
    values = value if isinstance(value, list) else [value]
    return ", ".join(f"`{_shown(each)}`" for each in values)


def _shown(value: object) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, timedelta):
        return f"{value.days}d" if value.days else f"{int(value.total_seconds()) // 60}m"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value and value % MEGABYTE == 0:
        return f"{value // MEGABYTE}MB"
    return str(value)
