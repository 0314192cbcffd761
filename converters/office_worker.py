"""LibreOffice in a sandbox: takes one document, gives one PDF, and is thrown away (run by path, never imported).

Runs under Debian's own interpreter, because ``uno`` loads in no other, with unoserver's package beside it. It starts
LibreOffice on a pipe (no port), warms it up, says that it is ready and then serves exactly one order. Descriptor 0 is
a ``SOCK_SEQPACKET`` end; messages are JSON objects with descriptors beside them::

    in   {"profile": true, "warm": true}           + [profile's tar]     or {"profile": false} to bake one
    out  {"ready": true}                                                 or {"failed": "..."}
    in   {"suffix": "docx", "pages": 301}          + [document, PDF]     or {"bake": true} + [tar]
    out  {"size": 12345}                                                 or {"refused": "..."} of the document

No macro is run, no link is followed: LibreOffice is told so by the document's load arguments and by its profile, and
the sandbox has no network anyway.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

SOFFICE = "/usr/lib/libreoffice/program/soffice.bin"
WORK = Path(os.environ["FAXRELAY_WORK"])
PROFILE = WORK / "profile"
#: The pipe lies in /tmp under this name and our user's id, whatever TMPDIR says.
PIPE = f"faxrelay-{os.getpid()}-{time.monotonic_ns()}"
START_SECONDS = 60.0
#: LibreOffice's name of what reads a kind; left to itself it reads as text what it cannot make out. Word had several
#: binary formats before 1997, which it tells apart by itself.
FILTERS = {
    "docx": "MS Word 2007 XML", "odt": "writer8", "rtf": "Rich Text Format", "xls": "MS Excel 97",
    "xlsx": "Calc MS Excel 2007 XML", "ods": "calc8", "ppt": "MS PowerPoint 97",
    "pptx": "Impress MS PowerPoint 2007 XML", "odp": "impress8",
}  # fmt: skip
#: LibreOffice ends with this status once it has made a new profile, and wants to be started again.
_AGAIN = 81
_WARM = r"{\rtf1{\fonttbl{\f0 Liberation Serif;}}\f0 Warm\par}"
#: What hardens a profile: no macros, no active content, no updates of links, nothing kept, nothing locked.
HARDENED = (
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Common/Security/Scripting", "DisableOLEAutomation", "true"),
    ("Common/Security/Scripting", "HyperlinksWithCtrlClick", "true"),
    ("Writer/Content/Update", "Link", "0"),
    ("Writer/Content/Update", "Field", "false"),
    ("Calc/Content/Update", "Link", "2"),
    ("Common/Misc", "UseLocking", "false"),
    ("Common/Misc", "UseOpenCL", "false"),
    ("Common/Save/Document", "AutoSave", "false"),
    ("Common/Save/Document", "CreateBackup", "false"),
    ("Common/History", "PickListSize", "0"),
)
#: How a document is loaded: in no window (Debian's builds without windows crash otherwise, and a document without one
#: raises no events), no macros (NEVER_EXECUTE), no updates (NO_UPDATE).
LOADED: tuple[tuple[str, Any], ...] = (("Hidden", True), ("MacroExecutionMode", 0), ("UpdateDocMode", 0))
_ITEM = '<item oor:path="/org.openoffice.Office.{}"><prop oor:name="{}" oor:op="fuse"><value>{}</value></prop></item>'
_FILE_MOST = 256 * 1024 * 1024


class Failed(Exception):
    """LibreOffice cannot be started: no document's fault."""


def main() -> None:
    """Serve one order and wait to be killed."""
    channel = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    asked, descriptors = _receive(channel)
    try:
        if asked["profile"]:
            with os.fdopen(descriptors[0], "rb") as stream, tarfile.open(fileobj=stream) as packed:
                packed.extractall(WORK)  # noqa: S202  made by ourselves, unpacked in the sandbox
        process, converter = _started()
        if asked.get("warm"):
            (WORK / "warm.rtf").write_text(_WARM, encoding="ascii")
            converter.convert(inpath=str(WORK / "warm.rtf"), outpath=str(WORK / "warm.pdf"))
    except Exception as fault:  # noqa: BLE001  whatever it was, whoever started us has to hear of it
        _send(channel, {"failed": f"{type(fault).__name__}: {fault}"[:500]})
        return
    _send(channel, {"ready": True})
    order, descriptors = _receive(channel)
    if order.get("bake"):
        converter.desktop.terminate()
        process.wait(START_SECONDS)
        _harden()
        with os.fdopen(descriptors[0], "wb") as target, tarfile.open(fileobj=target, mode="w") as packed:
            packed.add(PROFILE, "profile", filter=lambda entry: None if entry.name.endswith("lock") else entry)
        _send(channel, {"size": 1})
    else:
        _send(channel, _made(converter, order, *descriptors))
    channel.recv(1)  # whoever started us kills the whole sandbox


