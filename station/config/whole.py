"""The whole configuration as frozen values: each class is one table of `config.toml`. Pure.

`station.config_file` reads the file and the environment into them. Contradictions are refused, nothing is repaired.
"""

import hashlib
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shadowline.errors import ConfigError
from station.config.archive import ArchiveConfig
from station.config.calibration import CalibrationConfig
from station.config.cameras import CameraConfig, GenicamBase, device_of
from station.config.console import ConsoleConfig
from station.config.gateways import GatewayConfig
from station.config.journal import JournalConfig
from station.config.line import ChunkEncoder, LineConfig, ZeroMqEncoder
from station.config.metrics import MetricsConfig
from station.config.recipes import DEFAULT, RecipeConfig, regions_by
from station.config.regions import BY_LIMIT, FinderConfig, RegionsConfig, shadow_of
from station.config.security import SecurityConfig, refuse_unmeant
from station.config.table import ConfigPath, Name, Table
from station.config.verdict import VerdictConfig

__all__ = [
    "AutoEngineConfig",
    "Config",
    "ControlConfig",
    "EngineBase",
    "EngineConfig",
    "FakeEngineConfig",
    "OnnxRuntimeConfig",
    "PlanBase",
    "PublishConfig",
    "StationConfig",
    "SwapConfig",
    "TensorRtConfig",
]


class StationConfig(Table):
    """The station as a whole."""

    name: Name = "line"
    """Name of the station, in every event."""
    budget_ms: Annotated[float, Field(gt=0, le=60_000)] = 20.0
    """Time from capture to decision; a later result is marked late and counted."""
    queue_frames: Annotated[int, Field(ge=1, le=256)] = 8
    """Frames of one camera that may wait; when full, the oldest gives way as `invalid` (overrun)."""
    switch_interval_ms: Annotated[float, Field(ge=0.05, le=5.0)] = 0.5
    """How long a Python thread may keep the interpreter while another waits."""
    recipe: Name | None = None
    """The recipe that holds at the start; without it the plain tables do."""


class EngineBase(Table):
    """What every engine that runs a model file has."""

    model: ConfigPath | None = None
    """The model file; without it the shipped model is used."""
    max_batch: Annotated[int, Field(ge=1, le=256)] = 32
    """Most crops in one run; more are classified in several."""
    keep_warm_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    """After so long without a frame the network is run once, so that the next one finds it warm; 0 never does."""


class OnnxRuntimeConfig(EngineBase):
    """ONNX Runtime on the CPU, or on a GPU by its CUDA provider."""

    backend: Literal["onnx_runtime"] = "onnx_runtime"
    provider: Literal["cpu", "cuda"] = "cpu"
    """Where it runs; a provider that does not load is refused, never replaced."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one network run."""


class PlanBase(EngineBase):
    """What a TensorRT plan is built for."""

    keep_warm_ms: Annotated[float, Field(ge=0, le=60_000)] = 50.0
    """After so long without a frame the GPU runs the network once, since one that idles is slow again; 0 never does."""
    gpu: Annotated[int, Field(ge=0, le=63)] = 0
    """Number of the GPU, as nvidia-smi counts them."""
    precision: Literal["fp32", "fp16", "int8"] | None = None
    """Precision of the plan; without it that of the model file."""
    opt_batch: Annotated[int, Field(ge=1, le=256)] = 8
    """Crops in one run that the plan is fastest for; at most `max_batch`."""
    on_mismatch: Literal["rebuild", "refuse"] = "rebuild"
    """Without a fitting plan: start on ONNX Runtime and build one in the background, or refuse to start."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of one network run, while ONNX Runtime on the CPU stands in."""

    @model_validator(mode="after")
    def _batches_fit(self) -> Self:
        if self.opt_batch > self.max_batch:
            raise ValueError(f"opt_batch {self.opt_batch} is over max_batch {self.max_batch}")
        return self


class TensorRtConfig(PlanBase):
    """TensorRT on a GPU; ONNX Runtime on the CPU stands by and takes over when it fails."""

    backend: Literal["tensor_rt"]


class AutoEngineConfig(PlanBase):
    """The best that this computer has: TensorRT, then ONNX Runtime's CUDA provider, then the CPU."""

    backend: Literal["auto"]


class FakeEngineConfig(Table):
    """An engine that answers from a function; for tests and trials of the line without a network."""

    backend: Literal["fake"]
    labels: tuple[str, ...] = ("defect",)
    """The labels it knows; every crop gets the first one."""


def _backend(table: Any) -> Any:
    """Read the discriminator; a table that names no back end (one variable, say) means ONNX Runtime."""
    return table.get("backend", "onnx_runtime") if isinstance(table, dict) else getattr(table, "backend", None)


