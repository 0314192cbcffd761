"""How long a large policy takes to load, and a decision to be made.

10,000 numbers with 10 sender rules each, half by address and half by domain, and one domain that 1,000 numbers share;
1,000 devices, and 20 trunks that each mail's route is chosen from; 10,000 blocked senders, 10,000 blocked callers in
1,000 entries, an inbound route for each number.
Run ``python bench/policies.py``; prints one line. The goals are 5 s and 1 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.table import Row, line
from policies import CallFacts, Facts, Proof, decide, decide_call, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = 10_000
RULES = 10
SHARED = 1_000
DEVICES = 1_000
TRUNKS = 20
BLOCKED = 10_000
ROUNDS = 2_000

T = TypeVar("T")

DESTINATIONS = """
destinations:
  rules:
    - deny: {prefix: [+1876, +1900]}
    - allow: {country: [IL, US, GB]}
  overrides:
    - {prefix: +9724, ecm: false}
"""


def lines() -> Iterator[str]:
    """Yield the large policy file."""
    yield "domains:\n  - {name: fax.example.com, default_region: IL}\nnumbers:\n"
    for number in range(NUMBERS):
        yield f'  - number: "+9723{number + 1_000_000}"\n    description: Office {number}\n'
        yield f"    deliver_to: [office{number}@example.com]\n    senders:\n"
        for rule in range(RULES - (number < SHARED)):
            who = f"user{rule}@client{number}.example" if rule % 2 else f"@d{rule}.client{number}.example"
            yield f'      - match: "{who}"\n        proof: {"auth" if rule % 3 else "dmarc"}\n'
        if number < SHARED:
            yield '      - {match: "@shared.example", proof: dmarc}\n'
    yield '    default_for: ["@d0.client9999.example"]\n' + DESTINATIONS
    yield "trunks:\n"
    for trunk in range(TRUNKS):
        yield f"  - {{name: trunk{trunk}, host: sip{trunk}.example, prefixes: [+1, +44, +9{trunk}], "
        yield f"priority: {trunk % 3}}}\n"
    yield "devices:\n"
    for device in range(DEVICES):
        yield f"  - {{name: device{device}, number: +9723{device + 1_000_000}, password: env:DEVICE{device}}}\n"
    yield "senders:\n  block:\n"
    yield from (f"    - blocked@client{one}.example\n" for one in range(BLOCKED))
    yield "inbound:\n  block:\n"
    for entry in range(BLOCKED // 10):
        callers = ", ".join(f"+1202{entry * 10 + one:07d}" for one in range(10))
        yield f"    - caller: [{callers}]\n"
    yield '    - {csid: "*blast*", junk: quarantine}\n  routes:\n'
    for number in range(NUMBERS):
        yield f'    - {{called: "+9723{number + 1_000_000}", csid: "*bank*", deliver_to: [bank{number}@example.com]}}\n'


def timed(ask: Callable[[], T]) -> tuple[T, float, float]:
    """Return the decision with the median and the 99th percentile of its time in milliseconds."""
    decision, times = ask(), []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        decision = ask()
        times.append((time.perf_counter() - start) * 1000)
    return decision, statistics.median(times), statistics.quantiles(times, n=100)[98]


def rows() -> list[Row]:
    """Return the cost of loading and of deciding."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.yaml")
        path.write_text("".join(lines()))
        size = path.stat().st_size / 1e6
        start = time.perf_counter()
        policy = load(Path(folder))
        loaded = time.perf_counter() - start
    given = frozenset({Proof.DMARC, Proof.AUTH})
    senders = {"one address": "user1@client77.example", "domain shared by 1,000": "anyone@shared.example"}
    what = f"policy of {NUMBERS:,} numbers, {NUMBERS * RULES:,} rules, {size:.1f} MB"
    found = [Row(f"{what}: load", f"{loaded:.2f} s")]
    for name, address in senders.items():
        facts = Facts(address, ("+12025550199",), "fax.example.com", given)
        decision, median, tail = timed(partial(decide, policy, facts))
        assert decision.accepted is (name == "one address")
        route = decision.recipients[0].route
        assert len(route.trunks if route else ()) == (16 if decision.accepted else 0)
        found.append(Row(f"the same: one decision, {name}", f"{median:.2f} ms (p99 {tail:.2f} ms)"))
    call = CallFacts("+97231000077", "+442071838750", "First Bank", "")
    received, median, tail = timed(partial(decide_call, policy, call))
    assert received.deliver_to == ("bank77@example.com",)
    found.append(Row("the same: one call that comes in", f"{median:.2f} ms (p99 {tail:.2f} ms)"))
    return found


if __name__ == "__main__":
    for row in rows():
        print(line(row))
