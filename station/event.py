"""The messages that leave the station, their JSON and its schema. Pure.

Topics: `inspection.<camera>` one a frame, `state.<camera>` when a camera's state changes, `coverage.<camera>` for strip
that was inspected or not, `model` when the model is changed, `service.<name>` when journal or archive get worse or
well again, `loss` for numbers that the journal lacks, `heartbeat`. Each message names its schema and version in
`schema`; a change that an old reader would misread raises the version.
"""

from typing import Any, Literal, TypeAlias

import msgspec

__all__ = [
    "CameraLedger",
    "CameraState",
    "CoverageEvent",
    "DefectRecord",
    "EngineRecord",
    "FinderRecord",
    "Heartbeat",
    "InspectionEvent",
    "JournalRecord",
    "LossEvent",
    "Message",
    "ModelAction",
    "ModelEvent",
    "Numbered",
    "Origin",
    "Outage",
    "PositionRecord",
    "ServiceEvent",
    "ServiceName",
    "ServiceState",
    "StageTimes",
    "StateEvent",
    "decode",
    "encode",
    "schema",
    "topic",
]


CameraState: TypeAlias = Literal["starting", "online", "degraded", "offline", "ended"]


class FinderRecord(msgspec.Struct, frozen=True, gc=False):
    """A finder file in use."""

    name: str
    """As in `found_by` of what it found."""
    kind: Literal["heatmap", "anomaly", "detector"]
    sha256: str
    """First 12 digits of the SHA-256 of the file."""
    threshold: float
    """What counted as found, from 0 to 1."""


class Origin(msgspec.Struct, frozen=True):
    """Whose results these are; the same in every message of one run of the station."""

    station: str
    run: str
    """Made anew at every start; with `event` it names one message."""
    model: str
    """Name and the first 12 digits of the SHA-256 of the model file."""
    config: str
    """First 12 digits of the SHA-256 of the configuration in force."""
    calibration: str | None = None
    """First 12 digits of the SHA-256 of all calibrations in use, where there are any."""
    finders: tuple[FinderRecord, ...] = ()
    """The finder files that looked for regions; shadows are found without one."""
    recipe: str = ""
    """The recipe that it was judged by; empty for the plain tables."""


class DefectRecord(msgspec.Struct, frozen=True, gc=False):
    """A named region."""

    label: str
    confidence: float
    box_px: tuple[int, int, int, int]
    """x, y, width, height."""
    area_px: int
    depth: float
    """Mean grey levels beyond the limit, negative is darker than the surface; of heat beyond a threshold in 255ths."""
    novelty: float | None = None
    """How little it is like the training crops, on the model's own scale; null from a model that does not tell."""
    position_mm: tuple[float, float] | None = None
    """From where to where it lies along the line, where the frame has a position and its rows a pitch."""
    goes_on: bool = False
    """A part of it was told with the frame before, whose last rows this frame shows again: count it once."""
    box_mm: tuple[float, float, float, float] | None = None
    """x across and y along from the first row, width and length, by the camera's geometry."""
    area_mm2: float | None = None
    found_by: str = "shadow"
    """Who found it, several by `+`; those with a file are in `origin.finders`."""
    score: float = 1.0
    """How sure they are that there is something, 0 to 1; 1 where they do not say, as for shadows."""


class PositionRecord(msgspec.Struct, frozen=True, gc=False):
    """Where a frame lies along the strip."""

    mm: float
    """Of the first row, from the beginning of the coil."""
    pitch_mm: float | None
    """From each row to the next, where it is configured."""
    count: int | None
    """What the counter shows there, between two readings interpolated."""
    coil: str
    reversed: bool
    """The strip stands behind the farthest point that it had reached: this was seen before."""


class StageTimes(msgspec.Struct, frozen=True, gc=False):
    """Microseconds of each step."""

    wait: float
    regions: float
    crops: float
    classify: float
    verdict: float


class InspectionEvent(msgspec.Struct, tag_field="schema", tag="shadowline.inspection/1"):
    """The one event of one announced frame."""

    event: int
    """Counts all messages but heartbeats without a gap, from 1; with a journal it goes on over restarts."""
    origin: Origin
    camera: str
    sequence: int
    """Counts the frames that this camera announced, without a gap, from 1."""
    captured_ns: int
    """UTC in nanoseconds, by `clock`."""
    clock: Literal["host", "camera"]
    published_ns: int
    """UTC in nanoseconds, by the host, when the message was made ready to send."""
    verdict: Literal["accept", "reject", "invalid"]
    """`invalid` means: treat as reject."""
    reason: str
    """The labels that reject, or why the frame is invalid."""
    late: bool
    """The decision came after `budget_ms`."""
    budget_ms: float
    latency_ms: float
    """From capture to decision, on a clock that does not step."""
    size_px: tuple[int, int] | None
    """Width and height of the picture."""
    defects: tuple[DefectRecord, ...]
    stages_us: StageTimes
    frame_id: int | None = None
    """The device's own counter, its wraps undone."""
    encoder: int | None = None
    """The count that came with the picture."""
    source: str | None = None
    """The file that was replayed."""
    detail: str = ""
    """For people."""
    valid_rows: int | None = None
    """Rows that arrived of an incomplete picture, from the top."""
    line_status: int | None = None
    """The camera's input lines at capture, a bit each."""
    position: PositionRecord | None = None
    """Where the strip stood, where the station knows."""
    part: str = ""
    """Id of the part, as the station was told before the picture was taken; empty for none."""
    job: str = ""
    """Id of the job or order, likewise."""


