"""The entries of all files to one :class:`Policy`: the checks between entries, and the indexes.

Every error is collected; the policy that is built beside them counts only if there is none. Invariants that the checks
establish: a number, a domain and an override's prefix stand once; each key that is given has an effect; each rewriting
rule does what its proof says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from policies.addresses import Pattern, Reach
from policies.approval_schema import approval_of, check_wait
from policies.cover_schema import Covers
from policies.endpoints_compiler import compile_endpoints
from policies.features import features_of
from policies.hours_schema import hours_of
from policies.inbound import Inbound
from policies.inbound_compiler import InboundCompiler
from policies.lines_compiler import LinesCompiler
from policies.numbers import BadNumber, parse_number
from policies.paper import usual_paper
from policies.people_compiler import PeopleCompiler
from policies.policy import (
    DestinationRule,
    Destinations,
    Domain,
    Feature,
    Limits,
    MailOption,
    Number,
    Override,
    Policy,
    Proof,
    RetrySettings,
    SenderIndex,
    SenderRule,
    Settings,
    Source,
)
from policies.retention import Retention
from policies.retention_schema import merged_retention, retention_of
from policies.rewriting import BadRewrite, Rewrite, check_template
from policies.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta

    from policies.document import Branch
    from policies.endpoints import CallbackEndpoint
    from policies.errors import PolicyError
    from policies.people import DeclaredUser
    from policies.schema import (
        DestinationsEntry,
        DomainEntry,
        NumberEntry,
        OverrideEntry,
        RetriesEntry,
        RewriteEntry,
        RuleEntry,
        SenderEntry,
    )
    from policies.validation import Sections


def compile_policy(files: Sequence[Sections]) -> tuple[Policy, list[PolicyError]]:
    """Return the policy that ``files`` make together, and what is wrong between them."""
    compiler = _Compiler(files)
    for sections in files:
        for domain, key, branch in sections.domains:
            compiler.domain(compiler.scope(sections, key, branch), domain)
        for number, key, branch in sections.numbers:
            compiler.number(compiler.scope(sections, key, branch), number)
    people = compiler.people(files)
    policy = Policy(
        compiler.domains,
        compiler.numbers,
        compiler.sender_index(files),
        compiler.destinations(files),
        compiler.retries,
        compiler.lines.trunks,
        compiler.lines.devices,
        compiler.retention,
        compiler.inbound(files),
        people.users,
        people.api_keys,
        compiler.callbacks(files, people.users),
    )
    return policy, compiler.errors


class _Compiler:
    """Takes entry after entry; what numbers refer to (retries, devices) is there before the first of them."""

    def __init__(self, files: Sequence[Sections]) -> None:
        self.errors: list[PolicyError] = []
        self.domains: dict[str, Domain] = {}
        self.numbers: dict[str, Number] = {}
        self._lost = frozenset[str]().union(*(sections.lost for sections in files))
        self.retries = self._retry_settings(files)
        self.retention = self._retention(files)
        self.covers = self._covers(files)
        self.lines = self._lines(files)
        self._rules: dict[Reach, dict[str, list[SenderRule]]] = {reach: {} for reach in Reach}
        self._defaults: dict[Pattern, tuple[str, Source]] = {}

    def scope(self, sections: Sections, key: str, branch: Branch) -> Scope:
        """Return the scope of an entry."""
        return Scope(self.errors, sections.file, key, branch)

    def sender_index(self, files: Sequence[Sections]) -> SenderIndex:
        by_reach = {
            reach: {subject: tuple(rules) for subject, rules in subjects.items()}
            for reach, subjects in self._rules.items()
        }
        return SenderIndex(
            by_reach[Reach.ADDRESS],
            by_reach[Reach.DOMAIN],
            by_reach[Reach.SUBDOMAINS],
            self._defaults,
            self._blocked(files),
        )

    def _blocked(self, files: Sequence[Sections]) -> dict[Pattern, Source]:
        found = [(self.scope(each, *each.senders[1:]), each.senders[0]) for each in files if each.senders]
        self._one_only("senders", [scope for scope, _ in found])
        if not found:
            return {}
        scope, entry = found[0]
        scope.no_repeats("block", entry.block)
        return {pattern: scope.source("block", index) for index, pattern in enumerate(entry.block)}

    def inbound(self, files: Sequence[Sections]) -> Inbound:
        found = [(self.scope(each, *each.inbound[1:]), each.inbound[0]) for each in files if each.inbound]
        self._one_only("inbound", [scope for scope, _ in found])
        return InboundCompiler(self.numbers, self.lines, self._lost).compile(*found[0]) if found else Inbound()

    def callbacks(self, files: Sequence[Sections], users: Mapping[str, DeclaredUser]) -> dict[str, CallbackEndpoint]:
        found = [(self.scope(each, *each.callbacks[1:]), each.callbacks[0]) for each in files if each.callbacks]
        self._one_only("callbacks", [scope for scope, _ in found])
        return compile_endpoints(*found[0], self.numbers, users, lost=self._lost) if found else {}

    def people(self, files: Sequence[Sections]) -> PeopleCompiler:
        people = PeopleCompiler(self.numbers, complete="numbers" not in self._lost)
        for sections in files:
            for user, key, branch in sections.users:
                people.user(self.scope(sections, key, branch), user)
            for api_key, key, branch in sections.api_keys:
                people.api_key(self.scope(sections, key, branch), api_key)
        return people

    def domain(self, scope: Scope, entry: DomainEntry) -> None:
        first = self.domains.get(entry.name)
        if first is not None:
            scope.twice("domain", entry.name, first.source, "name")
            return
        self.domains[entry.name] = Domain(entry.name, entry.default_region, entry.language, scope.source("name"))

    def number(self, scope: Scope, entry: NumberEntry) -> None:
        first = self.numbers.get(entry.number)
        if first is not None:
            scope.twice("number", entry.number, first.source, "number")
            return
        features = features_of(scope, entry, self.lines)
        scope.no_repeats("deliver_to", entry.deliver_to)
        scope.no_repeats("features", entry.features)
        check_wait(scope, entry.confirm_within, "confirm_within")
        if "schedule_within" in entry.model_fields_set and MailOption.SCHEDULE not in entry.mail_options:
            scope.tell("it has no effect without the mail option schedule", "add it to mail_options", "schedule_within")
        if entry.ocr and Feature.FAX_TO_MAIL not in entry.features:
            scope.tell("it has no effect without the feature fax_to_mail", "add it to features", "ocr")
        limits = entry.limits
        self.numbers[entry.number] = Number(
            number=entry.number,
            description=entry.description,
            features=features,
            deliver_to=tuple(entry.deliver_to),
            default_region=entry.default_region,
            language=entry.language,
            limits=Limits(
                limits.quota(), limits.per_sender.quota(), limits.pages, limits.attachment_bytes, limits.recipients
            ),
            settings=Settings(
                ident=entry.ident or entry.number,
                header=entry.header,
                caller_id=entry.caller_id or entry.number,
                receipt_pages=entry.receipt_pages,
                resolution=entry.resolution,
                mode=entry.mode,
                paper=entry.paper or usual_paper(entry.number),
                priority=entry.priority,
                share_of_line=entry.share_of_line,
                retries=self._retries(scope, entry),
                hours=hours_of(scope.at("hours"), entry.hours) if entry.hours is not None else None,
                accepted_mail=entry.accepted_mail,
                delayed_mail=entry.delayed_mail,
            ),
            source=scope.source("number"),
            deliver_to_devices=tuple(entry.deliver_to_devices),
            inbound_calls=entry.inbound_calls,
            ocr=entry.ocr,
            mail_options=frozenset(entry.mail_options),
            body=entry.body,
            retention=retention_of(self.retention, scope, entry.retention),
            confirm_within=entry.confirm_within,
            schedule_within=entry.schedule_within,
            zone=entry.time_zone or (entry.hours.zone if entry.hours is not None else "UTC"),
            approval=approval_of(scope, entry.approval, limits.pages),
            cover=self.covers.of_number(scope, entry),
            opened_by=frozenset(entry.opened_by),
        )
        if Feature.MAIL_TO_FAX in entry.features:
            self._senders(scope, entry)

    def _retries(self, scope: Scope, entry: NumberEntry) -> RetrySettings:
        return self.retries if entry.retries is None else _merge(self.retries, scope.at("retries"), entry.retries)

    def _senders(self, scope: Scope, entry: NumberEntry) -> None:
        rules = []
        seen: dict[tuple[Pattern, Proof], Source] = {}
        for index, sender in enumerate(entry.senders):
            source = scope.source("senders", index)
            self._check_networks(scope, sender, index)
            first = seen.setdefault((sender.match, sender.proof), source)
            if first is not source:
                scope.twice("rule", f"{sender.match} with proof {sender.proof.value}", first, "senders", index)
            rules.append(SenderRule(entry.number, sender.match, sender.proof, tuple(sender.networks), source))
        for index, address in enumerate(entry.deliver_to):
            rules += _own_address(rules, entry.number, address, scope.source("deliver_to", index))
        for rule in rules:
            self._rules[rule.pattern.reach].setdefault(rule.pattern.subject, []).append(rule)
        self._default_for(scope, entry, rules)

    def _check_networks(self, scope: Scope, sender: SenderEntry, index: int) -> None:
        if sender.proof is Proof.NETWORK and not sender.networks:
            remedy = "add 'networks: [192.0.2.0/24]' with those the mail comes from"
            scope.tell("proof network needs networks", remedy, "senders", index, "proof")
        elif sender.networks and sender.proof is not Proof.NETWORK:
            message = f"networks have no effect with proof {sender.proof.value}"
            remedy = "write 'proof: network', or remove the key"
            scope.tell(message, remedy, "senders", index, "networks", key=True)

    def _default_for(self, scope: Scope, entry: NumberEntry, rules: Iterable[SenderRule]) -> None:
        patterns = {rule.pattern for rule in rules} if entry.default_for else set()
        for index, pattern in enumerate(entry.default_for):
            if not any(known.covers(pattern) for known in patterns):
                message = f"no rule of this number names {pattern}"
                scope.tell(message, "add it to senders first", "default_for", index)
            source = scope.source("default_for", index)
            _, first = self._defaults.setdefault(pattern, (entry.number, source))
            if first is not source:
                scope.twice("default of", str(pattern), first, "default_for", index)

    def _lines(self, files: Sequence[Sections]) -> LinesCompiler:
        numbers = frozenset(entry.number for sections in files for entry, *_ in sections.numbers)
        lines = LinesCompiler(numbers, self._lost)
        for sections in files:
            for trunk, key, branch in sections.trunks:
                lines.trunk(self.scope(sections, key, branch), trunk)
            for device, key, branch in sections.devices:
                lines.device(self.scope(sections, key, branch), device)
        return lines

    def _retry_settings(self, files: Sequence[Sections]) -> RetrySettings:
        found = [(self.scope(each, *each.retries[1:]), each.retries[0]) for each in files if each.retries]
        self._one_only("retries", [scope for scope, _ in found])
        return _merge(RetrySettings(), *found[0]) if found else RetrySettings()

    def _retention(self, files: Sequence[Sections]) -> Retention:
        found = [(self.scope(each, *each.retention[1:]), each.retention[0]) for each in files if each.retention]
        self._one_only("retention", [scope for scope, _ in found])
        return merged_retention(Retention(), *found[0]) if found else Retention()

    def _covers(self, files: Sequence[Sections]) -> Covers:
        found = [(self.scope(each, *each.cover[1:]), each.cover[0]) for each in files if each.cover]
        self._one_only("cover", [scope for scope, _ in found])
        covers = Covers()
        if found:
            covers.base = covers.merged(*found[0])
        return covers

    def destinations(self, files: Sequence[Sections]) -> Destinations:
        found = [
            (self.scope(each, *each.destinations[1:]), each.destinations[0]) for each in files if each.destinations
        ]
        self._one_only("destinations", [scope for scope, _ in found])
        return self._destinations(*found[0]) if found else Destinations()

    def _destinations(self, scope: Scope, entry: DestinationsEntry) -> Destinations:
        return Destinations(
            tuple(_rule(rule, scope.source("rules", index)) for index, rule in enumerate(entry.rules)),
            entry.otherwise == "allow",
            self._rewrites(scope, entry.rewrite),
            self._overrides(scope, entry.overrides),
        )

    def _rewrites(self, scope: Scope, entries: Sequence[RewriteEntry]) -> tuple[Rewrite, ...]:
        rewrites: list[Rewrite] = []
        for index, entry in enumerate(entries):
            try:
                template = check_template(entry.match, entry.to)
            except BadRewrite as error:
                scope.tell(str(error), error.remedy, "rewrite", index, "to")
                continue
            rewrites.append(Rewrite(entry.match, template, scope.source("rewrite", index)))
            for at, proof in enumerate(entry.proof):
                failure = _disproof(rewrites, proof.from_, proof.to)
                if failure is not None:
                    scope.tell(*failure, "rewrite", index, "proof", at)
        return tuple(rewrites)

    def _overrides(self, scope: Scope, entries: Sequence[OverrideEntry]) -> dict[str, Override]:
        overrides: dict[str, Override] = {}
        for index, entry in enumerate(entries):
            source = scope.source("overrides", index)
            override = Override(
                entry.prefix, entry.ecm, entry.max_rate, entry.t38, entry.concurrency, entry.notes, source
            )
            first = overrides.setdefault(entry.prefix, override)
            if first is not override and first.source is not None:
                scope.twice("prefix", entry.prefix, first.source, "overrides", index, "prefix")
        return overrides

    def _one_only(self, section: str, scopes: Sequence[Scope]) -> None:
        for scope in scopes[1:]:
            scope.twice("section", section, scopes[0].source())


def _merge(below: RetrySettings, scope: Scope, entry: RetriesEntry) -> RetrySettings:
    """Return ``below`` with the keys that ``entry`` gives; delays are merged cause by cause."""
    scope.no_repeats("ladder", entry.ladder)
    given = {key: getattr(entry, key) for key in entry.model_fields_set & {"retries", "delay", "remember"}}
    never = frozenset(entry.never) if "never" in entry.model_fields_set else below.never
    ladder = tuple(entry.ladder) if "ladder" in entry.model_fields_set else below.ladder
    delays: dict[str, timedelta] = {**below.delays}
    delays.update(entry.delays.items())
    return replace(below, **given, delays=delays, never=never, ladder=ladder)


def _rule(entry: RuleEntry, source: Source) -> DestinationRule:
    selector = entry.selector
    return DestinationRule(
        entry.allow is not None,
        tuple(selector.prefix),
        frozenset(selector.country),
        frozenset(selector.type),
        source,
    )


def _own_address(rules: Sequence[SenderRule], number: str, address: str, source: Source) -> list[SenderRule]:
    """Return the rules by which a number's own mail address may send as it.

    Their proof is that of the rules that name it by domain, else DMARC; an address with a rule of its own needs none.
    """
    pattern = Pattern(Reach.ADDRESS, address)
    covering = [rule for rule in rules if not rule.own_address and rule.pattern.covers(pattern)]
    if any(rule.pattern == pattern for rule in covering):
        return []
    if not covering:
        return [SenderRule(number, pattern, Proof.DMARC, (), source, own_address=True)]
    return [SenderRule(number, pattern, rule.proof, rule.networks, source, own_address=True) for rule in covering]


def _disproof(rewrites: Sequence[Rewrite], before: str, after: str) -> tuple[str, str] | None:
    """Return why the last of ``rewrites`` does not turn ``before`` into ``after``, as message and remedy."""
    for rewrite in rewrites[:-1]:
        if rewrite.apply(before) is not None:
            return f"the rule in line {rewrite.source.line} takes {before} first", "put this rule above that one"
    result = rewrites[-1].apply(before)
    if result is None:
        return f"the pattern does not fit {before}", "it must fit the whole number, with its + written as \\+"
    try:
        dialled = parse_number(result, None)
    except BadNumber as error:
        return f"{before} becomes {result!r}: {error.sentence.rstrip('.').lower()}", f"make it {after}"
    return None if dialled == after else (f"{before} becomes {dialled}, not {after}", "mend the rule or the proof")
