"""The daemon: cameras in, published verdicts out."""

import os

# OpenCV reads these once, at its first use: refuse pictures beyond 268 megapixels undecoded, keep FFmpeg off stderr.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**28))
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
