"""The tables `[[camera]]`: what all cameras have, and one class a driver. Pure."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, SecretStr, model_validator

from station.config.table import ConfigPath, Name, Table

__all__ = [
    "AravisConfig",
    "BaslerConfig",
    "CameraBase",
    "CameraConfig",
    "DropPolicy",
    "GenTlConfig",
    "GenicamBase",
    "NamedGenicamBase",
    "OpenCvConfig",
    "PixelFormat",
    "PythonCameraConfig",
    "ReplayConfig",
    "SfncConfig",
    "SimulatedConfig",
    "SimulatedFaults",
    "TriggerConfig",
    "device_of",
]

_LEAST_SILENCE_S = 0.75
_SILENT_FRAMES = 5
_UNKNOWN_SILENCE_S = 2.0  # nothing is known of its rate

DropPolicy: TypeAlias = Literal["wait", "drop_oldest", "drop_newest"]

PixelFormat: TypeAlias = Literal["Mono8", "Mono10", "Mono12", "Mono14", "Mono16"]
"""SFNC names of the unpacked grey formats; the last ones arrive in 16 bits a pixel."""


Control: TypeAlias = Literal["brightness", "contrast", "gain", "exposure", "auto_exposure", "focus", "autofocus"]


class CameraBase(Table):
    """What every camera has, whatever its driver."""

    name: Name
    """Name of the camera, in topics and metrics."""
    timeout_s: Annotated[float, Field(gt=0, le=2)] = 0.25
    """Longest wait for one picture; also bounds how long stopping takes."""
    offline_after_s: Annotated[float, Field(ge=0, le=3600)] | None = None
    """Without a picture for so long the camera is `offline` and opened anew; 0 is never. Without it 0.75 s or five
    frames, and never where a trigger decides when there are pictures."""
    reconnect_s: Annotated[float, Field(gt=0, le=600)] = 1.0
    """Wait before a lost camera is opened again; doubles up to 16 times as long."""
    degraded_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """With a larger part of the last seconds' frames lost, incomplete, repeated or stale the camera is `degraded`."""
    stale_after_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    """A picture that came so long after it was taken is `invalid` (stale); known where the camera stamps them."""
    find_repeats: bool = False
    """Compare each picture with the one before: equal ones are `invalid` (repeated), whatever their numbers say."""
    drop: DropPolicy | None = None
    """What gives way when `queue_frames` wait: the oldest, the newest, or none (`wait`: the camera is not read until
    there is room). Without it `wait` for files that go as fast as they can, else `drop_oldest`."""
    overlap_rows: Annotated[int, Field(ge=0, le=4096)] = 0
    """Rows of the picture before that are put on top of each, so that no defect is cut in two; for line-scan blocks."""
    pitch_mm: Annotated[float, Field(ge=-100, le=100)] | None = None
    """Millimetres along the line from one row to the next; negative where lower rows passed earlier. Gives each row,
    and so each defect, its position."""
    reach_mm: Annotated[float, Field(ge=-1e6, le=1e6)] = 0.0
    """How far behind the line's zero mark the first row looks, along the line; positive is downstream."""

    @property
    def silence_s(self) -> float:
        """Seconds without a picture after which the camera is offline; infinite for never."""
        if self.offline_after_s is not None:
            return self.offline_after_s or float("inf")
        return self._usual_silence_s()

    def _usual_silence_s(self) -> float:
        return _LEAST_SILENCE_S

    @model_validator(mode="after")
    def _wait_fits(self) -> Self:
        if self.timeout_s > self.silence_s:
            raise ValueError(f"timeout_s {self.timeout_s} is over offline_after_s {self.silence_s}")
        return self


def _silence_at(rate_hz: float | None) -> float:
    """Return how long a camera of this rate may be silent; rate 0 or None is unknown."""
    return max(_LEAST_SILENCE_S, _SILENT_FRAMES / rate_hz) if rate_hz else _LEAST_SILENCE_S


