"""Policies: what an admin's files allow, and how each fax is made and dialled. Knows no relay.

:func:`load` turns a folder of YAML files into a frozen :class:`Policy` or raises :class:`PolicyErrors` with every
mistake at its place; :func:`decide` answers one mail from it, purely, with its reasons.
"""

from policies.addresses import BadAddress, Pattern, Reach, normalise_address, normalise_domain, parse_pattern
from policies.approval import Approval, Asked
from policies.confirmation import once_confirmed
from policies.cover import CoverPage, Look
from policies.decision import Decision, Facts, Reason, Usage, Verdict
from policies.destinations import approval_for, check_destination, check_recipient
from policies.errors import PolicyError, PolicyErrors
from policies.evaluator import decide, over_quota, resolve_domain
from policies.explain import as_json, call_as_json, explain, explain_call
from policies.hours import Hours, Window, next_opening
from policies.inbound import Callers, CallFacts, InboundDecision, Junk, decide_call
from policies.lines import (
    T38,
    CalledField,
    CallerField,
    Codec,
    Device,
    NumberForm,
    Route,
    SipTransport,
    Trunk,
)
from policies.loader import LANGUAGES, load
from policies.numbers import BadNumber, parse_number
from policies.people import ApiKey, DeclaredUser, KeyScope, UserRole
from policies.policy import (
    LADDER,
    Body,
    DestinationRule,
    Destinations,
    Domain,
    Feature,
    Limits,
    MailOption,
    Mode,
    Number,
    NumberType,
    OpenedBy,
    Override,
    Paper,
    Policy,
    Proof,
    ReceiptPages,
    Resolution,
    RetrySettings,
    SenderRule,
    Settings,
    Source,
)
from policies.quotas import Quota
from policies.refusals import Refusal, RefusalKind
from policies.retention import Retention
from policies.schema_export import json_schema
from policies.secrets import SecretError, SecretKind, SecretReference

__all__ = [
    "LADDER",
    "LANGUAGES",
    "T38",
    "ApiKey",
    "Approval",
    "Asked",
    "BadAddress",
    "BadNumber",
    "Body",
    "CallFacts",
    "CalledField",
    "CallerField",
    "Callers",
    "Codec",
    "CoverPage",
    "Decision",
    "DeclaredUser",
    "DestinationRule",
    "Destinations",
    "Device",
    "Domain",
    "Facts",
    "Feature",
    "Hours",
    "InboundDecision",
    "Junk",
    "KeyScope",
    "Limits",
    "Look",
    "MailOption",
    "Mode",
    "Number",
    "NumberForm",
    "NumberType",
    "OpenedBy",
    "Override",
    "Paper",
    "Pattern",
    "Policy",
    "PolicyError",
    "PolicyErrors",
    "Proof",
    "Quota",
    "Reach",
    "Reason",
    "ReceiptPages",
    "Refusal",
    "RefusalKind",
    "Resolution",
    "Retention",
    "RetrySettings",
    "Route",
    "SecretError",
    "SecretKind",
    "SecretReference",
    "SenderRule",
    "Settings",
    "SipTransport",
    "Source",
    "Trunk",
    "Usage",
    "UserRole",
    "Verdict",
    "Window",
    "approval_for",
    "as_json",
    "call_as_json",
    "check_destination",
    "check_recipient",
    "decide",
    "decide_call",
    "explain",
    "explain_call",
    "json_schema",
    "load",
    "next_opening",
    "normalise_address",
    "normalise_domain",
    "once_confirmed",
    "over_quota",
    "parse_number",
    "parse_pattern",
    "resolve_domain",
]
