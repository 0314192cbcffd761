"""A system call filter for confined children: no new program, no new process, no socket but Unix ones.

A parser of outside content needs none of these; code that took it over would. The filter (seccomp(2), mode FILTER)
stands beside the sandbox, not instead of it: it also holds where bubblewrap cannot run, and where ``RLIMIT_NPROC``
does not (the kernel does not apply it to root). Threads stay allowed. Refused calls return ``EPERM``; ``clone3``
returns ``ENOSYS``, so that the C library falls back to ``clone``, whose flags a filter can read. An architecture that
is not listed gets no filter: :func:`confine` says so.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from dataclasses import dataclass, replace

PR_SET_SECCOMP = 22  # prctl(2)
SECCOMP_MODE_FILTER = 2
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_RET_KILL = 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # BPF opcodes
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_AF_UNIX = 1
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000


@dataclass(frozen=True, slots=True)
class _Calls:
    """The system call numbers of one architecture."""

    audit: int
    socket: int
    clone: int
    clone3: int
    refused: tuple[int, ...]


#: Refused, in this order: execve, execveat, ptrace, process_vm_readv, process_vm_writev, mount, unshare, setns, bpf,
#: perf_event_open, keyctl, add_key, request_key, userfaultfd, io_uring_setup, kexec_load, pidfd_getfd, pidfd_open,
#: pidfd_send_signal, kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo (siblings share the process table); on
#: x86-64 fork and vfork too. abort(3) then ends by an illegal instruction: still a death by signal.
#: The first of these start programs; those after pidfd_getfd signal and fork.
_STARTING, _SIGNALLING = 2, 17
_NEW = (438, 434, 424)  # numbers that every architecture shares
_ARCHITECTURES = {
    "x86_64": _Calls(
        0xC000003E,
        41,
        56,
        435,
        (
            59,
            322,
            101,
            310,
            311,
            165,
            272,
            308,
            321,
            298,
            250,
            248,
            249,
            323,
            425,
            246,
            *_NEW,
            62,
            200,
            234,
            129,
            297,
            57,
            58,
        ),
    ),
    "aarch64": _Calls(
        0xC00000B7,
        198,
        220,
        435,
        (221, 281, 117, 270, 271, 40, 97, 268, 280, 241, 219, 217, 218, 282, 425, 104, *_NEW, 129, 130, 131, 138, 240),
    ),
}


def confine() -> bool:
    """Put the filter on this process for good; return whether the architecture has one. Needs ``no_new_privs``."""
    calls = _ARCHITECTURES.get(platform.machine())
    if calls is None:
        return False
    program = _program(calls)
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("HL", len(program), ctypes.addressof(code))
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
    return True


def for_programs() -> bytes | None:
    """Return the filter of a program that starts others (LibreOffice): processes are its own to make, the rest is not.

    ``None`` on an architecture that has none.
    """
    calls = _ARCHITECTURES.get(platform.machine())
    if calls is None:
        return None
    return b"".join(_program(replace(calls, refused=calls.refused[_STARTING:_SIGNALLING]), starts_others=True))


def _program(calls: _Calls, *, starts_others: bool = False) -> list[bytes]:
    refuse = _step(_RETURN, _RET_ERRNO | errno.EPERM)
    allow = _step(_RETURN, _RET_ALLOW)
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, calls.audit, if_not=0, if_so=1),
        _step(_RETURN, _RET_KILL),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, if_not=1),
        refuse,
    ]
    for number in calls.refused:
        steps += [_step(_EQUAL, number, if_not=1), refuse]
    steps += [_step(_EQUAL, calls.clone3, if_not=1), _step(_RETURN, _RET_ERRNO | errno.ENOSYS)]
    steps += [
        _step(_EQUAL, calls.socket, if_not=4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_EQUAL, _AF_UNIX, if_not=1),
        allow,
        refuse,
    ]
    if starts_others:
        return [*steps, allow]
    steps += [
        _step(_EQUAL, calls.clone, if_not=4),
        _step(_LOAD, _FIRST_ARGUMENT),
        _step(_ANY_BIT, _CLONE_THREAD, if_not=1),
        allow,
        refuse,
    ]
    return [*steps, allow]


def _step(code: int, value: int, *, if_so: int = 0, if_not: int = 0) -> bytes:
    """Return one BPF instruction; ``if_so`` and ``if_not`` count the steps that a jump leaves out."""
    return struct.pack("HBBI", code, if_so, if_not, value)
