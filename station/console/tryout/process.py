"""The process that decodes and judges what people upload: `python -m station.console.tryout.process CONFIG FD`.

It may be killed at any moment. Its memory, files and priority are bounded before it looks at a picture, and it ends by
itself when nothing came for a while.
"""

import os
import resource
import socket
import sys
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import cv2
import msgspec

from shadowline.errors import PictureError, StationError
from shadowline.kernel_cache import load_kernels
from station.camera.pictures import decode_picture
from station.config import Config
from station.config_file import load
from station.console.tryout.header import MOST_PIXELS
from station.console.tryout.judging import Judging
from station.console.tryout.messages import Choice, Judged, Reply, Sorry, Task, receive, send_reply
from station.frame import Image, InvalidReason

__all__ = ["MEMORY_BYTES", "Rooms", "main"]

MEMORY_BYTES: Final = 4 * 2**30
_IDLE_S: Final = 600.0
_LOWEST: Final = 19
_ROOMS: Final = 4
_FILES: Final = 64


class Rooms:
    """The last few pipelines that were asked for, each opened once."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._open: OrderedDict[tuple[Choice, str], tuple[Judging, ExitStack]] = OrderedDict()

    def judge(self, task: Task, image: Image) -> list[Reply]:
        """Return what each choice makes of `image`, or why it can't."""
        return [self._judge(choice, task.camera, image) for choice in task.choices]

    def close(self) -> None:
        """Free every network."""
        while self._open:
            self._open.popitem()[1][1].close()

    def _judge(self, choice: Choice, camera: str, image: Image) -> Reply:
        try:
            return self._room(choice, camera).judge(image)
        except StationError as fault:
            return Sorry(choice.title, str(fault))

    def _room(self, choice: Choice, camera: str) -> Judging:
        key = (choice, camera)
        if key not in self._open:
            while len(self._open) >= _ROOMS:
                self._open.popitem(last=False)[1][1].close()
            opened = ExitStack()
            self._open[key] = (opened.enter_context(Judging(self._config, choice, camera)), opened)
        self._open.move_to_end(key)
        return self._open[key][0]


def main(config: Path, line: socket.socket) -> None:
    """Judge what comes over `line` until it is closed or nothing came for long."""
    _bound_itself()
    cv2.setNumThreads(1)
    rooms = Rooms(load(config))
    load_kernels()
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    line.settimeout(_IDLE_S)
    try:
        while (received := receive(line)) is not None:
            send_reply(line, _answer(rooms, *received))
    except OSError:  # nothing came for long, or the console is gone
        return
    finally:
        rooms.close()


def _answer(rooms: Rooms, task: Task, picture: bytes) -> list[Reply]:
    try:
        image = _decode(picture)
    except PictureError as fault:
        return [Sorry(choice.title, str(fault)) for choice in task.choices]
    first, *others = rooms.judge(task, image)
    if task.whole and isinstance(first, Judged):
        first = msgspec.structs.replace(first, png=cv2.imencode(".png", image)[1].tobytes())
    return [first, *others]


def _decode(picture: bytes) -> Image:
    image = decode_picture(picture, MOST_PIXELS)
    if isinstance(image, InvalidReason):
        raise PictureError("it can't be decoded: it is damaged, or of an unusual kind")
    return image


def _bound_itself() -> None:
    os.nice(_LOWEST)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as line:
        main(Path(sys.argv[1]), line)