class Outage(msgspec.Struct, frozen=True):
    """A stretch of which a camera saw nothing: from its last picture to the first one after."""

    seconds: float
    mm: float | None
    """Of strip that went by, where the station knows."""


class CoverageEvent(msgspec.Struct, tag_field="schema", tag="shadowline.coverage/1"):
    """A stretch of a coil that a camera passed: final, told once, from 0 on one after the other."""

    event: int
    origin: Origin
    camera: str
    coil: str
    start_mm: float
    end_mm: float
    reason: str
    """Why it was not inspected, several by comma; empty where it was. Of invalid frames, or one of `coverage`."""
    ends_coil: bool
    """`end_mm` is the length of the coil."""
    published_ns: int


class StateEvent(msgspec.Struct, tag_field="schema", tag="shadowline.state/1"):
    """A camera's state changed."""

    event: int
    origin: Origin
    camera: str
    state: CameraState
    detail: str
    changed_ns: int
    published_ns: int
    outage: Outage | None = None
    """What was not seen, when the camera is back."""


ModelAction: TypeAlias = Literal["building", "shadowing", "swapped", "refused", "kept", "rolled_back", "failed_over"]


class ModelEvent(msgspec.Struct, tag_field="schema", tag="shadowline.model/1"):
    """A model is being changed, or was."""

    event: int
    origin: Origin
    action: ModelAction
    model: str
    """The one that the action is about, as in `origin.model`; before it is built, its file."""
    detail: str
    changed_ns: int
    published_ns: int


ServiceName: TypeAlias = Literal["journal", "archive"]
ServiceState: TypeAlias = Literal["online", "degraded", "offline"]


class ServiceEvent(msgspec.Struct, tag_field="schema", tag="shadowline.service/1"):
    """A part of the station that keeps results got worse, or is well again; the line goes on."""

    event: int
    origin: Origin
    service: ServiceName
    state: ServiceState
    detail: str
    changed_ns: int
    published_ns: int


class LossEvent(msgspec.Struct, tag_field="schema", tag="shadowline.loss/1"):
    """Numbers `first` to `last` are not in the journal and never will be; who listened live may have heard them."""

    event: int
    origin: Origin
    first: int
    last: int
    reason: str
    noted_ns: int
    published_ns: int


class CameraLedger(msgspec.Struct, frozen=True):
    """announced = inspected + the sum of invalid + what is on its way."""

    announced: int
    inspected: int
    invalid: dict[str, int]
    late: int
    state: CameraState


class EngineRecord(msgspec.Struct, frozen=True):
    """What names the regions."""

    name: str
    labels: tuple[str, ...]
    sha256: str
    why: str = ""
    """Why this back end and no other."""


class JournalRecord(msgspec.Struct, frozen=True):
    """What is safe on disk: a message counts as delivered when its number is at most `last`."""

    id: str
    """Made with the journal; another one counts anew."""
    first: int
    """The oldest message that is kept."""
    last: int
    """The newest message on disk; 0 while there is none."""
    waiting: int
    """Messages not yet on disk."""
    state: ServiceState
    detail: str = ""


class Heartbeat(msgspec.Struct, tag_field="schema", tag="shadowline.heartbeat/1"):
    """Silence means reject: this comes every `interval_s`, whatever the line does."""

    origin: Origin
    published_ns: int
    interval_s: float
    last_event: int
    ledger: dict[str, CameraLedger]
    engine: EngineRecord
    dropped: dict[str, int]
    """Messages that could not be handed on, by sink and reason."""
    encoder: Literal["", "starting", "online", "offline"] = ""
    """State of the line's counter, where one is read; without it frames have no position."""
    journal: JournalRecord | None = None
    """What is kept of all this, where a journal is."""


Numbered: TypeAlias = InspectionEvent | StateEvent | CoverageEvent | ModelEvent | ServiceEvent | LossEvent
"""The messages that `event` counts."""

Message: TypeAlias = Numbered | Heartbeat

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def topic(message: Message) -> str:
    """Return the topic that `message` is published under."""
    match message:
        case InspectionEvent():
            return f"inspection.{message.camera}"
        case StateEvent():
            return f"state.{message.camera}"
        case CoverageEvent():
            return f"coverage.{message.camera}"
        case ModelEvent():
            return "model"
        case ServiceEvent():
            return f"service.{message.service}"
        case LossEvent():
            return "loss"
        case Heartbeat():
            return "heartbeat"


def encode(message: Message) -> bytes:
    """Return `message` as UTF-8 JSON."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Message:
    """Return the message in `payload`; raises `msgspec.DecodeError` on anything else."""
    return _decoder.decode(payload)


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of every message."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Shadowline messages",
        **msgspec.json.schema(Message),
    }
