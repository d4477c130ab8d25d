"""Run a plan with TensorRT: pycuda's context, buffers and stream, one recorded graph a batch size. The inspect thread.

A classification is one copy into page-locked memory, one graph launch (copy in, network, copy out) and one wait. All
memory is taken on entering. The context is made current for each call and not longer, so an engine may be entered by
one thread and handed to another between calls; two threads never use it at once.
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.answers import Answers, join_answers
from engines.cuda_driver import CudaGraph, pop_context
from engines.flavour import load_flavour
from engines.gpu import Gpu, find_gpu
from engines.model import ModelCard
from engines.plan import Plan, PlanKey, file_sha256
from engines.warm_up import check_answers, noise_crops
from shadowline.errors import EngineError, EngineMismatch, MissingExtra

__all__ = ["TensorRtEngine", "require_pycuda"]

logger = logging.getLogger(__name__)


class TensorRtEngine:
    """A plan on the GPU `gpu`.

    Entering raises `MissingExtra` without TensorRT or pycuda, `EngineError` without a driver, GPU or memory, and
    `EngineMismatch` when the plan is damaged or was built for another GPU, driver or TensorRT.
    """

    card: ModelCard
    sha256: str
    """Hash of the model file in the plan's precision."""

    def __init__(self, plan: Plan, gpu: int = 0) -> None:
        key = plan.passport.key
        self.card = plan.passport.card
        self.name = f"{key.runtime} {key.version} {key.precision}"
        self._plan = plan
        self._gpu = gpu
        self._opened = ExitStack()
        self._session: _Session | None = None

    def __enter__(self) -> Self:
        key = self._plan.passport.key
        gpu = find_gpu(self._gpu)
        _refuse_another_machine(self._plan, gpu)
        trt, cuda = load_flavour(_module_name(key)), _load_pycuda()
        if trt.__version__ != key.version:
            raise EngineMismatch(f"{self._plan.folder}: version is {key.version}, installed is {trt.__version__}")
        content = self._plan.read_engine()
        self.sha256 = file_sha256(self._plan.model)
        with ExitStack() as opening, _faults(cuda, self._plan):
            device = opening.enter_context(_Device(cuda, gpu))
            with device.current():
                session = _Session(trt, cuda, device, self._plan, content)
                opening.enter_context(session)
            opening.callback(setattr, self, "_session", None)
            self._session = session
            for count in (1, key.profile.max_batch):
                check_answers(self.classify(noise_crops(self.card, count)), self.card, str(self._plan.folder))
            self._opened = opening.pop_all()
        self.name = f"{key.runtime} {key.version} {key.precision} {gpu.name}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._opened.close()
        except EngineError as fault:
            logger.error("%s: not everything was freed, only the end of this process frees it: %s", self.name, fault)

    def classify(self, crops: NDArray[np.uint8]) -> Answers:
        session = self._session
        if session is None:
            raise EngineError(f"{self._plan.folder}: the engine is not entered")
        side = self.card.crop.size_px
        if crops.dtype != np.uint8 or crops.shape[1:] != (1, side, side) or not len(crops):
            raise EngineError(f"{self.name}: crops are {crops.dtype} {crops.shape}, must be uint8 [N,1,{side},{side}]")
        if len(crops) <= session.max_batch:
            return session.run(crops)
        starts = range(0, len(crops), session.max_batch)
        return join_answers([session.run(crops[i : i + session.max_batch]) for i in starts])