EngineConfig: TypeAlias = Annotated[
    Annotated[OnnxRuntimeConfig, Tag("onnx_runtime")]
    | Annotated[TensorRtConfig, Tag("tensor_rt")]
    | Annotated[AutoEngineConfig, Tag("auto")]
    | Annotated[FakeEngineConfig, Tag("fake")],
    Discriminator(
        _backend,
        custom_error_type="backend",
        custom_error_message="backend must be auto, tensor_rt, onnx_runtime or fake",
    ),
]


class SwapConfig(Table):
    """How a new model is built, proved and taken into use while the line runs, and when it is taken back."""

    cache: ConfigPath | None = None
    """Folder of built plans; without it the service's or the user's cache."""
    max_plans: Annotated[int, Field(ge=2, le=1000)] = 20
    """Plans that the cache keeps when the station builds; the oldest go."""
    workspace_mib: Annotated[int, Field(ge=1, le=1_048_576)] = 1024
    """GPU memory that TensorRT may use while it builds."""
    max_flip_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """A build that gives more of the crops, or of one label's, another label than its file is refused."""
    max_prepared: Annotated[int, Field(ge=1, le=100)] = 4
    """Models of recipes that wait beside the live one; beyond it the one that was not used for longest goes."""
    recent_crops: Annotated[int, Field(ge=0, le=100_000)] = 512
    """Crops of the running line that are kept, for replay."""
    max_disagreement: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A model that names more of the replayed or shadowed crops differently than the live one is refused."""
    golden: ConfigPath | None = None
    """Folder of pictures with true labels (one folder a label) that every new model must name as well."""
    golden_loss: Annotated[float, Field(ge=0, le=1)] = 0.01
    """A model whose accuracy there is lower than the live one's by more than this is refused."""
    shadow_crops: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    """Crops that a new model classifies beside the live one before it takes over."""
    shadow_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0
    """The shadow run ends after this long with what it has seen by then."""
    probation_frames: Annotated[int, Field(ge=0, le=1_000_000)] = 200
    """Frames after the switch during which a model that fails or makes decisions late is taken back."""
    max_late_share: Annotated[float, Field(ge=0, le=1)] = 0.02
    """Late decisions among the probation's frames, beyond those before the switch, that take a model back."""


class ControlConfig(Table):
    """The sockets of `station model` and `station coil`."""

    enabled: bool = True
    """Listen."""
    endpoint: Annotated[str, Field(pattern=r"^(ipc://.+)?$")] = ""
    """A socket file (ipc://…), open to this user alone; without it one in the user's runtime folder."""
    network: Annotated[str, Field(pattern=r"^tcp://.+$")] | None = None
    """Where clients with keys that may `control` command the station from other computers; without it they can't."""


class PublishConfig(Table):
    """The ZeroMQ publisher."""

    endpoint: Annotated[str, Field(pattern=r"^(tcp|ipc)://.+$")] = "tcp://127.0.0.1:5560"
    """Where subscribers connect; beyond this computer only with keys."""
    plain_network: bool = False
    """Do without keys beyond this computer: anybody there can read, and pretend to be the station."""
    high_water_mark: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Messages kept for one slow subscriber before ZeroMQ drops them for it."""
    queue_events: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Events that may wait for the publish thread; beyond it they are dropped and counted."""
    heartbeat_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """Time between heartbeats."""


