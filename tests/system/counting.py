"""A program of its own that publishes a counter, to be frozen and killed: 100 messages a second, for two minutes."""

import sys
import time

import zmq


def publish(port: int) -> None:
    """Count on by one a message, from 0."""
    with zmq.Context(io_threads=1) as context, context.socket(zmq.PUB) as socket:
        socket.linger = 0
        socket.bind(f"tcp://127.0.0.1:{port}")
        for count in range(12_000):
            socket.send(b'{"count": %d}' % count)
            time.sleep(0.01)


if __name__ == "__main__":
    publish(int(sys.argv[1]))