class _Device:
    """The primary context of one GPU, retained for the length of a `with` block."""

    def __init__(self, cuda: Any, gpu: Gpu) -> None:
        self._cuda = cuda
        self._bus_id = gpu.pci_bus_id

    def __enter__(self) -> Self:
        self._cuda.init()
        self._context = self._cuda.Device(self._bus_id).retain_primary_context()
        return self

    def __exit__(self, *failure: object) -> None:
        self._context.push()
        self._context.detach()  # releases what was retained, but only where it is current
        pop_context()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the context current in this thread for the length of the block."""
        self._context.push()
        try:
            yield
        finally:
            self._cuda.Context.pop()


class _Session:
    """A loaded plan with its buffers and one recorded run for each batch size: powers of two up to the largest."""

    def __init__(self, trt: Any, cuda: Any, device: _Device, plan: Plan, content: bytes) -> None:
        """Load and record; the device is current. Frees what it has taken when it fails."""
        key, card = plan.passport.key, plan.passport.card
        self.max_batch = key.profile.max_batch
        self._cuda, self._device, self._plan = cuda, device, plan
        with ExitStack() as taken:
            self._stream = cuda.Stream()
            taken.callback(self.__dict__.pop, "_stream")  # a stream dies with its last reference
            self._crops = self._lock_pages(taken, (self.max_batch, 1, card.crop.size_px, card.crop.size_px), np.uint8)
            self._crops_on_gpu = self._allocate(taken, self._crops.nbytes)
            # TensorRT's objects live in containers alone: what a traceback holds would outlive the device
            self._engine = [_deserialise(trt, plan, content)]
            taken.callback(self._engine.clear)
            shapes: dict[str, tuple[int, ...]] = {"probabilities": (self.max_batch, len(card.labels))}
            if "novelty" in _tensors(self._engine[0]):
                shapes["novelty"] = (self.max_batch,)
            elif card.novelty_limit is not None:
                raise EngineMismatch(f"{plan.folder}: its card has a novelty_limit, the plan no output `novelty`")
            self._answers = {name: self._lock_pages(taken, shape, np.float32) for name, shape in shapes.items()}
            self._answers_on_gpu = {name: self._allocate(taken, part.nbytes) for name, part in self._answers.items()}
            self._scratch = self._allocate(taken, max(self._engine[0].device_memory_size_v2, 1))
            self._contexts: dict[int, Any] = {}
            taken.callback(self._contexts.clear)
            self._graphs: dict[int, CudaGraph | None] = {}
            for batch in _batches(key):
                self._contexts[batch] = _make_context(trt, self._engine[0], key)
                self._bind(batch)
                self._graphs[batch] = self._record(taken, batch)
            self._taken = taken.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        with _faults(self._cuda, self._plan), self._device.current():
            self._taken.close()

    def run(self, crops: NDArray[np.uint8]) -> Answers:
        """Return the answers to crops [n,1,S,S], n up to the largest batch."""
        count = len(crops)
        batch = next(batch for batch in self._graphs if batch >= count)
        np.copyto(self._crops[:count], crops)
        with _faults(self._cuda, self._plan), self._device.current():
            if (graph := self._graphs[batch]) is None:
                self._enqueue(batch)
            else:
                graph.launch()
            self._stream.synchronize()
        return Answers(**{name: part[:count].copy() for name, part in self._answers.items()})

    def _bind(self, batch: int) -> None:
        """Give one batch size's context its buffers and shape."""
        context = self._contexts[batch]
        context.set_device_memory(int(self._scratch), self._engine[0].device_memory_size_v2)
        context.set_tensor_address("crops", int(self._crops_on_gpu))
        for name, memory in self._answers_on_gpu.items():
            context.set_tensor_address(name, int(memory))
        fits = context.set_input_shape("crops", (batch, *self._crops.shape[1:]))
        del context
        if not fits:
            raise EngineMismatch(f"{self._plan.folder}: takes no {batch} crops at a time, as its passport says")

    def _record(self, taken: ExitStack, batch: int) -> CudaGraph | None:
        """Run a batch once, since the first run still sets up, then record it; None where that can't be done."""
        self._enqueue(batch)
        self._stream.synchronize()
        try:
            return taken.enter_context(CudaGraph(self._stream.handle, lambda: self._enqueue(batch)))
        except (EngineError, self._cuda.Error) as fault:
            logger.warning("%s: batch %d runs without a CUDA graph: %s", self._plan.folder, batch, fault)
            return None

    def _enqueue(self, batch: int) -> None:
        """Put copy in, network and copy out of one batch on the stream."""
        self._cuda.memcpy_htod_async(self._crops_on_gpu, self._crops[:batch], self._stream)
        if not self._contexts[batch].execute_async_v3(self._stream.handle):
            raise EngineError(f"{self._plan.folder}: TensorRT did not take a batch of {batch}")
        for name, part in self._answers.items():
            self._cuda.memcpy_dtoh_async(part[:batch], self._answers_on_gpu[name], self._stream)

    def _lock_pages(self, taken: ExitStack, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """Return page-locked host memory, from which the GPU copies by itself."""
        array: NDArray[Any] = self._cuda.pagelocked_zeros(shape, dtype)
        taken.callback(array.base.free)  # type: ignore[union-attr]
        return array

    def _allocate(self, taken: ExitStack, nbytes: int) -> Any:
        memory = self._cuda.mem_alloc(nbytes)
        taken.callback(memory.free)
        return memory


def _batches(key: PlanKey) -> list[int]:
    """Return the batch sizes to record: a smaller number of crops runs in the next one that holds them."""
    profile = key.profile
    between = [1 << power for power in range(9) if profile.min_batch <= 1 << power < profile.max_batch]
    return [*between, profile.max_batch]


def _deserialise(trt: Any, plan: Plan, content: bytes) -> Any:
    log = trt.Logger(trt.Logger.ERROR)
    engine = trt.Runtime(log).deserialize_cuda_engine(content)
    if engine is None:
        raise EngineError(f"{plan.engine}: {plan.passport.key.runtime} does not load it (its reason is above)")
    return engine


def _tensors(engine: Any) -> set[str]:
    """Return the names of a plan's inputs and outputs."""
    return {engine.get_tensor_name(number) for number in range(engine.num_io_tensors)}


def _make_context(trt: Any, engine: Any, key: PlanKey) -> Any:
    """Return an execution context whose scratch memory is ours, shared by all: they never run at once."""
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    if key.runtime == "tensorrt":
        context = engine.create_execution_context(strategy)
    else:
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        context = engine.create_execution_context(config)
    if context is None:
        raise EngineError("TensorRT made no execution context: the GPU's memory may be full")
    return context


def _refuse_another_machine(plan: Plan, gpu: Gpu) -> None:
    """Raise `EngineMismatch` naming what differs between the plan's machine and this one."""
    key = plan.passport.key
    here = key.model_copy(update={"driver": gpu.driver, "gpu": gpu.name, "capability": gpu.capability})
    if differences := key.differences(here):
        raise EngineMismatch(f"{plan.folder}: built for another machine: {'; '.join(differences)}")


def _module_name(key: PlanKey) -> Any:
    if key.runtime == "onnx_runtime":
        raise EngineMismatch("a plan of ONNX Runtime is a model file: run it with onnx_runtime")
    return key.runtime


def require_pycuda() -> None:
    """Raise `MissingExtra` where pycuda is not installed, without loading it."""
    if importlib.util.find_spec("pycuda") is None:
        raise MissingExtra("pycuda", "gpu")


def _load_pycuda() -> Any:
    require_pycuda()
    try:
        import pycuda.driver as cuda
    except ImportError as fault:
        raise EngineError(f"pycuda is installed but does not load: {fault}: is the NVIDIA driver there?") from fault
    return cuda


@contextmanager
def _faults(cuda: Any, plan: Plan) -> Iterator[None]:
    """Turn what pycuda raises into `EngineError` with a word on what to do."""
    try:
        yield
    except cuda.MemoryError as fault:
        raise EngineError(
            f"{plan.folder}: the GPU's memory is full: end what else runs there, or lower max_batch ({fault})"
        ) from fault
    except cuda.Error as fault:
        raise EngineError(f"{plan.folder}: CUDA: {fault}") from fault
