"""Endpoints of callbacks: what is refused when the files are read, with its field and reason, and what is meant."""

from __future__ import annotations

import pytest

from policies import OpenedBy
from policies.dialects import METHODS, TOLD
from policies.endpoints import CallbackEvent, Dialect, Method

from .conftest import LoadText, Mistakes

HOUSE = """
domains: [{name: fax.example.com}]
numbers:
  - {number: "+97231234567", deliver_to: [alice@example.com]}
  - {number: "+97237654321", deliver_to: [bob@example.com]}
users:
  - name: dana
    password_hash: '$argon2id$v=19$m=65536,t=3,p=4$bm90IGEgcmVhbCBzYWx0$bm90IGEgcmVhbCBoYXNoIG5vdCBhIHJlYWwgaGFzaA'
    numbers: ["+97231234567"]
  - name: root
    password_hash: '$argon2id$v=19$m=65536,t=3,p=4$bm90IGEgcmVhbCBzYWx0$bm90IGEgcmVhbCBoYXNoIG5vdCBhIHJlYWwgaGFzaA'
    role: admin
  - name: idle
    password_hash: '$argon2id$v=19$m=65536,t=3,p=4$bm90IGEgcmVhbCBzYWx0$bm90IGEgcmVhbCBoYXNoIG5vdCBhIHJlYWwgaGFzaA'
"""
SECRET = "secrets: ['env:S']"
SFAX = f"dialect: sfax, {SECRET}"


def policy(keys: str) -> str:
    """Return a policy with one endpoint of these keys beside its name and URL."""
    url = "" if keys.startswith("url:") else "url: 'https://a.example/', "
    entry = f"{{name: crm, {url}{keys}}}"
    return f"{HOUSE}callbacks:\n  endpoints:\n    - {entry}\n"


