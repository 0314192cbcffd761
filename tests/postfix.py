"""A Postfix of our own for one test or bench: a private configuration and queue."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
maillog_file = {log}
maillog_file_prefixes = {folder}, {log}
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example.com
mydestination = bench.example.com
relay_domains = fax.example.com
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
local_transport = discard:
default_transport = discard:
relay_transport = {transport}
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
message_size_limit = 62914560
"""

MASTER = """\
127.0.0.1:{port} inet n - n - 100 smtpd
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
discard   unix  - - n - - discard
proxymap  unix  - - n - - proxymap
tlsmgr    unix  - - n 1000? 1 tlsmgr
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
smtp      unix  - - n - - smtp
lmtp      unix  - - n - - lmtp
postlog   unix-dgram n - n - 1 postlogd
"""


@contextmanager
def postfix(
    transport: str = "discard:", around: list[str] | None = None, log: Path | None = None
) -> Iterator[tuple[str, int]]:
    """Run Postfix and give the address of its SMTP server. Needs root.

    ``transport``: where it brings mail for fax.example.com, as in transport(5); ``around``: a command that runs it
    (strace); ``log``: where its log goes.
    """
    if os.geteuid() != 0:
        raise SystemExit("Postfix starts as root only: run this as root")
    folder = Path(tempfile.mkdtemp(prefix="fr-postfix-"))
    folder.chmod(0o755)
    port = _free_port()
    (folder / "conf").mkdir()
    (folder / "queue").mkdir()
    (folder / "data").mkdir()
    shutil.chown(folder / "data", "postfix")
    (folder / "conf" / "main.cf").write_text(MAIN.format(folder=folder, log=log or folder / "log", transport=transport))
    (folder / "conf" / "master.cf").write_text(MASTER.format(port=port))
    command = ["postfix", "-c", str(folder / "conf")]
    process = subprocess.Popen(
        [*(around or []), *command, "start-fg"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield "127.0.0.1", port
    finally:
        subprocess.run([*command, "stop"], check=False, capture_output=True)
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("Postfix does not listen")
