"""What stands around a nursery where bubblewrap can run: the programs read-only, a private ``/tmp``, nothing else."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_PRIVATE = "/tmp"  # noqa: S108  inside the sandbox, in memory, nobody else's
PACKAGES = ("relay", "converters", "transport", "policies", "templates")


def bubblewrap(memory: int) -> list[str]:
    """Return the bubblewrap command line: programs read-only, ``memory`` bytes of private ``/tmp``, nothing else."""
    # bwrap itself asks to die with us too late: one whose parent ends meanwhile would wait for ever
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        "--cap-drop",
        "ALL",
    ]
    command += ["--dev", "/dev", "--size", str(memory), "--tmpfs", _PRIVATE]  # first: the programs may lie below it
    for path in ("/usr", "/etc/fonts", "/etc/ld.so.cache", "/etc/alternatives", "/var/cache/fontconfig"):
        command += ["--ro-bind-try", path, path]
    command += program_folders()
    for place in sorted(_program_places()):
        command += ["--ro-bind", str(place), str(place)]
    return [*command, "--chdir", _PRIVATE]


def program_folders() -> list[str]:
    """Return bubblewrap's arguments for the folders of programs beside ``/usr``."""
    arguments = []
    for path in ("/bin", "/sbin", "/lib", "/lib64"):
        if Path(path).is_symlink():
            arguments += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            arguments += ["--ro-bind", path, path]
    return arguments


def _program_places() -> set[Path]:
    """Return the folders that hold the interpreter, the installed packages and our own packages."""
    places = {Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("purelib"))}
    places |= {Path(sysconfig.get_path("platlib")), Path(sys.executable).resolve().parent.parent}
    house = Path(__file__).resolve().parent.parent
    places |= {house / package for package in PACKAGES}
    outside_usr = {place for place in places if place.is_dir() and not place.is_relative_to("/usr")}
    return {
        place
        for place in outside_usr
        if not any(place != other and place.is_relative_to(other) for other in outside_usr)
    }


def environment() -> dict[str, str]:
    """Return a nursery's environment variables: of ours it gets none."""
    house = Path(__file__).resolve().parent.parent
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": _PRIVATE,
        "PYTHONPATH": str(house),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENBLAS_NUM_THREADS": "1",  # threads of a preloaded numpy would not survive the fork
        "OMP_NUM_THREADS": "1",
    }
