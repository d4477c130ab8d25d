"""An ONNX file opened by ONNX Runtime, its metadata and its borders: what all engines of it share. The thread's own."""

import contextlib
import hashlib
import io
import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults
from pydantic import BaseModel, ValidationError

from shadowline.errors import EngineError, EngineMismatch

__all__ = ["OnnxFile", "Provider", "Shape", "has_provider", "onnx_runtime_version", "provider_name"]

Provider: TypeAlias = Literal["cpu", "cuda"]

Card = TypeVar("Card", bound=BaseModel)

Shape: TypeAlias = Sequence[int | str | None]
"""Of a number the very size, of a word any size, of None whatever the file says."""

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
_SCHEMA_VERSION = 1
_WORDS = 320


def has_provider(provider: Provider) -> bool:
    """Return whether this ONNX Runtime was made with the provider; it may still not load."""
    return _PROVIDERS[provider] in onnxruntime.get_available_providers()


def provider_name(provider: Provider) -> str:
    """Return what ONNX Runtime calls the provider."""
    return _PROVIDERS[provider]


def onnx_runtime_version() -> str:
    """Return the version of ONNX Runtime."""
    return str(onnxruntime.__version__)


class OnnxFile:
    """The file at `path`, opened on `provider` with `threads` to a run; freed with its last reference.

    One that is not `optimised` opens faster and runs slower. Making one raises `EngineError` when the file can't be
    loaded or the provider is not there.
    """

    def __init__(self, path: Path, provider: Provider = "cpu", threads: int = 1, optimised: bool = True) -> None:
        content = _read(path)
        self.path = path
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._session = _open(path, content, provider, _options(threads, optimised))
        self.outputs = tuple(value.name for value in self._session.get_outputs())
        """Names of all outputs."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What stands in the file beside the graph."""
        properties: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        return properties

    def card(self, key: str, kind: type[Card], export: str) -> Card:
        """Return the metadata `key` as a card of `kind`.

        Raises `EngineMismatch`, which names the command `export`, when it is missing or not ours.
        """
        text = self.metadata.get(key)
        if text is None:
            raise EngineMismatch(f"{self.path}: no `{key}` metadata: export it with `{export}`")
        try:
            version = json.loads(text).get("schema_version", _SCHEMA_VERSION)
            if version != _SCHEMA_VERSION:
                raise EngineMismatch(
                    f"{self.path}: metadata schema version {version}, this station reads {_SCHEMA_VERSION}: "
                    "export it again"
                )
            return kind.model_validate_json(text)
        except ValidationError as fault:
            first = fault.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise EngineMismatch(f"{self.path}: metadata {field}: {first['msg']}") from fault
        except (AttributeError, ValueError) as fault:
            raise EngineMismatch(f"{self.path}: its `{key}` metadata is not a JSON table") from fault

    def check_input(self, name: str, element: str, shape: Shape) -> None:
        """Raise `EngineMismatch` unless the one input is `name`, of type `element` and of `shape`."""
        self._check("input", self._session.get_inputs(), name, element, shape)

    def check_output(self, name: str, element: str, shape: Shape, position: int) -> None:
        """Raise `EngineMismatch` unless output `position` is `name`, of type `element` and of `shape`."""
        self._check("output", self._session.get_outputs()[position : position + 1], name, element, shape)

    def run(self, outputs: Sequence[str], **inputs: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the `outputs` by name, in new arrays. Raises `EngineError`."""
        try:
            return dict(zip(outputs, self._session.run(outputs, inputs), strict=True))
        except _RUN_FAULTS as fault:
            raise EngineError(f"{self.path}: the network did not run: {_first_line(fault)}") from fault

    def _check(self, kind: str, found: Sequence[Any], name: str, element: str, shape: Shape) -> None:
        if len(found) != 1 or found[0].name != name:
            names = ", ".join(value.name for value in found)
            raise EngineMismatch(f"{self.path}: {kind} is `{names}`, must be `{name}`")
        if found[0].type != element:
            raise EngineMismatch(f"{self.path}: {kind} `{name}` is {found[0].type}, must be {element}")
        if not _fits(found[0].shape, shape):
            free = ", ".join(side for side in shape if isinstance(side, str))
            raise EngineMismatch(
                f"{self.path}: {kind} `{name}` is {found[0].shape}, must be {list(shape)} with any {free}"
            )


def _fits(found: Sequence[Any], shape: Shape) -> bool:
    """Whether the sides that a file states are those of `shape`."""
    if len(found) != len(shape):
        return False
    return all(
        wanted is None or side == wanted or (isinstance(wanted, str) and not isinstance(side, int))
        for side, wanted in zip(found, shape, strict=True)
    )


def _options(threads: int, optimised: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
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


def _first_line(fault: Exception) -> str:
    """Return the first line of what ONNX Runtime says, and of a long one the end: it starts with its own source."""
    line = (str(fault).splitlines() or [type(fault).__name__])[0]
    return line if len(line) <= _WORDS else "…" + line[-_WORDS:]
