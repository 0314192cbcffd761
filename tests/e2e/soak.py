"""``make soak``: the long proof. 500 kills under load, judged by the far ends' own log; writes docs/reliability.md."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.e2e.kills import Campaign, Verdict

REPORT = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
PAGE = """\
# Reliability

Written by `make soak`; `make test` runs a sample of it. {date}, {machine}.

`kill -9` of main, of the line's process, of media workers (that carry a call) and of document workers (that convert),
half of them aimed between two records of a call's journal, half at random, under a steady load of mails. The telephone
network and its fax machines run outside the relay and keep a log of their own, synced before they confirm a page; the
sender repeats a mail until it is answered 250. After the last kill every fax came to its end, and the relay's word was
held against that log.

| | |
| --- | --- |
| kills | {kills} ({by_victim}) |
| mails acknowledged | {mails} |
| calls made | {calls} |
| ended | {states} |
| faults found | {faults} |
| time | {minutes:.0f} minutes |

A fault is: a mail without exactly one fax for each recipient; a document that a far end took twice; `sent` for a
document that was not taken, `failed` for one that was; a fax that does not end; a fax without exactly one receipt.

`failed` after kills is the truth: each kill in a call spends a try, and a fax whose four calls were all killed has not
arrived. `uncertain` is the truth as well: the last page had been offered when the kill came, and nobody can say from
here whether it was confirmed.
"""


def main() -> int:
    """Run the campaign and write the report; return 1 if a fault was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fr-soak-") as folder:
        campaign = Campaign(Path(folder), numbers=2 * options.kills, seed=options.seed)
        try:
            verdict = campaign.run(options.kills)
        finally:
            campaign.close()
    report(verdict, (time.monotonic() - started) / 60)
    for fault in verdict.faults:
        sys.stdout.write(f"fault: {fault}\n")
    sys.stdout.write(f"{sum(verdict.kills.values())} kills, {len(verdict.faults)} faults; {REPORT}\n")
    return 1 if verdict.faults else 0


def report(verdict: Verdict, minutes: float) -> None:
    """Write docs/reliability.md."""
    REPORT.write_text(
        PAGE.format(
            date=datetime.now(UTC).date(),
            machine=f"{os.cpu_count()} cores, Python {platform.python_version()}",
            kills=sum(verdict.kills.values()),
            by_victim=", ".join(f"{name} {count}" for name, count in sorted(verdict.kills.items())),
            mails=verdict.mails,
            calls=verdict.calls,
            states=", ".join(f"{name} {count}" for name, count in sorted(verdict.states.items())),
            faults=len(verdict.faults),
            minutes=minutes,
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    sys.exit(main())
