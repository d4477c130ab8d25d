"""Networks that name crops or find regions: the engine contracts and their implementations."""

import shadowline  # noqa: F401, I001 - first: it silences ONNX Runtime

from engines.answers import Answers
from engines.base import Engine
from engines.fake import FakeEngine
from engines.finder_card import FinderCard
from engines.frame_engine import Found, FrameEngine
from engines.frame_fake import FakeFrameEngine
from engines.frame_onnx import FrameOnnxEngine, read_finder_card, shipped_detector
from engines.frame_open import FrameEngineConfig, open_frame_engine
from engines.model import CropCut, ModelCard
from engines.onnx_runtime import OnnxRuntimeEngine, read_card, shipped_model

__all__ = [
    "Answers",
    "CropCut",
    "Engine",
    "FakeEngine",
    "FakeFrameEngine",
    "FinderCard",
    "Found",
    "FrameEngine",
    "FrameEngineConfig",
    "FrameOnnxEngine",
    "ModelCard",
    "OnnxRuntimeEngine",
    "open_frame_engine",
    "read_card",
    "read_finder_card",
    "shipped_detector",
    "shipped_model",
]
