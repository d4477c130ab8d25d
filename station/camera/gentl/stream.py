"""The buffers that a GenTL device fills, and what came with each picture. Lives in the capture thread."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from station.camera.gentl.nodes import GenApiNodes
from station.camera.gentl.producer import optional, quietly
from station.clock import Clock

__all__ = ["Filled", "GenTlStream"]

_ENDLESS = -1
_LOOK_EVERY_S = 0.002


class Filled(NamedTuple):
    """A buffer of genicam and its memory."""

    buffer: Any
    raw: bytes


class GenTlStream:
    """At least `count` buffers of a device that is open and set. Acquisition runs while this is entered.

    Exceptions of genicam come out as they are; leaving raises none.
    """

    def __init__(self, device: Any, nodes: GenApiNodes, count: int, clock: Clock) -> None:
        self._device = device
        self.nodes = nodes
        self._count = count
        self._clock = clock
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        from genicam import gentl

        with ExitStack() as stack:
            self._stream = stream = self._device.create_data_stream()
            stream.open(self._device.data_stream_ids[0])
            stack.callback(quietly, stream.close)
            self._event = gentl.EventManagerNewBuffer(stream.register_event(gentl.EVENT_TYPE_LIST.EVENT_NEW_BUFFER))
            stack.callback(quietly, self._event.unregister_event)
            self._announce(stack)
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def counters(self) -> Mapping[str, int]:
        """Return the producer's own counts, those that it keeps."""
        counts = {name: optional(self._stream, f"num_{name}") for name in ("delivered", "underrun")}
        return {name: count for name, count in counts.items() if count is not None}

    @contextmanager
    def filled(self, wait_ms: int) -> Iterator[Filled | None]:
        """Wait for the next buffer, None without one, and give it back to the device when this is left."""
        if not self._wait(wait_ms):
            yield None
            return
        buffer = self._event.buffer
        try:
            yield Filled(buffer, self._raw[buffer.context])
        finally:
            self._stream.queue_buffer(buffer)

    def _wait(self, wait_ms: int) -> bool:
        """Look for a buffer again and again: genicam's own wait would hold up every thread of the process."""
        from genicam import gentl

        end_ns = self._clock.tick_ns() + wait_ms * 1_000_000
        while True:
            try:
                self._event.update_event_data(0)
            except gentl.TimeoutException:
                left_s = (end_ns - self._clock.tick_ns()) / 1e9
                if left_s <= 0:
                    return False
                self._clock.sleep(min(_LOOK_EVERY_S, left_s))
            else:
                return True

    def _announce(self, stack: ExitStack) -> None:
        """Lend the producer memory; it takes `bytes` alone, and writes into them."""
        from genicam import gentl

        stream = self._stream
        size = stream.payload_size if stream.defines_payload_size() else self.nodes.map.get_node("PayloadSize").value
        count = max(self._count, optional(stream, "buffer_announce_min") or 0)
        self._raw = [bytes(size) for _ in range(count)]
        for index, raw in enumerate(self._raw):
            buffer = stream.announce_buffer(gentl.BufferToken(raw, index))
            stack.callback(quietly, stream.revoke_buffer, buffer)
            stream.queue_buffer(buffer)
        stack.callback(quietly, stream.flush_buffer_queue, gentl.ACQ_QUEUE_TYPE_LIST.ACQ_QUEUE_ALL_DISCARD)

    def _start(self, stack: ExitStack) -> None:
        from genicam import gentl

        self._stream.start_acquisition(gentl.ACQ_START_FLAGS_LIST.ACQ_START_FLAGS_DEFAULT, _ENDLESS)
        stack.callback(quietly, self._stream.stop_acquisition, gentl.ACQ_STOP_FLAGS_LIST.ACQ_STOP_FLAGS_KILL)
        if self.nodes.has("TLParamsLocked"):
            lock = self.nodes.map.get_node("TLParamsLocked")
            lock.value = 1
            stack.callback(quietly, lock.set_value, 0)
        stack.callback(quietly, self.nodes.map.get_node("AcquisitionStop").execute)
        self.nodes.map.get_node("AcquisitionStart").execute()
