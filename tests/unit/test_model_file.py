"""Model files that are not what they must be are refused in one clear line that names the file."""

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from engines import OnnxRuntimeEngine, read_card, shipped_model
from engines.model import METADATA_KEY
from shadowline.errors import EngineError, EngineMismatch
from tests.tiny import CARD, LABELS, SIDE, write_model


def refusal(path, **arguments):
    """Return the one line that refuses the model at `path`."""
    with pytest.raises(EngineError) as caught, OnnxRuntimeEngine(path, **arguments):
        pass
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_a_right_model_is_entered_and_tells_its_card_and_hash(tmp_path):
    path = write_model(tmp_path / "right.onnx")
    with OnnxRuntimeEngine(path) as engine:
        assert engine.card.labels == LABELS
        assert engine.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        crops = np.stack([np.full((1, SIDE, SIDE), level, np.uint8) for level in (255, 0)])
        bright, dark = engine.classify(crops).probabilities
        assert bright[0] > 0.99
        assert dark.tolist() == [0.5, 0.5]


def test_a_right_model_with_novelty_tells_what_it_was_set_to(tmp_path):
    facts = {
        "head": "multi_label",
        "novelty_limit": 100.0,
        "false_unknown": 0.01,
        "label_floors": {"dark": 0.8},
        "conformal": {"0.01": 0.2, "0.05": 0.4},
    }
    path = write_model(tmp_path / "right.onnx", CARD | facts, last="Sigmoid", novelty="Squeeze")
    with OnnxRuntimeEngine(path) as engine:
        assert engine.card.model_dump(include=set(facts)) == facts
        answers = engine.classify(np.full((2, 1, SIDE, SIDE), 228, np.uint8))
    assert answers.novelty.tolist() == [100, 100]
    assert answers.probabilities[0].sum() == pytest.approx(1), "sigmoids of a logit and of its negative"


def test_novelty_without_a_limit_is_answered(tmp_path):
    with OnnxRuntimeEngine(write_model(tmp_path / "right.onnx", novelty="Squeeze")) as engine:
        assert engine.card.novelty_limit is None
        assert engine.classify(np.zeros((3, 1, SIDE, SIDE), np.uint8)).novelty.tolist() == [128] * 3


WRONG_GRAPHS = {
    "input name": ({"input_name": "images"}, "input is `images`, must be `crops`"),
    "input type": ({"input_type": TensorProto.FLOAT}, "must be tensor(uint8)"),
    "input channels": ({"input_shape": ("N", 3, SIDE, SIDE)}, "must be ['N', 1, 16, 16]"),
    "input size": ({"input_shape": ("N", 1, SIDE, 2 * SIDE)}, "must be ['N', 1, 16, 16]"),
    "fixed batch": ({"input_shape": (4, 1, SIDE, SIDE)}, "any N"),
    "output name": ({"output_name": "scores"}, "output is `scores`, must be `probabilities`"),
    "output type": ({"output_type": TensorProto.DOUBLE}, "must be tensor(float)"),
    "label count": ({"classes": 3}, "must be ['N', 2]"),
    "not finite": ({"bias": float("nan")}, "not finite"),
    "no softmax": ({"last": "Identity"}, "do not sum to 1"),
    "no sigmoid": ({"card": CARD | {"head": "multi_label"}, "last": "Identity"}, "are not 0 to 1"),
    "probabilities of several labels in one row": ({"last": "Sigmoid", "bias": 2.0}, "do not sum to 1"),
    "a novelty limit without novelty": ({"card": CARD | {"novelty_limit": 3.0}}, "its graph no output `novelty`"),
    "novelty in a column": ({"novelty": "Identity"}, "output `novelty` is ['N', 1], must be ['N'] with any N"),
    "novelty not finite": ({"novelty": "Squeeze", "grey": float("nan")}, "not finite"),
    "novelty type": ({"novelty": "Squeeze", "novelty_type": TensorProto.DOUBLE}, "must be tensor(float)"),
}


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_a_wrong_graph_is_a_mismatch(tmp_path, case):
    arguments, words = WRONG_GRAPHS[case]
    path = write_model(tmp_path / "wrong.onnx", **arguments)
    assert words in refusal(path)
    with pytest.raises(EngineMismatch), OnnxRuntimeEngine(path):
        pass


