"""Run a self-describing model file with ONNX Runtime. Lives in the thread that enters it: the inspect thread."""

import contextlib
import hashlib
import io
import json
import stat
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults
from pydantic import ValidationError

from engines.answers import Answers, join_answers
from engines.model import METADATA_KEY, SCHEMA_VERSION, ModelCard
from engines.warm_up import check_answers, noise_crops
from shadowline.errors import EngineError, EngineMismatch

__all__ = ["OnnxRuntimeEngine", "Provider", "has_provider", "onnx_runtime_version", "read_card", "shipped_model"]

Provider: TypeAlias = Literal["cpu", "cuda"]

_PROVIDERS: dict[str, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_LOAD_FAULTS = (
    faults.EPFail,
    faults.EngineError,
    faults.Fail,
    faults.InvalidArgument,
    faults.InvalidGraph,
    faults.InvalidProtobuf,
    faults.NoModel,
    faults.NotImplemented,
    faults.RuntimeException,
)
_RUN_FAULTS = (*_LOAD_FAULTS, RuntimeError, ValueError)
_FATAL_ONLY = 4  # ONNX Runtime's own lines on stderr; what matters comes back as an exception
_MAX_BYTES = 2**31 - 1  # protobuf's limit
_WORDS = 320
_OUTPUTS = ("probabilities", "novelty")


def shipped_model() -> Path:
    """Return the path of the model file that comes with the package."""
    return Path(__file__).parent / "models" / "neu-compact.onnx"


def has_provider(provider: Provider) -> bool:
    """Return whether this ONNX Runtime was made with the provider; it may still not load."""
    return _PROVIDERS[provider] in onnxruntime.get_available_providers()


def onnx_runtime_version() -> str:
    """Return the version of ONNX Runtime."""
    return str(onnxruntime.__version__)


def read_card(path: Path) -> ModelCard:
    """Return what the model file at `path` says of itself, without making it ready to run.

    Raises `EngineError` when it is missing or no ONNX file, `EngineMismatch` when its metadata is not ours.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return _card_of(_open(path, _read(path), "cpu", options), path)


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
        self.name = f"onnx_runtime {_PROVIDERS[provider]}"
        self._path = model or shipped_model()
        self._provider: Provider = provider
        self._threads = threads
        self._max_batch = max_batch
        self._session: onnxruntime.InferenceSession | None = None

    def __enter__(self) -> Self:
        content = _read(self._path)
        session = _open(self._path, content, self._provider, _options(self._threads))
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.card = _card_of(session, self._path)
        self.name = f"onnx_runtime {_PROVIDERS[self._provider]} {self.card.precision}"
        _check_borders(session, self.card, self._path)
        _warm_up(session, self.card, self._max_batch, self._path)
        self._session = session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session = None

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        session = self._session
        if session is None:
            raise EngineError(f"{self._path}: the engine is not entered")
        if len(crops) <= self._max_batch:
            return _run(session, crops, self._path)
        starts = range(0, len(crops), self._max_batch)
        return join_answers([_run(session, crops[i : i + self._max_batch], self._path) for i in starts])


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def _read(path: Path) -> bytes:
    try:
        if not stat.S_ISREG((found := path.stat()).st_mode):
            raise EngineError(f"{path}: not a file")
        if found.st_size > _MAX_BYTES:
            raise EngineError(f"{path}: over 2 GiB, where one ONNX file ends: no model of one file can be so large")
        return path.read_bytes()
    except OSError as fault:
        raise EngineError(f"{path}: can't read the model file: {fault.strerror}") from fault


def _open(
    path: Path, content: bytes, provider: Provider, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    """Return a session that really runs on `provider`."""
    wanted = _PROVIDERS[provider]
    if not has_provider(provider):
        raise EngineError(
            f"{path}: provider {provider} is not in this onnxruntime: pip install onnxruntime-gpu in place of "
            'onnxruntime, or set provider = "cpu"'
        )
    options.log_severity_level = _FATAL_ONLY
    if provider == "cuda":
        _load_cuda()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=[wanted])
    except _LOAD_FAULTS as fault:
        raise EngineError(f"{path}: not a complete ONNX model: {_first_line(fault)}") from fault
    if wanted not in session.get_providers():
        raise EngineError(
            f"{path}: provider {provider} did not load and ONNX Runtime fell back to {session.get_providers()[0]}: "
            'check the GPU driver and the CUDA and cuDNN libraries, or set provider = "cpu"'
        )
    return session


def _load_cuda() -> None:
    """Load CUDA and cuDNN where they are Python packages, which is not where the system looks for them."""
    with contextlib.redirect_stdout(io.StringIO()):  # what does not load is said when the provider is asked for
        onnxruntime.preload_dlls()


def _card_of(session: onnxruntime.InferenceSession, path: Path) -> ModelCard:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise EngineMismatch(f"{path}: no `{METADATA_KEY}` metadata: export it with `station train export`")
    try:
        version = json.loads(text).get("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise EngineMismatch(
                f"{path}: metadata schema version {version}, this station reads {SCHEMA_VERSION}: export it again"
            )
        return ModelCard.model_validate_json(text)
    except ValidationError as fault:
        first = fault.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise EngineMismatch(f"{path}: metadata {key}: {first['msg']}") from fault
    except (AttributeError, ValueError) as fault:
        raise EngineMismatch(f"{path}: its `{METADATA_KEY}` metadata is not a JSON table") from fault


def _check_borders(session: onnxruntime.InferenceSession, card: ModelCard, path: Path) -> None:
    """Refuse a graph whose input or output is not the one of the contract for this card."""
    side, outputs = card.crop.size_px, session.get_outputs()
    expected = [
        ("input", session.get_inputs(), "crops", "tensor(uint8)", [1, side, side]),
        ("output", outputs[:1], "probabilities", "tensor(float)", [len(card.labels)]),
    ]
    if novelty := [value for value in outputs if value.name == "novelty"]:
        expected.append(("output", novelty, "novelty", "tensor(float)", []))
    elif card.novelty_limit is not None:
        raise EngineMismatch(f"{path}: its card has a novelty_limit, its graph no output `novelty`: export it again")
    for kind, found, name, element, shape in expected:
        if len(found) != 1 or found[0].name != name:
            names = ", ".join(value.name for value in found)
            raise EngineMismatch(f"{path}: {kind} is `{names}`, must be `{name}`")
        if found[0].type != element:
            raise EngineMismatch(f"{path}: {kind} `{name}` is {found[0].type}, must be {element}")
        if len(found[0].shape) != 1 + len(shape) or found[0].shape[1:] != shape or isinstance(found[0].shape[0], int):
            raise EngineMismatch(f"{path}: {kind} `{name}` is {found[0].shape}, must be {['N', *shape]} with any N")


def _warm_up(session: onnxruntime.InferenceSession, card: ModelCard, max_batch: int, path: Path) -> None:
    """Run the smallest and the largest batch, so that memory is there, and refuse what can't be right."""
    for count in (1, max_batch):
        check_answers(_run(session, noise_crops(card, count), path), card, str(path))


def _run(session: onnxruntime.InferenceSession, crops: NDArray[np.uint8], path: Path) -> Answers:
    names = [value.name for value in session.get_outputs() if value.name in _OUTPUTS]
    try:
        return Answers(**dict(zip(names, session.run(names, {"crops": crops}), strict=True)))
    except _RUN_FAULTS as fault:
        raise EngineError(f"{path}: the network did not run: {_first_line(fault)}") from fault


def _first_line(fault: Exception) -> str:
    """Return the first line of what ONNX Runtime says, and of a long one the end: it starts with its own source."""
    line = (str(fault).splitlines() or [type(fault).__name__])[0]
    return line if len(line) <= _WORDS else "…" + line[-_WORDS:]