@pytest.mark.parametrize(
    ("keys", "field", "why"),
    [
        (f"url: 'ftp://a.example/', {SECRET}", "url", "does not begin with https:// or http://"),
        (f"url: 'https://u:p@a.example/', {SECRET}", "url", "must not hold a user or a password"),
        (f"url: 'http://0x7f.1/', {SECRET}", "url", "address in an unusual spelling"),
        (f"inbound_url: 'a.example', {SECRET}", "inbound_url", "does not begin with https:// or http://"),
        ("dialect: soap", "dialect", "soap"),
        (f"headers: {{Host: b.example}}, {SECRET}", "headers", "the relay writes the header Host itself"),
        (f"headers: {{User-Agent: me}}, {SECRET}", "headers", "the relay writes the header User-Agent itself"),
        (f'headers: {{X-A: "a\\nX-B: b"}}, {SECRET}', "headers", "up to 2000 printable ASCII characters"),
        (f"headers: {{X A: b}}, {SECRET}", "headers", "is no name of a header"),
        (f"headers: {{X-A: b}}, secret_headers: {{x-a: 'env:S'}}, {SECRET}", "secret_headers", "stands in headers too"),
        ("dialect: interfax-soap, headers: {SOAPAction: x}", "headers.SOAPAction", "writes the header SOAPAction"),
        (
            "dialect: interfax, user: anna, password: 'env:P', headers: {Authorization: x}",
            "headers.Authorization", "user and password make this header",
        ),
        (f"schedule: daily, {SECRET}", "schedule", "daily"),
        (f"attempts: 5, {SECRET}", "endpoints[0]", "attempts and interval need each other"),
        (f"schedule: sfax, delays: [1s], {SECRET}", "endpoints[0]", "the entry has two schedules"),
        (f"attempts: 500, interval: 1s, {SECRET}", "attempts", "100"),
        (f"timeout: 10m, {SECRET}", "timeout", "is no time to wait for an answer"),
        (f"suspend_after: 5000, {SECRET}", "suspend_after", "1000"),
        ("secrets: ['env:A', 'env:B', 'env:C']", "secrets", "2"),
        ("trigger: action", "endpoints[0]", "the dialect standard signs, and needs a secret"),
        ("secrets: [hunter2]", "secrets", "env:"),
        (f"dialect: interfax, {SECRET}", "secrets", "the dialect interfax signs nothing"),
        (f"dialect: assinaturas, {SECRET}", "secrets", "the dialect assinaturas signs nothing"),
        ("dialect: interfax-soap, inbound_url: 'https://a.example/in'", "inbound_url", "only of faxes that are sent"),
        ("dialect: interfax-soap, inbound_url: 'https://a.example/'", "inbound_url", "only of faxes that are sent"),
        ("dialect: interfax, inbound_url: 'https://a.example/in'", "inbound_url", "only of faxes that are sent"),
        ("dialect: esms, inbound_url: 'https://a.example/in'", "inbound_url", "only of faxes that are sent"),
        (f"user: anna, {SECRET}", "user", "the dialect standard has no password"),
        ("dialect: interfax, password: 'env:P'", "password", "a password stands without a user"),
        (SFAX, "endpoints[0]", "the dialect sfax needs user and api_key"),
        (f"{SFAX}, options: {{user: 'a&b', api_key: k}}", "options.user", "which the token cannot carry"),
        (f"{SFAX}, options: {{user: a, api_key: {'k' * 33}}}", "options.api_key", "at most 32 characters"),
        (f"{SFAX}, options: {{user: a, api_key: k, iv: short}}", "options.iv", "has 16 ASCII characters"),
        (f"{SFAX}, options: {{user: a, api_key: k, colour: red}}", "options.colour", "sfax has no option colour"),
        ("dialect: assinaturas, options: {signature: SIGNED}", "options.signature", "SIGNED is no action"),
        ("dialect: esms, options: {type_id: 3}", "options.type_id", "3 is no type"),
        ("dialect: esms, options: {region: XX}", "options.region", "XX is no country"),
        (f"dialect: esms, options: {{secret_key: SMSID}}, {SECRET}", "options.secret_key", "has a key of this name"),
        ("dialect: esms, options: {secret_key: token}", "options.secret_key", "has no effect without a secret"),
        ("dialect: esms, options: {tempid: 7}", "options.tempid", "the option tempid has no effect with type_id 2"),
        (f"trigger: flow, events: [fax.sent], {SECRET}", "events", "trigger flow has no fax.sent"),
        ("dialect: esms, events: [fax.received]", "events", "the dialect esms does not tell fax.received"),
        (f"{SFAX}, options: {{user: a, api_key: k}}, events: [fax.queued]", "events", "does not tell fax.queued"),
        ("dialect: interfax, trigger: flow", "trigger", "the dialect interfax tells nothing of trigger flow"),
        (f"when: never, events: [fax.sent], {SECRET}", "events", "events have no effect with when never"),
        (f"numbers: ['+12025550100'], {SECRET}", "numbers", "is none of the relay's numbers"),
        (f"networks: [office], {SECRET}", "networks", "there is no network office"),
        (f"method: GET, {SECRET}", "method", "the dialect standard calls by POST or PUT alone"),
        ("dialect: esms, method: POST", "method", "the dialect esms calls by GET alone"),
        ("dialect: interfax, method: PUT", "method", "the dialect interfax calls by POST alone"),
        (f"method: BREW, {SECRET}", "method", "BREW"),
        (f"account: nobody, {SECRET}", "account", "there is no user nobody in the policy"),
        (f"account: idle, {SECRET}", "account", "the user idle is for no number"),
        (f"account: dana, numbers: ['+97231234567'], {SECRET}", "account", "account and numbers stand together"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_with_its_field_and_the_reason(
    mistakes: Mistakes, keys: str, field: str, why: str
) -> None:
    """Lost otherwise: a mistake shows as callbacks that fail, or as ones that never come, days later."""
    (told,) = mistakes(policy(keys))
    assert field in told
    assert why in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("keys", "numbers", "account"),
    [
        (f"account: dana, {SECRET}", {"+97231234567"}, "dana"),
        (f"account: root, {SECRET}", set(), "root"),
        (f"numbers: ['+97237654321'], {SECRET}", {"+97237654321"}, ""),
        (SECRET, set(), ""),
    ],
)
def test_an_endpoint_is_told_of_its_accounts_numbers(
    load_text: LoadText, keys: str, numbers: set[str], account: str
) -> None:
    """Lost otherwise: a customer's program hears of another customer's faxes."""
    (found,) = load_text(policy(keys)).callbacks.values()
    assert (set(found.numbers), found.account) == (numbers, account)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect_has_a_usual_method_and_something_to_tell(load_text: LoadText, dialect: Dialect) -> None:
    """Lost otherwise: an entry that is right is refused."""
    needs = {
        Dialect.SFAX: f"{SECRET}, options: {{user: a, api_key: k}}", Dialect.STANDARD: SECRET,
    }.get(dialect, "notes: ''")  # fmt: skip
    for method in METHODS[dialect]:
        for event in sorted(TOLD[dialect], key=lambda one: one.value):
            keys = f"dialect: {dialect.value}, method: {method.value}, events: [{event.value}], {needs}"
            (found,) = load_text(policy(keys)).callbacks.values()
            assert (found.method, set(found.events)) == (method, {event})
    assert METHODS[Dialect.STANDARD] == (Method.POST, Method.PUT)
    assert TOLD[Dialect.STANDARD] == set(CallbackEvent)


def test_a_number_that_mails_no_faxes_is_not_asked_who_opened_them(load_text: LoadText, mistakes: Mistakes) -> None:
    """Lost otherwise: a key stands in the file and does nothing."""
    keys = "deliver_to: [a@example.com], opened_by: [link, receipt]"
    (found,) = load_text(
        f"domains: [{{name: fax.example.com}}]\nnumbers: [{{number: '+97231234567', {keys}}}]"
    ).numbers.values()
    assert found.opened_by == set(OpenedBy)
    keys = "features: [mail_to_fax], senders: [{match: '@example.com', proof: dmarc}], opened_by: [link]"
    (told,) = mistakes(f"domains: [{{name: fax.example.com}}]\nnumbers: [{{number: '+97231234567', {keys}}}]")
    assert "opened_by" in told
    assert "this number receives no faxes by mail" in told
