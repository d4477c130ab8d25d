"""Make the outlet that a gateway's table asks for; its packages load only here. Pure."""

from typing import assert_never

from station.config import Config
from station.config.gateways import GatewayConfig, ModbusConfig, MqttConfig, OpcUaConfig, S7Config
from station.gateways.base import Outlet

__all__ = ["open_outlet"]


def open_outlet(name: str, settings: GatewayConfig, config: Config) -> Outlet:
    """Return the outlet of the gateway `name`, not opened yet. Raises `ConfigError` and `MissingExtra`."""
    match settings:
        case OpcUaConfig():
            from station.gateways.opcua.outlet import OpcUaOutlet

            return OpcUaOutlet(name, settings, config)
        case MqttConfig():
            from station.gateways.mqtt.outlet import MqttOutlet

            return MqttOutlet(name, settings, config)
        case ModbusConfig() | S7Config():
            from station.gateways.plc.outlet import PlcOutlet

            return PlcOutlet(name, settings, config)
        case _ as never:
            assert_never(never)