class SimulatedFaults(Table):
    """Faults of the simulated camera; each counts frames from the first since power-on, and 0 switches it off."""

    lose_every: Annotated[int, Field(ge=0)] = 0
    """Every nth frame is made but never delivered; 1 would leave none and is refused."""
    cut_every: Annotated[int, Field(ge=0)] = 0
    """Every nth frame arrives with its lower rows missing."""
    repeat_every: Annotated[int, Field(ge=0)] = 0
    """Every nth frame is delivered a second time with the same frame id."""
    freeze_at: Annotated[int, Field(ge=0)] = 0
    """From this frame on nothing comes, for `outage_s`."""
    unplug_at: Annotated[int, Field(ge=0)] = 0
    """At this frame the camera is lost, once, and can't be opened again for `outage_s`."""
    outage_s: Annotated[float, Field(ge=0)] = 1.0
    """How long a freeze or an unplug lasts."""
    again: bool = False
    """`freeze_at` and `unplug_at` count from each opening, and happen after every one."""
    flicker: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Depth of the lamp's flicker from frame to frame, as a part of full light."""

    @model_validator(mode="after")
    def _some_frames_come(self) -> "SimulatedFaults":
        if self.lose_every == 1:
            raise ValueError("lose_every = 1 would lose every frame: use 0, or 2 and more")
        return self


class SimulatedConfig(CameraBase):
    """A moving strip drawn from a seed, with the six NEU defect kinds where its ground truth says."""

    type: Literal["simulated"]
    width_px: Annotated[int, Field(ge=32, le=16384)] = 2048
    """Frame width."""
    height_px: Annotated[int, Field(ge=32, le=16384)] = 1000
    """Frame height."""
    rate_hz: Annotated[float, Field(ge=0, le=10_000)] = 20.0
    """Frames a second; 0 is as fast as possible."""
    seed: Annotated[int, Field(ge=0)] = 1
    """Same seed, same strip, same defects."""
    defects_per_frame: Annotated[float, Field(ge=0, le=300)] = 0.3
    """Mean number of defects a frame."""
    faults: SimulatedFaults = SimulatedFaults()

    def _usual_silence_s(self) -> float:
        return _silence_at(self.rate_hz)


class ReplayConfig(CameraBase):
    """Pictures of a directory in natural order, or the frames of a video file."""

    type: Literal["replay"]
    path: ConfigPath
    """A directory (searched with its sub-directories) or a video file."""
    rate_hz: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """Frames a second; 0 is as fast as possible; without it as they were recorded, else 10."""
    loop: bool = False
    """Begin again at the end; otherwise the camera ends there."""
    max_megapixels: Annotated[float, Field(gt=0, le=268)] = 100.0
    """A larger picture is refused as `invalid` (unsupported)."""

    def _usual_silence_s(self) -> float:
        return float("inf")


class TriggerConfig(Table):
    """What starts an exposure; by SFNC names. Without this table the camera runs free."""

    selector: str = "FrameStart"
    """`TriggerSelector`: FrameStart, LineStart, …"""
    source: str
    """`TriggerSource`: `Line0`, `Encoder0`, …; with `Software` the station fires `software_hz` times a second."""
    activation: str | None = None
    """`TriggerActivation`: RisingEdge, FallingEdge, …"""
    delay_us: Annotated[float, Field(ge=0, le=1e8)] | None = None
    """`TriggerDelay`."""
    overlap: str | None = None
    """`TriggerOverlap`: Off, ReadOut, PreviousFrame."""
    software_hz: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """Software triggers a second."""

    @model_validator(mode="after")
    def _software_has_a_rate(self) -> Self:
        if (self.source == "Software") != (self.software_hz is not None):
            raise ValueError('software_hz goes with source = "Software", and only with it')
        return self


