"""Where the console keeps what it knows: its folder, its database, and the people in it. Any thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shadowline.errors import ConfigError
from station.config.console import ConsoleConfig
from station.console.audit import Audit
from station.console.database import Database
from station.console.people import People
from station.console.sessions import Sessions
from station.security.private_files import make_private_folder

__all__ = ["Records", "open_records"]


@dataclass(frozen=True, slots=True)
class Records:
    """The console's folder and what lies in its database."""

    folder: Path
    database: Database
    people: People
    sessions: Sessions
    audit: Audit


@contextmanager
def open_records(config: ConsoleConfig) -> Iterator[Records]:
    """Yield what the folder of the table holds, made where it is missing. Raises `ConfigError` and `KeysError`."""
    if config.folder is None:
        raise ConfigError('[console] folder is missing: folder = "console" says where people and reviews are kept')
    make_private_folder(config.folder)
    with Database(config.folder / "console.db") as database:
        people = People(database, config.language)
        sessions = Sessions(database, config.session_hours * 3600, config.idle_minutes * 60)
        yield Records(config.folder, database, people, sessions, Audit(database))
