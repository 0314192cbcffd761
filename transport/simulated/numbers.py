"""The documented numbers of the simulated network, and the page of the documentation that lists them.

They lie in +1 202 555 01xx, which the North American Numbering Plan keeps for fiction: they are possible numbers for
every check, and can belong to nobody.
"""

from __future__ import annotations

from transport.simulated.behaviours import BEHAVIOURS

_PREFIX = "+120255501"
_ENDS = {
    "00": "fax", "01": "audio", "02": "no_ecm", "03": "v29", "04": "v27ter", "05": "2400", "06": "standard",
    "07": "noisy", "08": "loss1", "09": "loss5",
    "10": "busy", "11": "no_answer", "12": "bad_number", "13": "rejected", "14": "trunk_down",
    "20": "voice", "21": "silence", "22": "noise",
    "30": "drop", "31": "drop1", "32": "drop2", "39": "unconfirmed",
    "40": "no_training", "41": "broken_pages",
    "50": "busy_once", "51": "drop_once",
    "99": "fax",
}  # fmt: skip

#: Number -> name of its behaviour.
NUMBERS: dict[str, str] = {_PREFIX + end: name for end, name in _ENDS.items()}

_PAGE = """# The simulated telephone network

A fresh installation has no telephone line. It has a telephone network in memory instead: real T.30 between real fax
engines, in T.38 or audio, but no call leaves the machine, and every receipt, mail and answer of the API says
SIMULATED.

* A call to one of the relay's own numbers rings at the relay and comes back as a received fax.
* A call to one of the numbers below meets the far end that the table describes.
* A call to any other number ends in `trunk_down` with "no trunk is configured for" that number, and is never called
  sent.

The numbers are of the block that the North American Numbering Plan keeps for fiction. The cause is that of a caller's
first call with a document of three pages at fine resolution; what follows a cause is the retry rule's to say.

| Number | Behaviour | What answers | Cause |
|---|---|---|---|
{rows}

Other numbers can be given a behaviour in the settings (it goes before the relay's own numbers and the table):

```yaml
lines:
  simulated:
    real_time: false          # true: calls last as long as real ones
    behaviours:
      "+12125550123": busy
```

The network can run on its own, outside the relay, and keep a log of what it received, one JSON object a line, synced
before the far end confirms a page:

```
python -m transport.simulated --socket /run/faxrelay-network --log network.jsonl --pages received/
```

and the relay's setting `lines.simulated.exchange` names that socket.
"""


def page() -> str:
    """Return ``docs/simulated.md``."""
    rows = [
        f"| {number} | `{name}` | {BEHAVIOURS[name].summary} | `{BEHAVIOURS[name].cause.value}` |"
        for number, name in sorted(NUMBERS.items())
    ]
    return _PAGE.format(rows="\n".join(rows))
