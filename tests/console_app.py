"""The console's application in the test's own process, with somebody of each role and no station."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from starlette.testclient import TestClient

from station.client import Peer
from station.config_file import load
from station.console.app import open_app
from station.console.csrf import csrf_of
from station.console.people import Role
from station.console.serve import open_console
from station.console.sessions import Session
from station.console.web import Console

__all__ = ["PASSWORD", "ConsoleApp", "console_app"]

PASSWORD = "a long sentence of tests"
"""Of everybody: `viewer`, `operator` and `engineer`."""

_CONFIG = """
[[camera]]
name = "top"
type = "simulated"
[engine]
backend = "fake"
[publish]
endpoint = "ipc://{folder}/events"
[journal]
folder = "journal"
endpoint = "ipc://{folder}/replay"
[control]
endpoint = "ipc://{folder}/control"
[metrics]
enabled = false
[console]
folder = "console"
"""


@dataclass(frozen=True)
class ConsoleApp:
    """The application, and who is logged in."""

    app: FastAPI
    console: Console
    sessions: dict[Role, Session]

    def client(self, role: Role | None = None, address: str = "127.0.0.1") -> TestClient:
        """Return a client that is logged in as `role` and sends the right CSRF word; None is nobody."""
        client = TestClient(
            self.app,
            "http://127.0.0.1",
            follow_redirects=False,
            client=(address, 50_000),
            raise_server_exceptions=False,
        )
        if role is not None:
            token = self.sessions[role].token
            client.cookies.set("shadowline-80", token)
            client.headers["X-CSRF-Token"] = csrf_of(token)
        return client


@contextmanager
def console_app(folder: Path, keys: str = "", people: bool = True) -> Iterator[ConsoleApp]:
    """Yield the application; `keys` are added to `[console]`. Without `people` nobody is let in yet."""
    config_file = folder / "config.toml"
    config_file.write_text(_CONFIG.format(folder=folder) + keys)
    live, journal, control = (Peer(f"ipc://{folder}/{name}") for name in ("events", "replay", "control"))
    with open_console(load(config_file), config_file, live, journal, control) as console, open_app(console) as app:
        sessions = {}
        for role in Role if people else ():
            person = console.people.add(role.name.lower(), role, PASSWORD)
            sessions[role] = console.sessions.begin(person)
        yield ConsoleApp(app, console, sessions)
