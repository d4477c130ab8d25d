"""Are the answers those of ONNX Runtime on the CPU over the model file as it is? Pure."""

import numpy as np

from engines.parity import Parity, compare
from shadowline.errors import EngineError
from tests.gpu.engines import Subject, open_reference
from tests.gpu.samples import cut_sample_crops
from tests.gpu.section import Effort, Row

__all__ = ["measure_correctness"]

_BATCHES = (1, 7, 8, 32, 33, 100)
_FLIP_SHARE = 0.02
_BATCH_ERROR = {"fp32": 1e-4, "fp16": 1e-2, "int8": 1e-2}


def measure_correctness(subject: Subject, effort: Effort) -> list[Row]:
    """Return a row for drawn crops, one for noise, and one a batch size, which must answer as the whole did.

    Target: at most 2 % of the drawn crops' labels flip (noise has no right label), and cutting the same crops into
    other batches changes no probability by more than 1e-4 (fp32) or 1e-2 (fp16, int8: kernels differ by batch).
    """
    with open_reference(subject.model) as reference, subject.open() as engine:
        crops = cut_sample_crops(engine.card.crop, max(effort.crops, _BATCHES[-1]))
        noise = np.random.default_rng(1).integers(0, 256, (_BATCHES[-1], *crops.shape[1:]), np.uint8)
        drawn = compare(reference, engine, crops)
        whole = engine.classify(crops).probabilities.copy()
        rows: list[Row] = [
            _row("drawn", drawn) | {"met": drawn.flip_share <= _FLIP_SHARE},
            _row("noise", compare(reference, engine, noise)),
        ]
        for batch in _BATCHES:
            part = engine.classify(crops[:batch]).probabilities
            if part.shape != whole[:batch].shape:
                raise EngineError(f"{subject.name}: {batch} crops were answered with shape {part.shape}")
            error = np.abs(part - whole[:batch])
            rows.append(
                {
                    "batch": batch,
                    "crops": batch,
                    "max_error": round(float(error.max()), 7),
                    "mean_error": round(float(error.mean()), 8),
                    "flips": int((part.argmax(1) != whole[:batch].argmax(1)).sum()),
                    "met": float(error.max()) <= _BATCH_ERROR[subject.precision],
                }
            )
    return rows


def _row(what: str, parity: Parity) -> Row:
    return {
        "batch": what,
        "crops": parity.crops,
        "max_error": round(parity.max_error, 7),
        "mean_error": round(parity.mean_error, 8),
        "flips": parity.flips,
    }
