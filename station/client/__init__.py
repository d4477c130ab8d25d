"""The station from the other side: a stream of its messages, each once and in order, with no loss untold.

    with Client("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5561", consumer="mes") as client:
        for item in client:
            ...

Imports nothing heavy: pyzmq and msgspec.
"""

from station.client.client import Client
from station.client.items import Gap, Item, Renumbered, Silence
from station.client.sockets import Peer

__all__ = ["Client", "Gap", "Item", "Peer", "Renumbered", "Silence"]
