"""Model files that are not what they must be are refused in one clear line that names the file."""

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from engines import OnnxRuntimeEngine, read_card, shipped_model
from engines.model import METADATA_KEY
from shadowline.errors import EngineError, EngineMismatch

SIDE, LABELS = 16, ("bright", "dark")
CARD = {"name": "tiny", "labels": LABELS, "crop": {"size_px": SIDE, "context": 1.0, "min_side_px": SIDE}}


def write_model(
    path,
    card=CARD,
    input_name="crops",
    input_type=TensorProto.UINT8,
    input_shape=("N", 1, SIDE, SIDE),
    output_name="probabilities",
    output_type=TensorProto.FLOAT,
    classes=2,
    last="Softmax",
    bias=0.0,
    metadata=None,
):
    """Write a network of one dense layer over the crop's mean, right unless an argument says otherwise."""
    channels = input_shape[1]
    weight = np.linspace(1, -1, channels * classes, dtype=np.float32).reshape(channels, classes) / 64
    nodes = [
        helper.make_node("Cast", [input_name], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node(last, ["logits"], ["answer"]),
        helper.make_node("Cast", ["answer"], [output_name], to=output_type),
    ]
    batch = input_shape[0]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, input_type, input_shape)],
        [helper.make_tensor_value_info(output_name, output_type, [batch, classes])],
        [
            onnx.numpy_helper.from_array(weight, "weight"),
            onnx.numpy_helper.from_array(np.full(classes, bias, np.float32), "bias"),
            onnx.numpy_helper.from_array(np.array([2, 3], np.int64), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if metadata is None:
        metadata = {METADATA_KEY: json.dumps(card)}
    helper.set_model_props(model, metadata)
    onnx.save(model, path)
    return path


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
        bright, dark = engine.classify(crops)
        assert bright[0] > 0.99
        assert dark.tolist() == [0.5, 0.5]


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
