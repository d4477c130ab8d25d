"""Finder files that are not what they must be are refused in one clear line that names the file."""

import hashlib
import json

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from engines import (
    FrameEngineConfig,
    FrameOnnxEngine,
    OnnxRuntimeEngine,
    open_frame_engine,
    read_card,
    read_finder_card,
    shipped_model,
)
from engines.finder_card import FINDER_KEY
from shadowline.errors import EngineError, EngineMismatch
from tests.finder_files import finder_card, write_finder

FACTS = json.loads(finder_card().model_dump_json())


def refusal(path, **arguments):
    """Return the one line that refuses the finder file at `path`."""
    with pytest.raises(EngineError) as caught, FrameOnnxEngine(path, **arguments):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_right_file_tells_its_card_and_hash(tmp_path):
    path = write_finder(tmp_path / "right.onnx", "detector", facts={"threshold": 0.25, "scale": (2.0, 2.0)})
    with open_frame_engine(FrameEngineConfig(model=path)) as engine:
        assert engine.card == finder_card("detector", threshold=0.25, scale=(2.0, 2.0)) == read_finder_card(path)
        assert engine.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert engine.name == "onnx_runtime CPUExecutionProvider fp32"


def test_heat_is_what_the_graph_says(tmp_path):
    frame = np.full((1, 1, 64, 64), 255, np.uint8)
    frame[..., 16:40, 16:40] = 0
    with FrameOnnxEngine(write_finder(tmp_path / "heat.onnx")) as engine:
        heat = engine.run(frame)["heat"][0]
    assert heat[3, 3] == pytest.approx(1)
    assert heat[2, 2] == pytest.approx(4 / 9)
    assert heat[7, 7] == 0


WRONG_GRAPHS = {
    "input name": ({"input_name": "image"}, "input is `image`, must be `frame`"),
    "input type": ({"input_type": TensorProto.FLOAT}, "is tensor(float), must be tensor(uint8)"),
    "fixed batch": ({"batch": 1}, "input `frame` is [1, 1, 'H', 'W'], must be ['N', 1, 'H', 'W'] with any N, H, W"),
    "output name": ({"renamed": {"heat": "map"}}, "output is `map`, must be `heat`"),
    "boxes of another name": ({"kind": "detector", "renamed": {"boxes": "pred"}}, "output is `pred`, must be `boxes`"),
    "scores of another name": ({"kind": "detector", "renamed": {"scores": "p"}}, "output is `p`, must be `scores`"),
    "not finite": ({"kind": "anomaly", "gain": float("nan")}, "not finite"),
}


@pytest.mark.parametrize("case", WRONG_GRAPHS)
def test_a_wrong_graph_is_a_mismatch(tmp_path, case):
    arguments, words = WRONG_GRAPHS[case]
    path = write_finder(tmp_path / "wrong.onnx", **arguments)
    assert words in refusal(path)
    with pytest.raises(EngineMismatch), FrameOnnxEngine(path):
        pass


WRONG_CARDS = {
    "another kind": ("heatmap", finder_card("detector"), "output is `heat`, must be `boxes`"),
    "heat for a detector": ("detector", finder_card("anomaly"), "output is `boxes`, must be `heat`"),
    "a fixed size for a graph of any": ("heatmap", finder_card(input_px=(64, 64)), "must be ['N', 1, 64, 64]"),
    "labels of a map of one": ("heatmap", finder_card(labels=("a", "b")), "must be ['N', 2, None, None]"),
    "another stride": ("heatmap", finder_card(stride=16), "heat of frames [1, 1, 64, 64] is [1, 8, 8], must be [1, 4"),
    "probabilities for distances": ("anomaly", finder_card(), "heat is not 0 to 1: sigmoid missing"),
    "fewer labels than the graph": ("detector", finder_card("detector", labels=("a",)), "labels count from 0 to 1"),
}


@pytest.mark.parametrize("case", WRONG_CARDS)
def test_a_card_of_another_graph_is_a_mismatch(tmp_path, case):
    kind, card, words = WRONG_CARDS[case]
    path = write_finder(tmp_path / "wrong.onnx", kind, metadata={FINDER_KEY: card.model_dump_json()})
    assert words in refusal(path)


WRONG_METADATA = {
    "none": ({}, "no `shadowline.finder` metadata: export it with `station train"),
    "not JSON": ({FINDER_KEY: "kind = 3"}, "not a JSON table"),
    "JSON, but no table": ({FINDER_KEY: "[1]"}, "not a JSON table"),
    "schema version": ({FINDER_KEY: json.dumps(FACTS | {"schema_version": 99})}, "schema version 99, this station"),
    "unknown key": ({FINDER_KEY: json.dumps(FACTS | {"colour": "red"})}, "metadata colour"),
    "threshold": ({FINDER_KEY: json.dumps(FACTS | {"threshold": 7})}, "metadata threshold"),
}


@pytest.mark.parametrize("case", WRONG_METADATA)
def test_wrong_metadata_is_a_mismatch_for_reading_and_running(tmp_path, case):
    metadata, words = WRONG_METADATA[case]
    path = write_finder(tmp_path / "wrong.onnx", metadata=metadata)
    assert words in refusal(path)
    with pytest.raises(EngineMismatch, match=words.replace("`", ".")):
        read_finder_card(path)


def test_a_classifier_s_file_is_told_where_it_belongs():
    assert "it names crops and finds no regions: it belongs in [engine] model" in refusal(shipped_model())
    with pytest.raises(EngineMismatch, match=r"belongs in .engine. model"):
        read_finder_card(shipped_model())


def test_a_finder_file_is_told_where_it_belongs(tmp_path):
    path = write_finder(tmp_path / "finder.onnx")
    with pytest.raises(EngineMismatch, match=r"names no crops: it belongs in .regions. model"):
        read_card(path)
    with pytest.raises(EngineMismatch, match=r"belongs in .regions. model"), OnnxRuntimeEngine(path):
        pass


def test_a_missing_file_and_one_that_is_cut_are_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "nowhere.onnx")
    path = write_finder(tmp_path / "cut.onnx")
    path.write_bytes(path.read_bytes()[:200])
    assert "not a complete ONNX model" in refusal(path)


def test_a_provider_that_is_not_in_this_runtime_is_refused_with_what_to_install(tmp_path, monkeypatch):
    path = write_finder(tmp_path / "right.onnx")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert "pip install onnxruntime-gpu" in refusal(path, provider="cuda")
