"""An HTTP server of moving pictures, as cheap network cameras have it: a peer of the `opencv` driver."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["JPEGS", "as_part", "serve"]

JPEGS = "multipart/x-mixed-replace; boundary=next"
"""Type of a stream of JPEGs, each `as_part`."""


def as_part(jpeg: bytes) -> bytes:
    """Return what one JPEG is in a stream of them."""
    return f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode() + jpeg + b"\r\n"


@contextmanager
def serve(content_type: str, parts: Iterable[bytes], rate_hz: float = 25) -> Iterator[str]:
    """Give the URL of a server that sends each client all of `parts` at that rate, and then ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            for part in parts:
                try:
                    self.wfile.write(part)
                except OSError:
                    return
                time.sleep(1 / rate_hz)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/video"
        finally:
            server.shutdown()
            thread.join()
