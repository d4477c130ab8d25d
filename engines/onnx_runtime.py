"""Run a self-describing model file with ONNX Runtime. Lives in the thread that enters it: the inspect thread."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers, join_answers
from engines.finder_card import FINDER_KEY
from engines.model import METADATA_KEY, ModelCard
from engines.onnx_file import OnnxFile, Provider, provider_name
from engines.warm_up import check_answers, noise_crops
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["OnnxRuntimeEngine", "read_card", "shipped_model"]

_EXPORT = "station train export"
_FLOATS = "tensor(float)"


def shipped_model() -> Path:
    """Return the path of the model file that comes with the package."""
    return Path(__file__).parent / "models" / "neu-compact.onnx"


def read_card(path: Path) -> ModelCard:
    """Return what the model file at `path` says of itself, without making it ready to run.

    Raises `EngineError` when it is missing or no ONNX file, `EngineMismatch` when its metadata is not ours.
    """
    return _card_of(OnnxFile(path, optimised=False))


class OnnxRuntimeEngine:
    """A model file on the CPU, or on a GPU by the CUDA provider; the shipped model when `model` is None.

    `threads` serve one run, `max_batch` bounds its crops. Entering raises `EngineError` when the file can't be loaded
    or the provider is not there, and `EngineMismatch` when it is not the model that its metadata says.
    """

    card: ModelCard
    sha256: str

    def __init__(
        self, model: Path | None = None, provider: Provider = "cpu", threads: int = 1, max_batch: int = 32
    ) -> None:
        self.name = f"onnx_runtime {provider_name(provider)}"
        self._path = model or shipped_model()
        self._provider: Provider = provider
        self._threads = threads
        self._max_batch = max_batch
        self._file: OnnxFile | None = None

    def __enter__(self) -> Self:
        file = OnnxFile(self._path, self._provider, self._threads)
        self.sha256 = file.sha256
        self.card = _card_of(file)
        self.name = f"onnx_runtime {provider_name(self._provider)} {self.card.precision}"
        _check_borders(file, self.card)
        _warm_up(file, self.card, self._max_batch)
        self._file = file
        return self

    def __exit__(self, *failure: object) -> None:
        self._file = None

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        file = self._file
        if file is None:
            raise EngineError(f"{self._path}: the engine is not entered")
        if len(crops) <= self._max_batch:
            return _run(file, crops)
        starts = range(0, len(crops), self._max_batch)
        return join_answers([_run(file, crops[i : i + self._max_batch]) for i in starts])


def _card_of(file: OnnxFile) -> ModelCard:
    if METADATA_KEY not in file.metadata and FINDER_KEY in file.metadata:
        raise EngineMismatch(f"{file.path}: it finds regions and names no crops: it belongs in [regions] model")
    return file.card(METADATA_KEY, ModelCard, _EXPORT)


def _check_borders(file: OnnxFile, card: ModelCard) -> None:
    """Refuse a graph whose input or output is not the one of the contract for this card."""
    side = card.crop.size_px
    if card.novelty_limit is not None and "novelty" not in file.outputs:
        raise EngineMismatch(
            f"{file.path}: its card has a novelty_limit, its graph no output `novelty`: export it again"
        )
    file.check_input("crops", "tensor(uint8)", ["N", 1, side, side])
    file.check_output("probabilities", _FLOATS, ["N", len(card.labels)], 0)
    if "novelty" in file.outputs:
        file.check_output("novelty", _FLOATS, ["N"], file.outputs.index("novelty"))


def _warm_up(file: OnnxFile, card: ModelCard, max_batch: int) -> None:
    """Run the smallest and the largest batch, so that memory is there, and refuse what can't be right."""
    for count in (1, max_batch):
        check_answers(_run(file, noise_crops(card, count)), card, str(file.path))


def _run(file: OnnxFile, crops: NDArray[np.uint8]) -> Answers:
    names = [name for name in file.outputs if name in ("probabilities", "novelty")]
    return Answers(**file.run(names, crops=crops))
