"""The configuration as frozen values, a class a table of `config.toml`.

`station.config_file` reads the file and the environment into them. Contradictions are refused, nothing is repaired.
"""

from station.config.archive import ArchiveConfig
from station.config.calibration import CalibrationConfig
from station.config.cameras import (
    AravisConfig,
    BaslerConfig,
    CameraBase,
    CameraConfig,
    DropPolicy,
    GenicamBase,
    GenTlConfig,
    OpenCvConfig,
    PixelFormat,
    PythonCameraConfig,
    ReplayConfig,
    SfncConfig,
    SimulatedConfig,
    SimulatedFaults,
    TriggerConfig,
)
from station.config.journal import JournalConfig
from station.config.line import ChunkEncoder, EncoderConfig, LineConfig, LineSpeed, ModbusEncoder, ZeroMqEncoder
from station.config.metrics import MetricsConfig
from station.config.security import SecurityConfig
from station.config.table import Table, folder
from station.config.whole import (
    AutoEngineConfig,
    Config,
    ControlConfig,
    EngineBase,
    EngineConfig,
    FakeEngineConfig,
    OnnxRuntimeConfig,
    PlanBase,
    PublishConfig,
    RegionsConfig,
    RuleConfig,
    StationConfig,
    SwapConfig,
    TensorRtConfig,
    VerdictConfig,
)

__all__ = [
    "AravisConfig",
    "ArchiveConfig",
    "AutoEngineConfig",
    "BaslerConfig",
    "CalibrationConfig",
    "CameraBase",
    "CameraConfig",
    "ChunkEncoder",
    "Config",
    "ControlConfig",
    "DropPolicy",
    "EncoderConfig",
    "EngineBase",
    "EngineConfig",
    "FakeEngineConfig",
    "GenTlConfig",
    "GenicamBase",
    "JournalConfig",
    "LineConfig",
    "LineSpeed",
    "MetricsConfig",
    "ModbusEncoder",
    "OnnxRuntimeConfig",
    "OpenCvConfig",
    "PixelFormat",
    "PlanBase",
    "PublishConfig",
    "PythonCameraConfig",
    "RegionsConfig",
    "ReplayConfig",
    "RuleConfig",
    "SecurityConfig",
    "SfncConfig",
    "SimulatedConfig",
    "SimulatedFaults",
    "StationConfig",
    "SwapConfig",
    "Table",
    "TensorRtConfig",
    "TriggerConfig",
    "VerdictConfig",
    "ZeroMqEncoder",
    "folder",
]
