"""An OPC UA gateway's outlet that a test drives by hand, and the clients that come to it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyAes256Sha256RsaPss, SecurityPolicyBasic256Sha256
from cryptography.hazmat.primitives.serialization import Encoding

from station.config import Config
from station.config.gateways import OpcUaConfig
from station.config_file import parse
from station.control_protocol import Recipe, Request
from station.event import CameraLedger, DefectRecord, EngineRecord, Heartbeat, InspectionEvent, Origin
from station.gateways.base import Ask, Entry, View
from station.gateways.opcua.address_space import NAMESPACE, STANDARD
from station.gateways.opcua.certificates import Trust, make_certificate
from station.gateways.opcua.outlet import OpcUaOutlet
from station.gateways.opcua.users import Users
from tests.journal_double import inspection

__all__ = [
    "AES",
    "SHA",
    "Driven",
    "Keys",
    "Listener",
    "call",
    "connected",
    "driven",
    "heartbeat",
    "listening",
    "marked",
    "node",
    "opcua_config",
    "standard",
    "turning",
    "user",
    "value",
    "wait_until",
]

AES, SHA = SecurityPolicyAes256Sha256RsaPss, SecurityPolicyBasic256Sha256
_PATIENCE_S = 20.0


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds; fails after a while."""
    until_s = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < until_s, f"never: {what}"
        time.sleep(0.002)


def opcua_config(folder: Path, settings: Mapping[str, Any] | None = None, **tables: Any) -> tuple[OpcUaConfig, Config]:
    """Return the table of a gateway at any free port of loopback, and the configuration around it."""
    table = {"type": "opcua", "port": 0, "folder": str(folder), "plain_network": True} | dict(settings or {})
    values = {"station": {"name": "line"}, "camera": [{"name": "top", "type": "simulated"}], "gateway": {"ua": table}}
    config = parse({**values, **tables}, folder / "config.toml")
    found = config.gateway["ua"]
    assert isinstance(found, OpcUaConfig)
    return found, config


def marked(event: int, defects: int = 2, **changes: Any) -> InspectionEvent:
    """Return a rejected inspection with all that a defect can have, told apart by their areas."""
    found = tuple(
        DefectRecord("scratch", 0.5 + i / 100, (i, 2, 3, 4), 10 + i, -3.5, 0.25, (1.5, 2.5), True, (1, 2, 3, 4), 5.5)
        for i in range(defects)
    )
    one = inspection(event, captured_ns=time.time_ns())
    one.verdict, one.reason, one.defects = "reject", "scratch", found
    one.published_ns = one.captured_ns
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def heartbeat(state: str = "online", recipe: str = "") -> Heartbeat:
    """Return a heartbeat of now, whose camera `top` is in `state`."""
    ledger = {"top": CameraLedger(0, 0, {}, 0, state)}  # type: ignore[arg-type]
    origin = Origin("line", "run1", "model", "config", recipe=recipe)
    return Heartbeat(origin, time.time_ns(), 1.0, 0, ledger, EngineRecord("fake", (), ""), {})


class Driven:
    """An outlet, and what its gateway would do with it."""

    def __init__(self, outlet: OpcUaOutlet) -> None:
        self.outlet = outlet
        self.asked: list[Ask] = []
        self.requests: list[Request] = []
        """What the station was asked and has answered."""
        self.counts: Mapping[str, int] = {}
        self.view = View("line", True, heartbeat(), time.time_ns(), "journal1", "online", "", 0, 0, 0, 0, False)

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.outlet.port}/shadowline"

    def turn(self, answers: Mapping[int, str] | None = None) -> int:
        """Take one turn; return how far the outlet is done."""
        self.view = replace(self.view, now_ns=time.time_ns(), answers=answers or {})
        turn = self.outlet.turn(self.view)
        self.asked += turn.asks
        self.counts = turn.counts
        return turn.done

    def put(self, *entries: Entry, done: int) -> None:
        """Put entries and wait until they are settled up to `done`."""
        self.turn()
        for entry in entries:
            self.outlet.put(entry)
        wait_until(lambda: self.turn() == done, f"done {done}")

    async def puts(self, *entries: Entry, done: int) -> None:
        """As `put`, beside an event loop."""
        await asyncio.to_thread(self.put, *entries, done=done)

    def say(self, **changes: Any) -> None:
        """Let the station be otherwise from now on, and the server hear of it."""
        self.view = replace(self.view, **changes)
        self.turn()


