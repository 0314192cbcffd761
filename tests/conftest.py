"""Fixtures of every room: databases of both kinds, ids, and what may be missing on a laptop but not in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from relay.ids import IdSource
from relay.store import schema
from relay.store.engine import Store

if TYPE_CHECKING:
    from collections.abc import Iterator


def need(*programs: str) -> None:
    """Skip on a laptop that lacks a real part of the test, fail in CI."""
    for program in programs:
        if shutil.which(program) is None:
            message = f"{program} is not installed; `make setup` installs it"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)


class AtOnce:
    """Says at once what failed and where, so that a run that is stopped from outside has told it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        """Write where the run writes."""
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the end of a failure."""
        if report.failed:
            self._terminal.write_line(f"\n{report.when} of {report.nodeid} failed:\n{report.longreprtext[-4000:]}")


@pytest.hookimpl(trylast=True)  # the reporter is added by a hook of the same name
def pytest_configure(config: pytest.Config) -> None:
    """Add it to the process that reports."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(AtOnce(terminal))


@pytest.fixture
def ids() -> IdSource:
    """Ids that only grow."""
    return IdSource()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty database of this version, of each kind."""
    url = f"sqlite:///{tmp_path / 'faxrelay.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_database")
    opened = Store(url)
    schema.upgrade(opened.engine)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """A PostgreSQL server of our own (Debian's binaries) on a Unix socket; gives the socket's folder."""
    with postgresql_folder() as folder:
        yield folder


@contextmanager
def postgresql_folder() -> Iterator[str]:
    """Run a PostgreSQL server and give the folder of its socket."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        need("postgres")
    binaries = found[-1]
    folder = Path(tempfile.mkdtemp(prefix="fr-pg-"))
    as_postgres: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data = folder / "data"
    log = folder / "log"
    subprocess.run(
        [*as_postgres, binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c max_connections=100"
    subprocess.run(
        [*as_postgres, binaries / "pg_ctl", "-D", data, "-l", log, "-w", "-o", options, "start"],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    try:
        yield str(folder)
    finally:
        subprocess.run(
            [*as_postgres, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"],
            check=False, capture_output=True, cwd=folder,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_database(postgresql_server: str, request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database on that server."""
    import psycopg

    name = f"t{abs(hash(request.node.nodeid))}"
    with psycopg.connect(host=postgresql_server, user="postgres", autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    return f"postgresql+psycopg://postgres@/{name}?host={postgresql_server}"