def _made(converter: Any, order: dict[str, Any], document: int, output: int) -> dict[str, Any]:
    """Convert one document; return what is said of it."""
    source, target = WORK / f"document.{order['suffix']}", WORK / "made.pdf"
    os.lseek(document, 0, os.SEEK_SET)  # whoever looked at it before us moved the offset that we share
    with open(document, "rb") as stream, source.open("wb") as copy:
        shutil.copyfileobj(stream, copy)
    if not source.stat().st_size:
        return {"refused": "it is empty"}  # LibreOffice would make a blank page of it
    options = [f"PageRange=1-{order['pages']}", "ExportBookmarks=false", "ExportFormFields=false", "ExportNotes=false"]
    try:
        converter.convert(inpath=str(source), outpath=str(target), filter_options=options, update_index=False)
    except Exception as fault:  # noqa: BLE001  UNO's exceptions have no common class, and say little
        return {"refused": f"{type(fault).__name__}: {fault}"[:500]}
    size = target.stat().st_size if target.is_file() else 0
    if 0 < size <= _FILE_MOST:
        with target.open("rb") as stream, open(output, "wb") as copy:
            shutil.copyfileobj(stream, copy)
    return {"size": size}


def _started() -> tuple[subprocess.Popen[bytes], Any]:
    command = [
        "setpriv", "--pdeathsig", "KILL", SOFFICE, "--headless", "--invisible", "--norestore", "--nologo",
        "--nodefault", "--nofirststartwizard", f"-env:UserInstallation=file://{PROFILE}",
        f"--accept=pipe,name={PIPE};urp;StarOffice.ComponentContext",
    ]  # fmt: skip
    until = time.monotonic() + START_SECONDS
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  a fixed command
    while time.monotonic() < until:
        ended = process.poll()
        if ended == _AGAIN:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  as above
        elif ended is not None:
            raise Failed(f"soffice ended with status {ended}")
        if (converter := _connected()) is not None:
            return process, converter
        time.sleep(0.02)
    raise Failed("soffice did not answer")


def _connected() -> Any:
    """Return unoserver's converter at our pipe, ``None`` while nobody listens there."""
    import uno  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415  Debian's, in no other interpreter
    from com.sun.star.beans import PropertyValue  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from com.sun.star.connection import NoConnectException  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415
    from unoserver.converter import UnoConverter  # type: ignore[import-untyped, unused-ignore]  # noqa: PLC0415

    class Desktop:
        """LibreOffice's desktop, which loads documents in our way alone."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def loadComponentFromURL(self, url: str, target: str, flags: int, given: tuple[Any, ...]) -> Any:  # noqa: N802  UNO's name
            """Load a document as :data:`LOADED` says; nobody is asked anything."""
            safe = list(LOADED)
            if (reader := FILTERS.get(url.rpartition(".")[2])) is not None:
                safe.append(("FilterName", reader))
            more = tuple(PropertyValue(Name=name, Value=value) for name, value in safe)
            return self._real.loadComponentFromURL(url, target, flags, (*given, *more))

        def terminate(self) -> bool:
            """End LibreOffice politely."""
            return bool(self._real.terminate())

    class Piped(UnoConverter):  # type: ignore[misc, unused-ignore]
        """The converter of unoserver, connected by a pipe where its own constructor takes a port."""

        def __init__(self, context: Any) -> None:
            self.context = context
            self.service = context.ServiceManager
            made = self.service.createInstanceWithContext
            self.desktop = Desktop(made("com.sun.star.frame.Desktop", context))
            self.filter_service = made("com.sun.star.document.FilterFactory", context)
            self.type_service = made("com.sun.star.document.TypeDetection", context)
            self.temp_dir = None
            self._export_filters = None
            self._import_filters = None

    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
    try:
        converter = Piped(resolver.resolve(f"uno:pipe,name={PIPE};urp;StarOffice.ComponentContext"))
    except NoConnectException:
        return None
    for name in (PIPE, "SingleOfficeIPC_*"):  # nobody else connects, and killed programs leave theirs
        for left in Path("/tmp").glob(f"OSL_PIPE_{os.getuid()}_{name}"):  # noqa: S108  where LibreOffice puts them
            left.unlink(missing_ok=True)
    return converter


def _harden() -> None:
    file = PROFILE / "user" / "registrymodifications.xcu"
    items = "".join(_ITEM.format(*item) for item in HARDENED)
    text = file.read_text(encoding="utf-8")
    if "</oor:items>" not in text:
        raise Failed("the new profile has no registry")
    file.write_text(text.replace("</oor:items>", items + "</oor:items>"), encoding="utf-8")


def _receive(channel: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, descriptors, _, _ = socket.recv_fds(channel, 65536, 8)
    if not data:
        sys.exit(0)  # nobody wants us any more
    return json.loads(data), descriptors


def _send(channel: socket.socket, message: dict[str, Any]) -> None:
    channel.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