class Config(BaseSettings):
    """The whole configuration, in the order of the data."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix="STATION__",
        env_nested_delimiter="__",
        use_attribute_docstrings=True,
        title="Shadowline config.toml",
    )

    station: StationConfig = StationConfig()
    camera: Annotated[tuple[CameraConfig, ...], Field(min_length=1, max_length=16)]
    line: LineConfig = LineConfig()
    calibration: CalibrationConfig = CalibrationConfig()
    regions: FinderConfig = RegionsConfig()
    engine: EngineConfig = OnnxRuntimeConfig()
    verdict: VerdictConfig = VerdictConfig()
    recipe: dict[Name, RecipeConfig] = Field(default_factory=dict, max_length=256)
    publish: PublishConfig = PublishConfig()
    journal: JournalConfig = JournalConfig()
    archive: ArchiveConfig = ArchiveConfig()
    security: SecurityConfig = SecurityConfig()
    metrics: MetricsConfig = MetricsConfig()
    swap: SwapConfig = SwapConfig()
    control: ControlConfig = ControlConfig()
    gateway: dict[Name, GatewayConfig] = Field(default_factory=dict)
    console: ConsoleConfig = ConsoleConfig()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file, and read nothing else."""
        return env_settings, init_settings

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [camera.name for camera in self.camera]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"[[camera]] name: {', '.join(sorted(twice))} is used twice")
        devices = [device for camera in self.camera if (device := device_of(camera))]
        if again := {device for device in devices if devices.count(device) > 1}:
            raise ValueError(f"[[camera]] {', '.join(sorted(again))}: two cameras can't use one device")
        return self

    @model_validator(mode="after")
    def _somebody_counts(self) -> Self:
        if isinstance(self.line.encoder, ChunkEncoder):
            for camera in self.camera:
                if isinstance(camera, GenicamBase) and "EncoderValue" not in camera.sfnc.chunks:
                    raise ValueError(
                        f'[line.encoder] type chunk: camera {camera.name} sends no count: add chunks = ["EncoderValue"]'
                    )
        return self

    @model_validator(mode="after")
    def _the_network_is_kept_out(self) -> Self:
        encoder, journal = self.line.encoder, self.journal
        refuse_unmeant("publish", self.publish.endpoint, self.publish.plain_network, self.security)
        if journal.folder is not None:
            refuse_unmeant("journal", journal.endpoint, journal.plain_network, self.security)
        if self.control.network is not None and self.security.folder is None:
            raise ValueError('[control] network: [security] folder = "keys" and station keys new protect it: add them')
        if isinstance(encoder, ZeroMqEncoder) and encoder.publisher_key is not None and self.security.folder is None:
            raise ValueError(
                '[line.encoder] publisher_key: [security] folder = "keys" says where the station\'s own are'
            )
        return self

    @model_validator(mode="after")
    def _recipes_fit(self) -> Self:
        if self.station.recipe is not None and self.station.recipe not in self.recipe:
            raise ValueError(f"[station] recipe: no [recipe.{self.station.recipe}]; there are {self._names_of_recipes}")
        numbers = [recipe.external_id for recipe in self.recipe.values() if recipe.external_id is not None]
        if twice := {number for number in numbers if numbers.count(number) > 1}:
            raise ValueError(f"[recipe] external_id: {', '.join(map(str, sorted(twice)))} is used twice")
        for name, recipe in self.recipe.items():
            if name == DEFAULT:
                raise ValueError(f"[recipe.{name}]: the plain tables are called so: take another name")
            if recipe.model is not None and isinstance(self.engine, FakeEngineConfig):
                raise ValueError(f"[recipe.{name}] model: [engine] backend fake runs none")
            regions_by(self.regions, name, recipe.regions)
            self._refuse_limit(f"[recipe.{name}] limit", recipe)
        return self

    def _refuse_limit(self, where: str, recipe: RecipeConfig) -> None:
        """Raise `ValueError` where the calibrated limits of `recipe` can't be used."""
        if not recipe.limit:
            return
        if strangers := sorted(recipe.limit.keys() - {camera.name for camera in self.camera}):
            raise ValueError(f"{where}: no camera {strangers[0]}")
        if shadow_of(self.regions) is None:
            raise ValueError(f"{where}: [regions] type {self.regions.type} seeks no shadows")
        if self.calibration.folder is None:
            raise ValueError(f'{where}: say where limits are kept, [calibration] folder = "calibrations"')
        if twice := sorted(BY_LIMIT & recipe.regions.of_shadows.keys()):
            raise ValueError(f"{where}: it sets {', '.join(twice)} too: leave one of both out")

    def by_recipe(self, name: str) -> Self:
        """Return what holds while the recipe `name` does; `default` are the plain tables.

        Raises `ConfigError` for one that is not there.
        """
        if name == DEFAULT:
            return self
        if name not in self.recipe:
            raise ConfigError(f"no [recipe.{name}]; there are {self._names_of_recipes}")
        recipe = self.recipe[name]
        budget_ms = self.station.budget_ms if recipe.budget_ms is None else recipe.budget_ms
        engine = {} if recipe.model is None else {"model": recipe.model}
        return self.model_copy(
            update={
                "station": self.station.model_copy(update={"budget_ms": budget_ms}),
                "regions": regions_by(self.regions, name, recipe.regions),
                "engine": self.engine.model_copy(update=engine),
                "verdict": self.verdict if recipe.verdict is None else recipe.verdict,
            }
        )

    @property
    def _names_of_recipes(self) -> str:
        return ", ".join(sorted(self.recipe)) or "none"

    @property
    def first_recipe(self) -> str:
        """The name of the recipe that holds at the start."""
        return self.station.recipe or DEFAULT

    @property
    def at_start(self) -> Self:
        """What holds at the start."""
        return self.by_recipe(self.first_recipe)

    @property
    def sha256(self) -> str:
        """Hash of every value in force, for the record in each event."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
