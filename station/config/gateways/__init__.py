"""The tables `[gateway.NAME]`: to whom results are carried, in whose language. Pure."""

from typing import Annotated, TypeAlias

from pydantic import Field

from station.config.gateways.base import GatewayBase, RejectConfig
from station.config.gateways.modbus import ModbusConfig
from station.config.gateways.mqtt import MqttConfig
from station.config.gateways.opcua import OpcUaConfig
from station.config.gateways.s7 import S7Config

__all__ = [
    "GatewayBase",
    "GatewayConfig",
    "ModbusConfig",
    "MqttConfig",
    "OpcUaConfig",
    "RejectConfig",
    "S7Config",
]

GatewayConfig: TypeAlias = Annotated[OpcUaConfig | ModbusConfig | S7Config | MqttConfig, Field(discriminator="type")]
