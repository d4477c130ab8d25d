"""The table `[gateway.NAME]` of type `ads`. Pure."""

from typing import Literal

from station.config.gateways.base import GatewayBase

__all__ = ["AdsConfig"]


class AdsConfig(GatewayBase):
    """To be written."""

    type: Literal["ads"]
