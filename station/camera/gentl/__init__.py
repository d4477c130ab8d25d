"""Cameras of any maker through its GenTL producer."""

from station.camera.gentl.camera import GenTlCamera, discover

__all__ = ["GenTlCamera", "discover"]
