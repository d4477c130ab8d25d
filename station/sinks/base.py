"""The sink contract. Sinks are made, used and closed in the publish thread."""

from typing import Protocol

from station.event import Message

__all__ = ["Sink"]


class Sink(Protocol):
    """Somewhere that messages go. A slow or dead sink never slows the line."""

    name: str
    dropped: dict[str, int]
    """Messages that this sink could not hand on, by reason."""

    def put(self, message: Message, payload: bytes) -> None:
        """Take `message`, also given as its JSON. Returns at once and raises nothing."""

    def close(self) -> None:
        """Release everything."""
