"""Basler cameras through pylon."""

from station.camera.basler.camera import BaslerCamera, discover

__all__ = ["BaslerCamera", "discover"]
