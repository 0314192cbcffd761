"""Brings a database to this version's tables (Alembic), and keeps a second service out of the data directory."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO, TYPE_CHECKING

import alembic.command
import alembic.config

from relay.errors import DataDirectoryBusy

if TYPE_CHECKING:
    import sqlalchemy as sa

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(engine: sa.Engine) -> None:
    """Run the migrations that the database lacks; harmless when it lacks none."""
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        connection.commit()


def lock(folder: Path) -> IO[str]:
    """Hold the data directory for this process; the lock goes when the file is closed or the process dies.

    Raises :class:`DataDirectoryBusy`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise DataDirectoryBusy(
            f"another faxrelay service uses {folder}; stop it, or give this one another folder by FAXRELAY_DATA"
        ) from None
    return file