class SfncConfig(Table):
    """Settings by the GenICam standard: left alone unless given, refused by name where the camera has none such."""

    width_px: Annotated[int, Field(ge=1, le=65536)] | None = None
    """`Width` of the sensor window."""
    height_px: Annotated[int, Field(ge=1, le=65536)] | None = None
    """`Height` of the sensor window; rows of a block for a line-scan camera."""
    offset_x_px: Annotated[int, Field(ge=0, le=65536)] | None = None
    """`OffsetX` of the sensor window."""
    offset_y_px: Annotated[int, Field(ge=0, le=65536)] | None = None
    """`OffsetY` of the sensor window."""
    binning_x: Annotated[int, Field(ge=1, le=16)] | None = None
    """`BinningHorizontal`."""
    binning_y: Annotated[int, Field(ge=1, le=16)] | None = None
    """`BinningVertical`."""
    pixel_format: PixelFormat = "Mono8"
    """`PixelFormat`; always set, so that the station knows what comes."""
    exposure_us: Annotated[float, Field(gt=0, le=1e8)] | None = None
    """`ExposureTime`."""
    gain: Annotated[float, Field(ge=-100, le=10_000)] | None = None
    """`Gain`, in the camera's own unit (mostly dB)."""
    black_level: Annotated[float, Field(ge=-65_536, le=65_536)] | None = None
    """`BlackLevel`."""
    rate_hz: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    """`AcquisitionFrameRate`."""
    trigger: TriggerConfig | None = None
    """Trigger; without it `TriggerMode` is Off, where there is one."""
    chunks: tuple[Literal["FrameID", "Timestamp", "EncoderValue", "LineStatusAll"], ...] = ()
    """Data that the camera puts beside each picture (`ChunkSelector`)."""
    extra: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """Any other feature by its own name, set last and in this order; `true` executes a command."""


class GenicamBase(CameraBase):
    """What cameras with GenICam features have in common."""

    sfnc: SfncConfig = SfncConfig()
    """The camera's settings."""
    settings: Literal["push", "keep"] = "push"
    """`push` sets them all at every opening; `keep` only compares and refuses a camera that is set otherwise."""
    buffers: Annotated[int, Field(ge=2, le=256)] = 8
    """Pictures that the driver can hold for the station."""

    def _usual_silence_s(self) -> float:
        trigger = self.sfnc.trigger
        if trigger is None:
            return _silence_at(self.sfnc.rate_hz)
        return _silence_at(trigger.software_hz) if trigger.software_hz else float("inf")


class AravisConfig(GenicamBase):
    """A GigE Vision or USB3 Vision camera through Aravis."""

    type: Literal["aravis"]
    serial: str | None = None
    """Serial number of the device."""
    user_name: str | None = None
    """`DeviceUserID`, as somebody set it in the device."""
    address: str | None = None
    """IP address or MAC of a GigE camera; with an IP address nothing is broadcast."""
    packet_bytes: Annotated[int, Field(ge=576, le=16_000)] | None = None
    """GigE packet size; without it what Aravis finds by test packets. 8000 and more need jumbo frames all the way."""
    packet_delay_ns: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """GigE pause between packets."""
    resend: bool = True
    """Ask a GigE camera again for packets that did not come."""
    heartbeat_s: Annotated[float, Field(ge=1.2, le=60)] = 2.0
    """GigE: after so long without a sign of the station the camera is free, for others and for the station itself when
    the cable is back. Aravis gives a sign every second."""

    @model_validator(mode="after")
    def _one_way_to_find_it(self) -> Self:
        if [self.serial, self.user_name, self.address].count(None) != 2:
            raise ValueError("name the device by one of serial, user_name and address")
        return self


class NamedGenicamBase(GenicamBase):
    """What finds a device among those that a maker's software sees."""

    serial: str | None = None
    """Serial number of the device."""
    user_name: str | None = None
    """`DeviceUserID`, as somebody set it in the device."""

    @model_validator(mode="after")
    def _one_way_to_find_it(self) -> Self:
        if [self.serial, self.user_name].count(None) != 1:
            raise ValueError("name the device by serial or by user_name")
        return self


