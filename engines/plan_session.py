"""A plan loaded by TensorRT: pycuda's context, buffers and stream, one recorded graph a batch size. The inspect thread.

A run is one copy into page-locked memory, one graph launch (copy in, network, copy out) and one wait. All memory is
taken on entering. The context is made current for each run and not longer, so a session may be opened by one thread
and handed to another between runs; two threads never use it at once.
"""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engines.border import Border, Rows, border_of
from engines.cuda_driver import CudaGraph, pop_context
from engines.flavour import load_flavour
from engines.gpu import Gpu, find_gpu
from engines.plan import Plan, PlanKey
from shadowline.errors import EngineError, EngineMismatch, MissingExtra

__all__ = ["PlanSession", "load_session", "require_pycuda"]

logger = logging.getLogger(__name__)


def load_session(opened: ExitStack, plan: Plan, number: int) -> "PlanSession":
    """Return `plan` loaded on the GPU of this number; what it has taken is left with `opened`.

    Raises `MissingExtra` without TensorRT or pycuda, `EngineError` without a driver, GPU or memory, and
    `EngineMismatch` when the plan is damaged or was built for another GPU, driver or TensorRT.
    """
    key = plan.passport.key
    gpu = find_gpu(number)
    _refuse_another_machine(plan, gpu)
    trt, cuda = load_flavour(_module_name(key)), _load_pycuda()
    if trt.__version__ != key.version:
        raise EngineMismatch(f"{plan.folder}: version is {key.version}, installed is {trt.__version__}")
    content = plan.read_engine()
    with _faults(cuda, plan):
        device = opened.enter_context(_Device(cuda, gpu))
        with device.current():
            return opened.enter_context(PlanSession(trt, cuda, device, plan, content, gpu.name))


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


class PlanSession:
    """A loaded plan with its buffers and one recorded run for each batch size: powers of two up to the largest."""

    def __init__(self, trt: Any, cuda: Any, device: _Device, plan: Plan, content: bytes, gpu: str) -> None:
        """Load and record; the device is current. Frees what it has taken when it fails."""
        key, border = plan.passport.key, border_of(plan.passport.card)
        self.max_batch = key.profile.max_batch
        self.name = f"{key.runtime} {key.version} {key.precision} {gpu}"
        self._cuda, self._device, self._plan, self._given = cuda, device, plan, border.given
        with ExitStack() as taken:
            self._stream = cuda.Stream()
            taken.callback(self.__dict__.pop, "_stream")  # a stream dies with its last reference
            self._rows = self._lock_pages(taken, (self.max_batch, *border.shape), np.uint8)
            self._rows_on_gpu = self._allocate(taken, self._rows.nbytes)
            # TensorRT's objects live in containers alone: what a traceback holds would outlive the device
            self._engine = [_deserialise(trt, plan, content)]
            taken.callback(self._engine.clear)
            self._answers = {
                name: self._lock_pages(taken, (self.max_batch, *shape), element)
                for name, (shape, element) in _outputs_of(self._engine[0], border, plan).items()
            }
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

    def run(self, rows: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the outputs for any number of rows ≥ 1, in new arrays. Raises `EngineError`."""
        if len(rows) <= self.max_batch:
            return self._run(rows)
        starts = range(0, len(rows), self.max_batch)
        parts = [self._run(rows[start : start + self.max_batch]) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._answers}

    def _run(self, rows: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        count = len(rows)
        batch = next(batch for batch in self._graphs if batch >= count)
        np.copyto(self._rows[:count], rows)
        with _faults(self._cuda, self._plan), self._device.current():
            if (graph := self._graphs[batch]) is None:
                self._enqueue(batch)
            else:
                graph.launch()
            self._stream.synchronize()
        return {name: part[:count].copy() for name, part in self._answers.items()}

    def _bind(self, batch: int) -> None:
        """Give one batch size's context its buffers and shape."""
        context = self._contexts[batch]
        context.set_device_memory(int(self._scratch), self._engine[0].device_memory_size_v2)
        context.set_tensor_address(self._given, int(self._rows_on_gpu))
        for name, memory in self._answers_on_gpu.items():
            context.set_tensor_address(name, int(memory))
        fits = context.set_input_shape(self._given, (batch, *self._rows.shape[1:]))
        del context
        if not fits:
            raise EngineMismatch(f"{self._plan.folder}: takes no {batch} rows at a time, as its passport says")

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
        self._cuda.memcpy_htod_async(self._rows_on_gpu, self._rows[:batch], self._stream)
        if not self._contexts[batch].execute_async_v3(self._stream.handle):
            raise EngineError(f"{self._plan.folder}: TensorRT did not take a batch of {batch}")
        for name, part in self._answers.items():
            self._cuda.memcpy_dtoh_async(part[:batch], self._answers_on_gpu[name], self._stream)

    def _lock_pages(self, taken: ExitStack, shape: tuple[int, ...], element: type[np.generic]) -> NDArray[Any]:
        """Return page-locked host memory, from which the GPU copies by itself."""
        array: NDArray[Any] = self._cuda.pagelocked_zeros(shape, element)
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


def _outputs_of(engine: Any, border: Border, plan: Plan) -> dict[str, Rows]:
    """Return the outputs that the plan has, their lengths known. Raises `EngineMismatch` where one is missing."""
    there = {engine.get_tensor_name(number) for number in range(engine.num_io_tensors)}
    found: dict[str, Rows] = {}
    for name, (shape, element) in border.outputs.items():
        if name in there:
            known = tuple(engine.get_tensor_shape(name))[1:]
            found[name] = tuple(known[i] if side < 0 else side for i, side in enumerate(shape)), element
        elif name not in border.optional:
            raise EngineMismatch(f"{plan.folder}: its card speaks of the output `{name}`, the plan has none")
        if name in found and min(found[name][0], default=0) < 0:
            raise EngineMismatch(f"{plan.folder}: the length of its output `{name}` is open: build it again")
    return found


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
