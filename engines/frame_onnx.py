"""Run a finder file with ONNX Runtime. Lives in the thread that enters it: the inspect thread."""

from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from engines.finder_card import FINDER_KEY, FinderCard
from engines.frame_engine import Found, check_frames
from engines.frame_warm_up import OUTPUTS, check_found, noise_frames
from engines.model import METADATA_KEY
from engines.onnx_file import OnnxFile, Provider, Shape, provider_name
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["FrameOnnxEngine", "is_finder", "read_finder_card", "shipped_detector"]

_EXPORT = "station train regions, anomaly or detect"
_FLOATS, _INTEGERS = "tensor(float)", "tensor(int64)"
_LISTS: Final[dict[str, tuple[str, Shape]]] = {
    "boxes": (_FLOATS, ["N", None, 4]),
    "scores": (_FLOATS, ["N", None]),
    "labels": (_INTEGERS, ["N", None]),
}


def shipped_detector() -> Path:
    """Return the path of the detector that comes with the package."""
    return Path(__file__).parent / "models" / "neu-detect.onnx"


def read_finder_card(path: Path) -> FinderCard:
    """Return what the finder file at `path` says of itself, without making it ready to run.

    Raises `EngineError` when it is missing or no ONNX file, `EngineMismatch` when its metadata is not a finder's.
    """
    return _card_of(OnnxFile(path, optimised=False))


def is_finder(path: Path) -> bool:
    """Return whether the ONNX file at `path` has a finder's card. Raises `EngineError` when it can't be read."""
    return FINDER_KEY in OnnxFile(path, optimised=False).metadata


class FrameOnnxEngine:
    """A finder file on the CPU, or on a GPU by the CUDA provider; `threads` serve one run.

    Entering raises `EngineError` when the file can't be loaded or the provider is not there, and `EngineMismatch` when
    it is not the finder that its metadata says.
    """

    card: FinderCard
    sha256: str

    def __init__(self, path: Path, provider: Provider = "cpu", threads: int = 1) -> None:
        self.name = f"onnx_runtime {provider_name(provider)}"
        self._path = path
        self._provider: Provider = provider
        self._threads = threads
        self._file: OnnxFile | None = None

    def __enter__(self) -> Self:
        file = OnnxFile(self._path, self._provider, self._threads)
        self.sha256 = file.sha256
        self.card = card = _card_of(file)
        self.name = f"onnx_runtime {provider_name(self._provider)} {card.precision}"
        _check_borders(file, card)
        for count in (1, 2):
            frames = noise_frames(card, count)
            check_found(file.run(OUTPUTS[card.kind], frame=frames), frames, card, str(self._path))
        self._file = file
        return self

    def __exit__(self, *failure: object) -> None:
        self._file = None

    def run(self, frames: NDArray[np.uint8]) -> Found:
        file = self._file
        if file is None:
            raise EngineError(f"{self._path}: the engine is not entered")
        check_frames(frames, self.card, self.name)
        return file.run(OUTPUTS[self.card.kind], frame=frames)


def _card_of(file: OnnxFile) -> FinderCard:
    if FINDER_KEY not in file.metadata and METADATA_KEY in file.metadata:
        raise EngineMismatch(f"{file.path}: it names crops and finds no regions: it belongs in [engine] model")
    return file.card(FINDER_KEY, FinderCard, _EXPORT)


def _check_borders(file: OnnxFile, card: FinderCard) -> None:
    """Refuse a graph whose input or outputs are not those of the contract for this card."""
    file.check_input("frame", "tensor(uint8)", ["N", 1, *(card.input_px or ("H", "W"))])
    if card.kind == "detector":
        borders = _LISTS
    else:
        labels = [len(card.labels)] if card.labels else []
        borders = {"heat": (_FLOATS, ["N", *labels, None, None])}
    for position, (name, (element, shape)) in enumerate(borders.items()):
        file.check_output(name, element, shape, position)
