"""GigE Vision and USB3 Vision cameras through Aravis."""

from station.camera.aravis.camera import AravisCamera, discover

__all__ = ["AravisCamera", "discover"]
