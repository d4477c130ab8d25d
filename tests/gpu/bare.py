"""The least that a runtime can do: one network, buffers that never leave the device, run after run. Pure.

It reads the file that the engine under measurement reads and shares nothing else with it.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np
import onnxruntime

from engines.flavour import load_flavour
from engines.plan import Plan
from shadowline.errors import EngineError
from tests.gpu.engines import MAX_BATCH, Subject, load_pycuda
from tests.gpu.samples import cut_sample_crops

__all__ = ["BareLoop", "open_bare_loop"]


class BareLoop(Protocol):
    """A network with its buffers, for one batch size at a time."""

    def set_batch(self, batch: int) -> None:
        """Lay out the buffers for `batch` crops, at most 32, and fill them."""

    def run(self, runs: int, wait_each: bool) -> None:
        """Run the network so many times; wait for the device after each or once at the end."""


@contextmanager
def open_bare_loop(subject: Subject) -> Iterator[BareLoop]:
    """Yield the loop of the file that `subject` opens. Raises `EngineError` and `MissingExtra` as its engine does."""
    if subject.backend != "tensor_rt":
        with subject.open() as engine:
            crops = cut_sample_crops(engine.card.crop, MAX_BATCH)
        yield _OnnxRuntimeLoop(subject, crops)
        return
    plan = Plan.read(subject.file)
    cuda = load_pycuda()
    with ExitStack() as opened:
        context = cuda.Device(0).retain_primary_context()
        context.push()
        opened.callback(context.detach)
        try:
            yield _TensorRtLoop(cuda, plan, opened)
        except cuda.Error as fault:
            raise EngineError(f"{plan.folder}: CUDA: {fault}") from fault


class _OnnxRuntimeLoop:
    """A session whose input and output are bound to memory of its device."""

    def __init__(self, subject: Subject, crops: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[subject.backend]
        self._device = subject.backend
        self._session = onnxruntime.InferenceSession(subject.file.read_bytes(), options, providers=[provider])
        self._crops = crops

    def set_batch(self, batch: int) -> None:
        self._input = onnxruntime.OrtValue.ortvalue_from_numpy(self._crops[:batch], self._device, 0)
        self._binding = self._session.io_binding()
        self._binding.bind_ortvalue_input("crops", self._input)
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name, self._device)

    def run(self, runs: int, wait_each: bool) -> None:
        for _ in range(runs):
            self._session.run_with_iobinding(self._binding)
            if wait_each:
                self._binding.synchronize_outputs()
        self._binding.synchronize_outputs()


class _TensorRtLoop:
    """A plan of its own context; the CUDA context is current for as long as it lives."""

    def __init__(self, cuda: Any, plan: Plan, opened: ExitStack) -> None:
        key, card = plan.passport.key, plan.passport.card
        trt = load_flavour("tensorrt_rtx" if key.runtime == "tensorrt_rtx" else "tensorrt")
        self._cuda, self._side = cuda, card.crop.size_px
        opened.callback(self.__dict__.clear)  # context, engine and stream die while the CUDA context is current
        self._stream = cuda.Stream()
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan.read_engine())
        if self._engine is None:
            raise EngineError(f"{plan.engine}: {key.runtime} does not load it (its reason is above)")
        crops = cut_sample_crops(card.crop, MAX_BATCH)
        tensors = [self._engine.get_tensor_name(number) for number in range(self._engine.num_io_tensors)]
        sizes = {name: crops.nbytes if name == "crops" else 4 * 256 * MAX_BATCH for name in tensors}
        buffers = {name: cuda.mem_alloc(size) for name, size in sizes.items()}
        for memory in buffers.values():
            opened.callback(memory.free)
        cuda.memcpy_htod(buffers["crops"], crops)
        self._context = _make_context(trt, self._engine, key.runtime == "tensorrt_rtx")
        for name, memory in buffers.items():
            self._context.set_tensor_address(name, int(memory))

    def set_batch(self, batch: int) -> None:
        self._context.set_input_shape("crops", (batch, 1, self._side, self._side))
        self.run(3, wait_each=True)

    def run(self, runs: int, wait_each: bool) -> None:
        for _ in range(runs):
            if not self._context.execute_async_v3(self._stream.handle):
                raise EngineError("TensorRT did not take the run of the bare loop (its reason is above)")
            if wait_each:
                self._stream.synchronize()
        self._stream.synchronize()


def _make_context(trt: Any, engine: Any, compiles_late: bool) -> Any:
    """Return an execution context; TensorRT-RTX is told to compile its kernels at once and not in the background."""
    if not compiles_late:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    return engine.create_execution_context(config)
