"""LibreOffice without a sandbox, to show what stops a macro (run by path under Debian's interpreter).

``loose.py SETTINGS FOLDER FILE...`` opens each file in a window that nobody sees, because LibreOffice raises no events
for a document without one, and tells whether a macro ran by itself; then it has it run by name, which no document can
do, and tells whether it does what it should. ``SETTINGS``: ``allowed`` opens them as somebody does who allows all macros,
``ours`` as :mod:`converters.office_worker` does. A macro that ran has written FILE.canary. Prints a JSON line for each.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HOUSE = Path(__file__).resolve().parents[2]
#: What runs by its name: module and procedure, as the maker of the samples named them.
ENTRIES = ("Standard.M.Main", "VBAProject.Module1.AutoOpen")


def main(settings: str, folder: str, files: list[str]) -> None:
    """Open the files one by one."""
    os.environ["FAXRELAY_WORK"] = folder
    found = importlib.util.spec_from_file_location("office_worker", HOUSE / "converters" / "office_worker.py")
    worker: Any = importlib.util.module_from_spec(found)  # type: ignore[arg-type]
    found.loader.exec_module(worker)  # type: ignore[union-attr]
    load = dict(worker.LOADED)
    if settings == "allowed":
        worker.HARDENED = (("Common/Security/Scripting", "MacroSecurityLevel", "0"),)
        load["MacroExecutionMode"] = 4  # ALWAYS_EXECUTE_NO_WARN
    process, converter = worker._started()  # a first time for the profile
    converter.desktop.terminate()
    process.wait(30)
    worker._harden()
    process, converter = worker._started()
    for file in files:
        told = {"file": Path(file).name, "by_itself": False, "when_asked": False}
        # A spreadsheet's window is more than this LibreOffice has.
        load["Hidden"] = file.endswith(("ods", "xlsm"))
        _open(converter, file, load, told)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    subprocess.run(["kill", "-9", str(process.pid)], check=False)


def _open(converter: Any, file: str, load: dict[str, Any], told: dict[str, Any]) -> None:
    from com.sun.star.beans import PropertyValue  # type: ignore[import-not-found, unused-ignore]  # Debian's

    given = tuple(PropertyValue(Name=name, Value=value) for name, value in load.items())
    document = converter.desktop._real.loadComponentFromURL(f"file://{file}", "_blank", 0, given)
    time.sleep(0.5)
    canary = Path(f"{file}.canary")
    told["by_itself"] = canary.exists()
    canary.unlink(missing_ok=True)
    for entry in ENTRIES:
        address = f"vnd.sun.star.script:{entry}?language=Basic&location=document"
        with contextlib.suppress(Exception):  # a document has one of them; UNO's exceptions have no common class
            document.getScriptProvider().getScript(address).invoke((), (), ())
    told["when_asked"] = canary.exists()
    document.close(True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
