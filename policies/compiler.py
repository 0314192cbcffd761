"""The entries of all files to one :class:`Policy`: the checks between entries, and the indexes.

Every error is collected; the policy that is built beside them counts only if there is none. Invariants that the checks
establish: a number, a domain and an override's prefix stand once; each key that is given has an effect; each rewriting
rule does what its proof says.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from policies.addresses import Pattern, Reach
from policies.errors import PolicyError
from policies.numbers import BadNumber, parse_number
from policies.policy import (
    DestinationRule,
    Destinations,
    Domain,
    Feature,
    Limits,
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
from policies.rewriting import BadRewrite, Rewrite, check_template
from policies.validation import Sections, dotted

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from datetime import timedelta

    from policies.document import Branch
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


def compile_policy(files: Sequence[Sections]) -> tuple[Policy, list[PolicyError]]:
    """Return the policy that ``files`` make together, and what is wrong between them."""
    compiler = _Compiler()
    compiler.retry_settings(files)
    for sections in files:
        for domain, key, branch in sections.domains:
            compiler.domain(_Scope(sections.file, key, branch), domain)
        for number, key, branch in sections.numbers:
            compiler.number(_Scope(sections.file, key, branch), number)
    destinations = compiler.destinations(files)
    policy = Policy(compiler.domains, compiler.numbers, compiler.sender_index(), destinations, compiler.retries)
    return policy, compiler.errors


class _Scope:
    """A mapping of a file: where its parts stand, and how an error about them is written."""

    def __init__(self, file: str, key: str, branch: Branch) -> None:
        self.file = file
        self._key = key
        self._branch = branch

    def source(self, *path: str | int) -> Source:
        return Source(self.file, self._branch.find(*path).line)

    def error(self, message: str, remedy: str, *path: str | int, key: bool = False) -> PolicyError:
        place = self._branch.find(*path, key=key)
        name = ".".join(filter(None, (self._key, dotted(path))))
        return PolicyError(self.file, place.line, place.column, name, message, remedy)


class _Compiler:
    def __init__(self) -> None:
        self.errors: list[PolicyError] = []
        self.domains: dict[str, Domain] = {}
        self.numbers: dict[str, Number] = {}
        self.retries = RetrySettings()
        self._rules: dict[Reach, dict[str, list[SenderRule]]] = {reach: {} for reach in Reach}
        self._defaults: dict[Pattern, tuple[str, Source]] = {}

    def sender_index(self) -> SenderIndex:
        by_reach = {
            reach: {subject: tuple(rules) for subject, rules in subjects.items()}
            for reach, subjects in self._rules.items()
        }
        return SenderIndex(
            by_reach[Reach.ADDRESS],
            by_reach[Reach.DOMAIN],
            by_reach[Reach.SUBDOMAINS],
            self._defaults,
        )

    def domain(self, scope: _Scope, entry: DomainEntry) -> None:
        first = self.domains.get(entry.name)
        if first is not None:
            self._twice(scope, "domain", entry.name, first.source, "name")
            return
        self.domains[entry.name] = Domain(entry.name, entry.default_region, entry.language, scope.source("name"))

    def number(self, scope: _Scope, entry: NumberEntry) -> None:
        first = self.numbers.get(entry.number)
        if first is not None:
            self._twice(scope, "number", entry.number, first.source, "number")
            return
        self._check_features(scope, entry)
        self._no_repeats(scope, "deliver_to", entry.deliver_to)
        self._no_repeats(scope, "features", entry.features)
        limits = entry.limits
        self.numbers[entry.number] = Number(
            number=entry.number,
            description=entry.description,
            features=frozenset(entry.features),
            deliver_to=tuple(entry.deliver_to),
            default_region=entry.default_region,
            language=entry.language,
            limits=Limits(
                limits.faxes_per_hour, limits.faxes_per_day, limits.pages, limits.attachment_bytes, limits.recipients
            ),
            settings=Settings(
                ident=entry.ident or entry.number,
                header=entry.header,
                caller_id=entry.caller_id or entry.number,
                receipt_pages=entry.receipt_pages,
                resolution=entry.resolution,
                mode=entry.mode,
                paper=entry.paper,
                priority=entry.priority,
                share_of_line=entry.share_of_line,
                retries=self.retries if entry.retries is None else _merge(self.retries, entry.retries),
            ),
            source=scope.source("number"),
        )
        if Feature.MAIL_TO_FAX in entry.features:
            self._senders(scope, entry)

    def _check_features(self, scope: _Scope, entry: NumberEntry) -> None:
        sends, receives = Feature.MAIL_TO_FAX in entry.features, Feature.FAX_TO_MAIL in entry.features
        if receives and not entry.deliver_to:
            remedy = "add deliver_to, or 'features: [mail_to_fax]'"
            self.errors.append(scope.error("received faxes would reach nobody", remedy, "number"))
        if sends and not entry.senders and not entry.deliver_to:
            remedy = "add senders, or 'features: [fax_to_mail]'"
            self.errors.append(scope.error("nobody may send as this number", remedy, "number"))
        if not receives and entry.deliver_to:
            remedy = "add fax_to_mail to features, or name the addresses in senders"
            self.errors.append(scope.error("this number receives no faxes", remedy, "deliver_to", key=True))
        for key in ("senders", "default_for"):
            if not sends and getattr(entry, key):
                remedy = "add mail_to_fax to features, or remove the key"
                self.errors.append(scope.error("this number sends no faxes", remedy, key, key=True))

    def _senders(self, scope: _Scope, entry: NumberEntry) -> None:
        rules = []
        seen: dict[tuple[Pattern, Proof], Source] = {}
        for index, sender in enumerate(entry.senders):
            source = scope.source("senders", index)
            self._check_networks(scope, sender, index)
            first = seen.setdefault((sender.match, sender.proof), source)
            if first is not source:
                self._twice(scope, "rule", f"{sender.match} with proof {sender.proof.value}", first, "senders", index)
            rules.append(SenderRule(entry.number, sender.match, sender.proof, tuple(sender.networks), source))
        for index, address in enumerate(entry.deliver_to):
            rules += _own_address(rules, entry.number, address, scope.source("deliver_to", index))
        for rule in rules:
            self._rules[rule.pattern.reach].setdefault(rule.pattern.subject, []).append(rule)
        self._default_for(scope, entry, rules)

    def _check_networks(self, scope: _Scope, sender: SenderEntry, index: int) -> None:
        if sender.proof is Proof.NETWORK and not sender.networks:
            remedy = "add 'networks: [192.0.2.0/24]' with those the mail comes from"
            self.errors.append(scope.error("proof network needs networks", remedy, "senders", index, "proof"))
        elif sender.networks and sender.proof is not Proof.NETWORK:
            message = f"networks have no effect with proof {sender.proof.value}"
            error = scope.error(
                message, "write 'proof: network', or remove the key", "senders", index, "networks", key=True
            )
            self.errors.append(error)

    def _default_for(self, scope: _Scope, entry: NumberEntry, rules: Iterable[SenderRule]) -> None:
        patterns = {rule.pattern for rule in rules} if entry.default_for else set()
        for index, pattern in enumerate(entry.default_for):
            if not any(known.covers(pattern) for known in patterns):
                message = f"no rule of this number names {pattern}"
                self.errors.append(scope.error(message, "add it to senders first", "default_for", index))
            source = scope.source("default_for", index)
            _, first = self._defaults.setdefault(pattern, (entry.number, source))
            if first is not source:
                self._twice(scope, "default of", str(pattern), first, "default_for", index)

    def retry_settings(self, files: Sequence[Sections]) -> None:
        found = [(_Scope(each.file, *each.retries[1:]), each.retries[0]) for each in files if each.retries]
        self._one_only("retries", [scope for scope, _ in found])
        if found:
            self.retries = _merge(RetrySettings(), found[0][1])

    def destinations(self, files: Sequence[Sections]) -> Destinations:
        found = [
            (_Scope(each.file, *each.destinations[1:]), each.destinations[0]) for each in files if each.destinations
        ]
        self._one_only("destinations", [scope for scope, _ in found])
        return self._destinations(*found[0]) if found else Destinations()

    def _destinations(self, scope: _Scope, entry: DestinationsEntry) -> Destinations:
        return Destinations(
            tuple(_rule(rule, scope.source("rules", index)) for index, rule in enumerate(entry.rules)),
            entry.otherwise == "allow",
            self._rewrites(scope, entry.rewrite),
            self._overrides(scope, entry.overrides),
        )

    def _rewrites(self, scope: _Scope, entries: Sequence[RewriteEntry]) -> tuple[Rewrite, ...]:
        rewrites: list[Rewrite] = []
        for index, entry in enumerate(entries):
            try:
                template = check_template(entry.match, entry.to)
            except BadRewrite as error:
                self.errors.append(scope.error(str(error), error.remedy, "rewrite", index, "to"))
                continue
            rewrites.append(Rewrite(entry.match, template, scope.source("rewrite", index)))
            for at, proof in enumerate(entry.proof):
                failure = _disproof(rewrites, proof.from_, proof.to)
                if failure is not None:
                    self.errors.append(scope.error(*failure, "rewrite", index, "proof", at))
        return tuple(rewrites)

    def _overrides(self, scope: _Scope, entries: Sequence[OverrideEntry]) -> dict[str, Override]:
        overrides: dict[str, Override] = {}
        for index, entry in enumerate(entries):
            source = scope.source("overrides", index)
            override = Override(
                entry.prefix, entry.ecm, entry.max_rate, entry.t38, entry.concurrency, entry.notes, source
            )
            first = overrides.setdefault(entry.prefix, override)
            if first is not override and first.source is not None:
                self._twice(scope, "prefix", entry.prefix, first.source, "overrides", index, "prefix")
        return overrides

    def _one_only(self, section: str, scopes: Sequence[_Scope]) -> None:
        for scope in scopes[1:]:
            self._twice(scope, "section", section, scopes[0].source())

    def _no_repeats(self, scope: _Scope, key: str, values: Sequence[Hashable]) -> None:
        for index, value in enumerate(values):
            if value in values[:index]:
                self.errors.append(scope.error("the same value stands twice", "keep one of the two", key, index))

    def _twice(self, scope: _Scope, what: str, which: str, first: Source, *path: str | int) -> None:
        message = f"{what} {which} already stands in {first.file}:{first.line}"
        self.errors.append(scope.error(message, "keep one of the two", *path))


def _merge(below: RetrySettings, entry: RetriesEntry) -> RetrySettings:
    """Return ``below`` with the keys that ``entry`` gives; delays are merged cause by cause."""
    given = {key: getattr(entry, key) for key in entry.model_fields_set if key in {"retries", "delay"}}
    never = frozenset(entry.never) if "never" in entry.model_fields_set else below.never
    delays: dict[str, timedelta] = {**below.delays}
    delays.update(entry.delays.items())
    return replace(below, **given, delays=delays, never=never)


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
