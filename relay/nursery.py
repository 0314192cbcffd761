"""The preloaded parent inside a confinement: forks one child for each order (``python -m relay.nursery FD MODULE...``).

It runs inside the sandbox that :mod:`relay.confine` built, prepares what its children need (:mod:`relay.preload`), and
then only forks: a confined child costs milliseconds instead of an interpreter's start. It is single-threaded,
reads nothing from outside but orders on its control channel, and never runs an entry itself.

Orders and answers on the control channel (JSON, descriptors beside it)::

    {"order": 7, "entry": "package.module:function", "limits": {...}}  + the child's descriptors
    {"order": 7, "pid": 123}                                           + [channel, pidfd]
    {"order": 7, "status": -9}                                         when the child has ended

An entry is called ``entry(channel, descriptors)`` in the child; returning ends the child with status 0.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import select
import signal
import sys
import traceback
from typing import Any

from relay import seccomp
from relay.channel import Channel
from relay.preload import preload

PR_SET_PDEATHSIG = 1  # prctl(2)
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38


def main(arguments: list[str]) -> None:
    """Serve orders until the control channel ends."""
    control = Channel.of_descriptor(int(arguments[0]))
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _prctl(PR_SET_DUMPABLE, 0)  # no child may look into this process or into a sibling (ptrace(2), pidfd_getfd(2))
    preload(arguments[1:])
    Nursery(control).serve()


class Nursery:
    """The loop: orders in, forks, statuses out."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._children: dict[int, tuple[int, int]] = {}  # pidfd -> (order, pid)
        self._poll = select.poll()
        self._poll.register(control.fileno(), select.POLLIN)

    def serve(self) -> None:
        """Return when main is gone; the children die with this process (PR_SET_PDEATHSIG)."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor != self._control.fileno():
                    self._reap(descriptor)
                elif (order := self._control.receive()) is None:
                    return
                else:
                    self._spawn(*order)

    def _spawn(self, order: dict[str, Any], fds: list[int]) -> None:
        ours, theirs = Channel.pair()
        pid = os.fork()
        if pid == 0:
            self._control.close()
            ours.close()
            for pidfd in self._children:
                os.close(pidfd)
            _become(order, theirs, fds)
        pidfd = os.pidfd_open(pid)
        theirs.close()
        for descriptor in fds:
            os.close(descriptor)
        self._children[pidfd] = (order["order"], pid)
        self._poll.register(pidfd, select.POLLIN)
        self._control.send({"order": order["order"], "pid": pid}, [ours.fileno(), pidfd])
        ours.close()

    def _reap(self, pidfd: int) -> None:
        order, pid = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._control.send({"order": order, "status": os.waitstatus_to_exitcode(status)})


def _become(order: dict[str, Any], channel: Channel, fds: list[int]) -> None:
    """Turn this fork into the ordered child; never return."""
    status = 1
    try:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for name, value in order["limits"].items():
            hard = value + 1 if name == "RLIMIT_CPU" else value  # SIGXCPU first: a SIGKILL is then somebody else's
            resource.setrlimit(getattr(resource, name), (value, hard))
        module, _, function = order["entry"].partition(":")
        entry = getattr(importlib.import_module(module), function)
        seccomp.confine()
        entry(channel, fds)
        status = 0
    except BrokenPipeError:
        pass  # whoever ordered us is gone
    except BaseException:  # noqa: BLE001  the child's last word; nothing may unwind into the nursery's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


if __name__ == "__main__":
    main(sys.argv[1:])
