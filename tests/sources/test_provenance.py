"""What each source says of where it read a value, and what it had to assume."""

from __future__ import annotations

from pathlib import Path

import yaml
from torch import nn

from segship.sources import load
from segship.sources.python import load_module
from support.onnx_models import parsed
from support.segmenter import VARIANT
from support.trained import write_trained

ONNX = "g (float[n, 3, h, w] image) => (float[n, 3, h, w] scores) { scores = Relu (image) }"
DESCRIPTION = "classes: [a, b, c]\nnormalization: {mean: [1, 2, 3], std: [4, 5, 6]}\n"


def onnx_file(folder: Path) -> Path:
    path = folder / "x.onnx"
    path.write_bytes(parsed(ONNX).SerializeToString())
    (folder / "x.yaml").write_text(DESCRIPTION)
    return path


def test_a_config_says_each_value_or_leaves_it_to_the_framework(tmp_path: Path) -> None:
    config, weights = write_trained(tmp_path)
    readings = load(config, weights).provenance.readings()
    assert str(readings["normalization"]) == "small.py: data_preprocessor.mean"
    assert str(readings["channel_order"]) == "small.py: data_preprocessor.bgr_to_rgb"
    assert readings["padding"].kind == "default"
    assert not [name for name, reading in readings.items() if reading.kind == "assumed"]


def test_a_description_says_some_values_and_an_option_others(tmp_path: Path) -> None:
    loaded = load(onnx_file(tmp_path), cfg_options=["normalization.std=[1,1,2]", "geometry=[]"])
    readings = {name: str(reading) for name, reading in loaded.provenance.readings().items()}
    assert readings["classes"] == "x.yaml: classes"
    assert readings["normalization"] == "x.yaml: normalization.mean"
    assert readings["size_rule"] == "an option: geometry"
    assert loaded.provenance.assumptions(loaded.spec) == ("channel order RGB (nothing in x.yaml says it)",)


def test_a_module_without_a_description_of_its_input_assumes_it() -> None:
    loaded = load_module(nn.Conv2d(3, 2, 1), {"classes": 2, "normalization": {}})
    (assumed,) = loaded.provenance.assumptions(loaded.spec)
    assert assumed.startswith("channel order RGB, normalization mean 0 0 0; std 1 1 1, size rule the image's own size")
    assert assumed.endswith("(nothing in the description says it)")


def test_segmenters_variant_says_what_its_training_wrote(tmp_path: Path) -> None:
    (tmp_path / "variant.yml").write_text(yaml.dump(VARIANT))
    readings = load(tmp_path, random_weights=True).provenance.readings()
    assert str(readings["classes"]) == "variant.yml: dataset_kwargs.dataset"
    assert str(readings["normalization"]) == "assumed: nothing in variant.yml says it"
