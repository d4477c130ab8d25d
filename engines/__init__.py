"""Networks that name crops: the engine contract and its implementations."""

import shadowline  # noqa: F401, I001 - first: it silences ONNX Runtime

from engines.answers import Answers
from engines.base import Engine
from engines.fake import FakeEngine
from engines.model import CropCut, ModelCard
from engines.onnx_runtime import OnnxRuntimeEngine, read_card, shipped_model

__all__ = [
    "Answers",
    "CropCut",
    "Engine",
    "FakeEngine",
    "ModelCard",
    "OnnxRuntimeEngine",
    "read_card",
    "shipped_model",
]