WRONG_METADATA = {
    "none": ({}, "no `shadowline` metadata"),
    "of another tool": ({"author": "somebody"}, "no `shadowline` metadata"),
    "not JSON": ({METADATA_KEY: "labels = 3"}, "not a JSON table"),
    "JSON, but no table": ({METADATA_KEY: "[1, 2]"}, "not a JSON table"),
    "schema version": ({METADATA_KEY: json.dumps(CARD | {"schema_version": 99})}, "schema version 99"),
    "no labels": ({METADATA_KEY: json.dumps(CARD | {"labels": []})}, "metadata labels"),
    "unknown key": ({METADATA_KEY: json.dumps(CARD | {"colour": "red"})}, "metadata colour"),
    "head": ({METADATA_KEY: json.dumps(CARD | {"head": "relu"})}, "metadata head"),
    "floor of no label": (
        {METADATA_KEY: json.dumps(CARD | {"label_floors": {"grey": 0.7}})},
        "metadata label_floors: Value error, grey: not a label of the model",
    ),
    "floor above 1": ({METADATA_KEY: json.dumps(CARD | {"label_floors": {"dark": 7}})}, "metadata label_floors.dark"),
    "infinite limit": ({METADATA_KEY: json.dumps(CARD | {"novelty_limit": np.inf})}, "metadata novelty_limit"),
    "miss rate": ({METADATA_KEY: json.dumps(CARD | {"conformal": {"5 %": 0.1}})}, "metadata conformal"),
}


@pytest.mark.parametrize("case", WRONG_METADATA)
def test_wrong_metadata_is_a_mismatch_for_reading_and_running(tmp_path, case):
    metadata, words = WRONG_METADATA[case]
    path = write_model(tmp_path / "wrong.onnx", metadata=metadata)
    assert words in refusal(path)
    with pytest.raises(EngineMismatch, match=words):
        read_card(path)


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "nowhere.onnx"
    assert "No such file" in refusal(path)
    with pytest.raises(EngineError, match="No such file"):
        read_card(path)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_refused(tmp_path, part):
    content = shipped_model().read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(part * len(content))])
    refusal(path)


def test_a_file_that_is_no_model_is_refused(tmp_path):
    path = tmp_path / "picture.onnx"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    assert "not a complete ONNX model" in refusal(path)


def test_weights_in_another_file_are_refused(tmp_path):
    path = write_model(tmp_path / "outside.onnx")
    model = onnx.load(path)
    onnx.save_model(
        model, path, save_as_external_data=True, all_tensors_to_one_file=True, location="weights.bin", size_threshold=0
    )
    assert (tmp_path / "weights.bin").exists()
    refusal(path)


def test_a_provider_that_is_not_in_this_runtime_is_refused_with_what_to_install(tmp_path, monkeypatch):
    path = write_model(tmp_path / "right.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "pip install onnxruntime-gpu" in refusal(path, provider="cuda")


def test_a_provider_that_falls_back_to_the_cpu_is_refused(tmp_path, monkeypatch):
    path = write_model(tmp_path / "right.onnx")
    real = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda content, options, providers: real(content, options, providers=["CPUExecutionProvider"]),
    )
    assert "fell back to CPUExecutionProvider" in refusal(path, provider="cuda")


def test_the_shipped_model_is_small_int8_and_knows_its_figures():
    card = read_card(shipped_model())
    assert shipped_model().stat().st_size <= 3_000_000
    assert card.precision == "int8"
    assert {"crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"} == set(card.labels)
    assert card.licence
    assert card.not_for
    assert card.metrics["test/whole"]["n"] > 0
    operators = {node.op_type for node in onnx.load(shipped_model()).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_reading_the_card_gives_what_the_engine_has():
    with OnnxRuntimeEngine() as engine:
        assert engine.card == read_card(shipped_model())
