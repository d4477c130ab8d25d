"""V4L2 devices and network streams through OpenCV."""

from station.camera.opencv.camera import OpenCvCamera, discover

__all__ = ["OpenCvCamera", "discover"]
