"""How much memory one conversion takes: the peak of a child, forked as the sandbox's nursery forks it.

``python peak.py FILE...`` prints a JSON line for each file. A program of its own: a fork of the test's process would
count what the tests hold.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from converters import heap, worker
from converters.launcher import Allowance


@dataclass(frozen=True, slots=True)
class Peak:
    """What a conversion took and made.

    ``megabytes``: of 1,000,000 bytes; ``least``: coded bytes of its emptiest page; ``refused``: why, '' if it was not.
    """

    name: str
    megabytes: float
    pages: int
    least: int
    refused: str


def measured(*documents: Path) -> list[Peak]:
    """Convert the documents, each in a child of its own below a program of its own."""
    command = [sys.executable, __file__, *(str(document) for document in documents)]
    house = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | house)
    return [Peak(**json.loads(line)) for line in done.stdout.splitlines()]


def _converted(document: Path) -> Peak:
    answer = os.memfd_create("answer")
    child = os.fork()
    if child == 0:
        limit = Allowance().address_space
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        heap.prepare()
        worker.PAGE_SECONDS = 240.0  # memory is measured: how busy the machine is must not decide
        request = {"operation": "to_fax", "rendering": ("fine", "auto", "a4", 300), "sources": [(document.name, "")]}
        descriptors = [os.memfd_create("out"), os.memfd_create("trace"), os.open(document, os.O_RDONLY)]
        os.pwrite(answer, json.dumps(worker._answer(request, descriptors)).encode(), 0)
        os._exit(0)
    _, _, usage = os.wait4(child, 0)
    told = json.loads(os.pread(answer, 1_000_000, 0) or b'{"refused": {"reason": "died"}}')
    os.close(answer)
    refused = told.get("refused", {}).get("reason", "") or told.get("broken", "")
    sizes = [page[6] for page in told.get("done", [])]
    return Peak(document.name, usage.ru_maxrss * 1024 / 1e6, len(sizes), min(sizes, default=0), refused)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        peak = _converted(Path(name))
        print(json.dumps({slot: getattr(peak, slot) for slot in Peak.__slots__}), flush=True)  # noqa: T201
