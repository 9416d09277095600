"""Checkpoints of lightly-train, against the labels and scores that it gave itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from segship.core.errors import CheckpointError, ConfigError, InputError, SegshipError, UnsupportedError
from segship.deploy import export
from segship.networks.session import EagerSession
from segship.runtime import Segmentor
from segship.runtime.pipeline import Pipeline
from segship.sources import Source, find_source, load, sources
from segship.vision.decode import read_image
from support import lightly
from support.references import REFERENCES

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = REFERENCES / "lightly"
INDEX = json.loads((FOLDER / "index.json").read_text())["networks"]
LABELS = 0.9999


@pytest.fixture(scope="module")
def recorded() -> Any:
    with np.load(FOLDER / "labels.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", INDEX)
def test_its_own_labels_and_scores(name: str, recorded: Any, tmp_path: Path) -> None:
    file = lightly.write(tmp_path / "exported_best.pt", INDEX[name])
    assert find_source(file) is sources()["lightly"]
    loaded = load(file)
    numbers = np.array([int(number) for number in INDEX[name]["model_init_args"]["classes"]])
    expected, side = recorded[f"{name}_scores"], min(INDEX[name]["model_init_args"]["image_size"])
    with torch.inference_mode():
        scores = loaded.network(lightly.image(side))[0, :, ::4, ::4].numpy()
    assert np.abs(scores - expected).max() < 3e-5 * np.abs(expected).max()
    pipeline = Pipeline(EagerSession(loaded.network), loaded.spec, loaded.network.sizes)
    found = numbers[pipeline.labels(read_image(REFERENCES / "pipeline" / "street_300x401.png"), "bgr")]
    share = (found == recorded[f"{name}_labels"]).mean()
    assert share >= LABELS, share


def test_a_package_of_a_training_checkpoint(recorded: Any, tmp_path: Path) -> None:
    file = lightly.write(tmp_path / "best.ckpt", INDEX["dinov3"], training=True)
    package = export(Source(file), tmp_path / "package")
    image = read_image(REFERENCES / "pipeline" / "street_300x401.png")
    with Segmentor(package.path) as segmentor:
        share = (segmentor(image, channel_order="bgr") == recorded["dinov3_labels"]).mean()
    assert share >= LABELS, share
    assert package.manifest.spec.classes == ("road", "wall", "sky")


def _changed(entry: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    return {**entry, "model_init_args": {**entry["model_init_args"], **arguments}}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"num_querys": 3}, ConfigError, "num_queries"),
        ({"backbone_args": {"qkv_bias": False}}, ConfigError, "qkv_bias"),
        ({"num_joint_blocks": 9}, ConfigError, "2 blocks"),
        ({"num_queries": True}, ConfigError, "num_queries is True"),
        ({"image_size": [64]}, ConfigError, "image_size"),
        ({"image_size": [8, 8]}, ConfigError, "smaller than a patch"),
        ({"image_normalize": {"mean": [0.5] * 3}}, ConfigError, "std"),
        ({"image_normalize": {"mean": [0.5] * 4, "std": [0.5] * 4}}, ConfigError, "4 channels"),
        ({"num_queries": 5}, CheckpointError, "queries"),
        ({"classes": {0: "road"}}, CheckpointError, "class_head"),
    ],
)
def test_what_does_not_fit_is_refused(
    changes: dict[str, Any], error: type[SegshipError], words: str, tmp_path: Path
) -> None:
    file = lightly.write(tmp_path / "exported_best.pt", _changed(INDEX["dinov3"], **changes))
    with pytest.raises(error, match=words):
        load(file)


def test_unknown_arguments_are_noted_where_that_is_asked_for(tmp_path: Path) -> None:
    file = lightly.write(tmp_path / "exported_best.pt", _changed(INDEX["dinov2"], novelty=1))
    loaded = load(file, ignore_unknown=True)
    assert "novelty" in loaded.provenance.ignored[0]


@pytest.mark.parametrize(
    "path",
    [
        "dinov2_eomt_panoptic_segmentation.task_model.DINOv2EoMTPanopticSegmentation",
        "dinov3_eomt_instance_segmentation.task_model.DINOv3EoMTInstanceSegmentation",
        "dinov3_ltdetr_object_detection.task_model.DINOv3LTDETRObjectDetection",
        "linear_semantic_segmentation.task_model.LinearSemanticSegmentation",
        "ltdetr_instance_segmentation.task_model.LTDETRInstanceSegmentation",
        "ltdetr_object_detection.task_model.LTDETRObjectDetection",
        "picodet_object_detection.task_model.PicoDetObjectDetection",
        "semantic_segmentation_multihead.task_model.SemanticSegmentationMultihead",
    ],
)
def test_networks_of_other_kinds_are_refused_by_name(path: str, tmp_path: Path) -> None:
    entry = INDEX["dinov3"] | {"model_class_path": f"lightly_train._task_models.{path}"}
    file = lightly.write(tmp_path / "a.pt", entry)
    assert find_source(file) is sources()["lightly"]
    with pytest.raises(UnsupportedError, match=path.rpartition(".")[2]):
        load(file)


def test_further_files_are_refused(tmp_path: Path) -> None:
    file = lightly.write(tmp_path / "b.pt", INDEX["dinov3"])
    with pytest.raises(InputError, match="says all itself"):
        load(file, file)


def test_labels_tell_the_numbers_of_the_data_set(tmp_path: Path) -> None:
    loaded = load(lightly.write(tmp_path / "a.pt", INDEX["dinov3_ids"]))
    assert any("0 is 3, 1 is 7" in note for note in loaded.notes)
    assert not sources()["lightly"].recognises(FOLDER / "index.json")