class GenTlConfig(NamedGenicamBase):
    """Any camera with a GenTL producer (`.cti`) of its maker, through genicam."""

    type: Literal["gentl"]
    producer: ConfigPath
    """The maker's `.cti` file."""


class BaslerConfig(NamedGenicamBase):
    """A Basler camera through pylon."""

    type: Literal["basler"]
    device_class: Literal["BaslerGigE", "BaslerUsb", "BaslerCamEmu"] = "BaslerGigE"
    """The transport layer to look in; `BaslerCamEmu` is pylon's emulator."""


class OpenCvConfig(CameraBase):
    """A V4L2 or UVC camera by its device, or a network stream (RTSP, HTTP) by its URL, through OpenCV."""

    type: Literal["opencv"]
    timeout_s: Annotated[float, Field(gt=0, le=2)] = 0.75
    """Longest wait for one picture. A stream silent for so long is lost and opened anew: it can't be read on."""
    device: Annotated[int, Field(ge=0, le=255)] | Path | None = None
    """Number or path of a V4L2 device (`0`, `/dev/v4l/by-id/…`, which survives another socket)."""
    url: str | None = None
    """Where the stream is: `rtsp://host/path`; user and password go into `user` and `password`."""
    user: str | None = None
    """User of the stream."""
    password: SecretStr | None = None
    """Password of the stream; better in the environment than in the file. Never in logs or events."""
    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP pictures travel; udp loses packets in silence."""
    open_timeout_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Longest wait for a stream to open; it must cover the distance between its key frames."""
    width_px: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Frame width of a V4L2 device; refused where it gives another."""
    height_px: Annotated[int, Field(ge=1, le=16384)] | None = None
    """Frame height of a V4L2 device; refused where it gives another."""
    rate_hz: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Frames a second asked of a V4L2 device."""
    fourcc: Annotated[str, Field(pattern=r"^[A-Z0-9 ]{4}$")] | None = None
    """Pixel format asked of a V4L2 device: GREY, Y16, YUYV, UYVY or MJPG; others come by way of colour."""
    controls: dict[Control, float] = Field(default_factory=dict)
    """V4L2 controls, in the device's own units; one that it does not take is refused by name."""

    def _usual_silence_s(self) -> float:
        return _silence_at(self.rate_hz)

    @model_validator(mode="after")
    def _device_or_stream(self) -> Self:
        if (self.device is None) == (self.url is None):
            raise ValueError("name either a device or a url")
        if self.url is not None and "@" in self.url:
            raise ValueError(
                "url: user and password go into `user` and `password`, where no log and no event shows them"
            )
        if self.url is None and (self.user or self.password):
            raise ValueError("user and password are for a url")
        only = ("width_px", "height_px", "rate_hz", "fourcc", "controls")
        if self.url is not None and (given := [name for name in only if getattr(self, name)]):
            raise ValueError(f"{given[0]} is for a device, not for a url")
        return self


class PythonCameraConfig(CameraBase):
    """A driver outside this repository."""

    type: Literal["python"]
    factory: Annotated[str, Field(pattern=r"^[\w.]+:[\w.]+$")]
    """`module:callable`, called with this table and the clock; returns a camera."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Handed to the factory as it is."""

    def _usual_silence_s(self) -> float:
        return _UNKNOWN_SILENCE_S


def device_of(camera: CameraBase) -> str:
    """Return how the configuration names the one device that a camera uses alone; empty where many may use it."""
    if isinstance(camera, OpenCvConfig):
        return "" if camera.device is None else f"device {camera.device}"
    for name in ("serial", "user_name", "address"):
        if value := getattr(camera, name, None):
            return f"{name} {value}"
    return ""


CameraConfig: TypeAlias = Annotated[
    SimulatedConfig | ReplayConfig | AravisConfig | GenTlConfig | BaslerConfig | OpenCvConfig | PythonCameraConfig,
    Field(discriminator="type"),
]
