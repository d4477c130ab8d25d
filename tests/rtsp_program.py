"""The process behind `tests.rtsp`, of the system's Python, which has GStreamer's bindings."""

import argparse
from itertools import count
from typing import Any

from tests.numbered import draw

_ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! rtph264pay",
    "jpeg": "jpegenc ! rtpjpegpay",
}


def _serve(port: int, width: int, height: int, rate_hz: int, user: str, password: str, codec: str) -> None:
    import gi  # type: ignore[import-not-found]

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]

    Gst.init(None)
    numbers = count()
    period_ns = round(1e9 / rate_hz)

    def prepare(_: Any, media: Any) -> None:
        source = media.get_element().get_child_by_name("source")
        made = count()

        def push(*_: Any) -> None:
            buffer = Gst.Buffer.new_wrapped(draw(next(numbers), width, height))
            buffer.pts, buffer.duration = next(made) * period_ns, period_ns
            source.emit("push-buffer", buffer)

        source.connect("need-data", push)

    factory = GstRtspServer.RTSPMediaFactory()
    grey = f"video/x-raw,format=GRAY8,width={width},height={height},framerate={rate_hz}/1"
    source = f"appsrc name=source is-live=true format=time caps={grey} ! videoconvert ! video/x-raw,format=I420"
    factory.set_launch(f"( {source} ! {_ENCODERS[codec]} name=pay0 )")
    factory.set_shared(True)
    factory.connect("media-configure", prepare)
    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=str(port))
    if user:
        _protect(GstRtspServer, server, factory, user, password)
    server.get_mount_points().add_factory("/strip", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


def _protect(rtsp: Any, server: Any, factory: Any, user: str, password: str) -> None:
    """Serve nobody but this user."""
    token = rtsp.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    permissions = rtsp.RTSPPermissions()
    permissions.add_role("viewer")
    for permission in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", permission, True)
    factory.set_permissions(permissions)
    auth = rtsp.RTSPAuth()
    auth.add_basic(rtsp.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name, kind in (
        ("port", int),
        ("width", int),
        ("height", int),
        ("rate_hz", int),
        ("user", str),
        ("password", str),
        ("codec", str),
    ):
        parser.add_argument(name, type=kind)
    _serve(**vars(parser.parse_args()))
