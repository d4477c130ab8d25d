"""Tell systemd how the station is (`Type=notify`), one datagram a message; nothing without systemd. Main thread."""

import os
import socket
from contextlib import suppress

__all__ = ["notify"]


def notify(message: str) -> None:
    """Send `message` (`READY=1`, `WATCHDOG=1`, `STOPPING=1`, `STATUS=…`) to the socket that `NOTIFY_SOCKET` names.

    Does nothing where there is none; a message that systemd does not take at once is not waited for. See sd_notify(3).
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        with suppress(OSError):
            channel.connect("\0" + address[1:] if address.startswith("@") else address)
            channel.send(message.encode())
