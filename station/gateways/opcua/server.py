"""The OPC UA server: made, opened and closed. Server's thread."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count

from asyncua import Server, ua

from shadowline import __version__
from station.config import Config
from station.config.gateways import OpcUaConfig
from station.gateways.opcua.address_space import NAMESPACE, build
from station.gateways.opcua.asking import Asking
from station.gateways.opcua.certificates import Trust, own_certificate
from station.gateways.opcua.conditions import Conditions
from station.gateways.opcua.control import Control
from station.gateways.opcua.desk import Desk, StationClock
from station.gateways.opcua.door import guard
from station.gateways.opcua.events import Events
from station.gateways.opcua.live import Live
from station.gateways.opcua.machine import Machine
from station.gateways.opcua.management import Management
from station.gateways.opcua.recipes import Recipes
from station.gateways.opcua.results import Results
from station.gateways.opcua.states import State
from station.gateways.opcua.users import Users
from station.gateways.opcua.vision import Vision

__all__ = ["serving", "tick"]

logger = logging.getLogger(__name__)

_GOALS = {"automatic": State.CONTINUOUS_EXECUTION, "commanded": State.PREOPERATIONAL}
_SEVERITY_OF_REFRESH = 100
_CHUNK_BYTES = 65_535
_MESSAGE_BYTES = 4 << 20
_ACTIVATION_S = 5.0
_UNREAD_MESSAGES = 100
_QUEUED_EVENTS = 10_000
_SOON_DAYS = 60


@asynccontextmanager
async def serving(
    name: str, settings: OpcUaConfig, config: Config, asking: Asking
) -> AsyncIterator[tuple[Server, Desk]]:
    """Yield a server that listens, and the desk that feeds it. Raises `OSError`, `ConfigError`, `KeysError`."""
    server = await _server(name, settings, config)
    desk = await _furnish(server, settings, config, asking)
    await server.start()
    try:
        yield server, desk
    finally:
        for session in list(server.iserver._external_sessions.values()):
            await session.close_session(True)
        await server.stop()


async def tick(server: Server) -> None:
    """Show the time; the library's own clock would hold up the end by a second."""
    now = ua.Variant(datetime.now(UTC), ua.VariantType.DateTime)
    place = ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)
    await server.write_attribute_value(place, ua.DataValue(now))


async def _server(name: str, settings: OpcUaConfig, config: Config) -> Server:
    """Return a server with its limits and its door, not started."""
    uri = f"urn:{socket.gethostname()}:shadowline:{config.station.name}:{name}"
    hosts = sorted({socket.gethostname(), "localhost", "127.0.0.1", settings.host} - {"0.0.0.0", "::"})
    own = own_certificate(settings.folder, uri, hosts)
    if own.days_left < _SOON_DAYS:
        logger.warning("%s/server.der expires in %d days", settings.folder, own.days_left)
    server = Server()
    server.iserver.bind_condition_methods = _SEVERITY_OF_REFRESH
    await server.init()
    server.disable_clock()
    await server.set_application_uri(uri)
    server.set_server_name(f"Shadowline {config.station.name}")
    server.application_type = ua.ApplicationType.Server
    now = datetime.now(UTC)
    await server.set_build_info(NAMESPACE, "Shadowline", "shadowline", __version__, "", now)
    server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}/shadowline")
    _limit(server, settings)
    await guard(server, own, Trust(settings.folder), Users(settings.folder), settings.plain_network)
    return server


def _limit(server: Server, settings: OpcUaConfig) -> None:
    iserver, limits = server.iserver, server.limits
    iserver.max_connections = settings.max_clients
    iserver.max_subscriptions = 10 * settings.max_clients
    iserver.max_session_timeout_ms = settings.session_s * 1e3
    iserver.max_pending_activation_seconds = _ACTIVATION_S
    iserver.max_unacked_messages_per_subscription = _UNREAD_MESSAGES
    iserver.max_monitored_item_queue_size = _QUEUED_EVENTS
    limits.max_recv_buffer = limits.max_send_buffer = _CHUNK_BYTES
    limits.max_message_size = _MESSAGE_BYTES
    limits.max_chunk_count = _MESSAGE_BYTES // _CHUNK_BYTES + 1


async def _furnish(server: Server, settings: OpcUaConfig, config: Config, asking: Asking) -> Desk:
    """Fill the address space, and put what answers behind its methods."""
    space = await build(server, config.station.name)
    numbers, begun = count(1), datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    clock, events, results = StationClock(), Events(space), Results(settings.results)
    vision = Vision(_GOALS[settings.start], lambda: f"{begun}-{next(numbers)}")
    machine, conditions, live = Machine(space, events, vision), Conditions(space, events), Live(space)
    known = {"default": 0} | {one: recipe.external_id for one, recipe in config.recipe.items()}
    recipes = Recipes(known, settings.products, machine, events, asking, clock.now_ns)
    management = Management(results, config.sha256[:12])
    for part in (events, machine, conditions, live):
        await part.prepare()
    await management.show(space)
    for linked in (recipes, management, Control(machine, conditions, recipes, asking, clock.now_ns)):
        linked.link(space)
    return Desk(clock, machine, events, conditions, live, recipes, results, asking, settings.cameras)