@contextmanager
def driven(folder: Path, settings: Mapping[str, Any] | None = None, **tables: Any) -> Iterator[Driven]:
    """Yield an open outlet."""
    found, config = opcua_config(folder, settings, **tables)
    outlet = OpcUaOutlet("ua", found, config)
    outlet.open()
    try:
        yield Driven(outlet)
    finally:
        outlet.close()


class Keys:
    """A client's certificate and key, in a folder of its own."""

    uri = "urn:test:client"

    def __init__(self, folder: Path, name: str, days: int = 10, begin: Any = None) -> None:
        made, private = make_certificate(self.uri, ["localhost"], timedelta(days=days), begin)
        self.certificate, self.key = folder / f"{name}.der", folder / f"{name}.pem"
        self.certificate.write_bytes(made.public_bytes(Encoding.DER))
        self.key.write_bytes(private)

    def trusted_by(self, folder: Path) -> "Keys":
        Trust(folder).add(self.certificate)
        return self


@asynccontextmanager
async def connected(
    url: str, keys: Keys | None = None, user: tuple[str, str] | None = None, policy: Any = SHA
) -> AsyncIterator[Client]:
    """Yield a client with a session; the server's types this process knows already."""
    client = Client(url, timeout=30, watchdog_intervall=30)
    client.application_uri = Keys.uri
    try:
        if keys:
            await client.set_security(policy, keys.certificate, keys.key)
        if user:
            client.set_user(user[0])
            client.set_password(user[1])
        async with client:
            yield client
    finally:
        wait_until(lambda: not _connections(), "no connection left")


def _connections() -> list[Any]:
    mine = psutil.Process(os.getpid()).net_connections("tcp")
    return [one for one in mine if one.status == psutil.CONN_ESTABLISHED]


@asynccontextmanager
async def turning(one: Driven, refusal: str = "", recipes: bool = True) -> AsyncIterator[None]:
    """Let the gateway turn meanwhile: its station answers with `refusal`, and changes `recipes` when asked to."""

    async def turn() -> None:
        while True:
            answers = {ask.number: refusal for ask in one.asked}
            for ask in one.asked:
                if isinstance(ask.request, Recipe) and recipes and not refusal:
                    one.view = replace(one.view, beat=heartbeat(recipe=str(ask.request.recipe)))
            one.requests += [ask.request for ask in one.asked]
            one.asked.clear()
            one.turn(answers)
            await asyncio.sleep(0.003)

    task = asyncio.create_task(turn())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Listener:
    """Takes the events that a client is sent."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    async def until(self, holds: Callable[[list[Any]], bool], what: str) -> None:
        """Wait until the events are as wanted."""
        until_s = time.monotonic() + _PATIENCE_S
        while not holds(self.events):
            assert time.monotonic() < until_s, f"never: {what}: {[event.Message.Text for event in self.events]}"
            await asyncio.sleep(0.005)


async def listening(client: Client, *kinds: int, period_ms: float = 10) -> Listener:
    """Return what is sent the standard's events of these types from now on."""
    listener = Listener()
    subscription = await client.create_subscription(period_ms, listener)
    await subscription.subscribe_events(ua.ObjectIds.Server, [await standard(client, kind) for kind in kinds])
    return listener


async def call(client: Client, path: str, *arguments: Any) -> Any:
    """Call the method at `path` below the VisionSystem; whole numbers go as Int32."""
    given = [ua.Variant(one, ua.VariantType.Int32) if type(one) is int else one for one in arguments]
    parent = await node(client, path.rpartition(".")[0])
    return await parent.call_method(await node(client, path), *given)


async def value(client: Client, path: str) -> Any:
    """Return the value of the variable at `path`, words as plain text."""
    found = await (await node(client, path)).read_value()
    return found.Text if isinstance(found, ua.LocalizedText) else found


async def node(client: Client, path: str) -> Any:
    """Return the node at `path` below the VisionSystem."""
    own = await client.get_namespace_index(NAMESPACE)
    return client.get_node(ua.NodeId(f"VisionSystem.{path}", own))


async def standard(client: Client, number: int) -> Any:
    """Return the standard's node `number`."""
    return client.get_node(ua.NodeId(number, await client.get_namespace_index(STANDARD)))


def user(folder: Path, name: str = "scada") -> tuple[str, str]:
    """Return a new user of the server."""
    return name, Users(folder).add(name)
