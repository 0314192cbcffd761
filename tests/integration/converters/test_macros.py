"""Macros never run: samples that do run where all is allowed, and do not as the converters open documents."""

from __future__ import annotations

import http.server
import importlib.util
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay.confine import Sandbox
from relay.office import missing

from ...hostile.macros import MACROS
from ...hostile.run import opened
from ...hostile.sample import Aim

pytestmark = pytest.mark.skipif(bool(missing()) and not os.environ.get("CI"), reason="LibreOffice is not installed")

LOOSE = Path(__file__).parents[2] / "hostile" / "loose.py"
#: What this LibreOffice can run at all: Debian's has no Python in documents.
LIVE = ["ods-macro", "xlsm-macro", "docm-macro", "odt-macro", "odp-macro"]
#: Which of them run by themselves in it: VBA's automatic ones and spreadsheets' want a window of a real screen.
BY_THEMSELVES = {"macro.odt", "macro.odp"}


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a listener, and what was asked of it."""
    seen: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(404)

        do_HEAD = do_OPTIONS = do_PROPFIND = do_GET  # noqa: N815  the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", seen
    server.shutdown()
    server.server_close()


def _opened(settings: str, folder: Path, url: str) -> dict[str, dict[str, bool]]:
    """What the macros did in a LibreOffice of these settings, without any sandbox around it."""
    files = []
    for name in LIVE:
        path = folder / MACROS[name].name
        path.write_bytes(MACROS[name].make(Aim(url, f"{path}.canary")))
        files.append(str(path))
    (folder / "work").mkdir()
    unoserver = importlib.util.find_spec("unoserver")
    assert unoserver is not None
    assert unoserver.origin is not None
    (folder / "packages").mkdir()
    (folder / "packages" / "unoserver").symlink_to(Path(unoserver.origin).parent)
    house = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(folder / "packages"), "LANG": "C.UTF-8"}
    done = subprocess.run(
        ["/usr/bin/python3", "-s", str(LOOSE), settings, str(folder / "work"), *files],
        check=True, stdout=subprocess.PIPE, text=True, env=house | {"SAL_USE_VCLPLUGIN": "svp"}, timeout=100,
    )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["file"] for one in told] == [MACROS[name].name for name in LIVE]
    return {one["file"]: one for one in told}


def test_the_traps_are_real(tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    """Lost otherwise: the proof below is made with macros that could not run anywhere."""
    url, seen = asked
    told = _opened("allowed", tmp_path, url)
    assert {name for name, one in told.items() if one["by_itself"]} == BY_THEMSELVES
    assert all(one["when_asked"] for one in told.values())
    assert seen


def test_our_settings_alone_keep_macros_from_running(tmp_path: Path, asked: tuple[str, list[str]]) -> None:
    """Lost otherwise: where a container is the confinement, a letter runs programs in it."""
    told = _opened("ours", tmp_path, asked[0])
    assert not [name for name, one in told.items() if one["by_itself"]]
    assert all(one["when_asked"] for one in told.values()), "they were there to be run"


@pytest.mark.parametrize("sandbox", list(Sandbox))
async def test_macros_never_run(sandbox: Sandbox) -> None:
    """Lost otherwise: a mail with a document takes over the machine that makes a fax of it."""
    async with opened(sandbox) as grounds:
        for name, sample in MACROS.items():
            hit = await grounds.shoot(sample)
            assert hit.said.startswith("a fax"), name
            assert hit.harmless, name
