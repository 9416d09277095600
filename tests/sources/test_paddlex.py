"""Folders of PaddleX, as its own predictor of semantic segmentation reads them (3.0.0 to 3.7.2 do alike)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from segship.core.errors import ConfigError, UnsupportedError
from segship.sources.paddleseg.folder import read_folder
from segship.sources.paddleseg.transforms import read_transforms
from support.references import REFERENCES

if TYPE_CHECKING:
    from pathlib import Path

NORMALIZE = {"type": "Normalize"}
HPI = {"backend_configs": {"paddle_infer": {"trt_dynamic_shapes": {"x": [[1, 3, 64, 64]] * 3}}}}


def folder(place: Path, *transforms: dict[str, Any], name: str = "PP-LiteSeg-T", **sections: Any) -> Path:
    """What PaddleX's training exports, with these transforms."""
    for kind in ("json", "pdiparams"):
        shutil.copy(REFERENCES / "paddleseg" / "argmax" / f"model.{kind}", place / f"inference.{kind}")
    deploy = {"model": "inference.pdmodel", "params": "inference.pdiparams", "transforms": list(transforms)}
    values = {"Global": {"model_name": name}, "Deploy": deploy, **sections}
    (place / "inference.yml").write_text(yaml.safe_dump(values))
    return place


def test_settings_of_its_fast_inference_say_nothing_of_the_image(tmp_path: Path) -> None:
    found = read_folder(folder(tmp_path, NORMALIZE, Hpi=HPI))
    assert (found.paddlex, found.ignored, found.said["geometry"]) == ("PP-LiteSeg-T", (), [])


def test_the_newer_program_counts_whatever_the_yaml_says(tmp_path: Path) -> None:
    place = folder(tmp_path, NORMALIZE)
    (place / "inference.pdmodel").write_bytes(b"of an earlier export")
    assert read_folder(place).program.name == "inference.json"
    (place / "inference.json").unlink()
    assert read_folder(place).program.name == "inference.pdmodel"


def test_the_last_of_several_transforms_counts() -> None:
    resizes = [{"type": "Resize", "target_size": side, "interp": "linear"} for side in (64, 96)]
    halves = {"type": "Normalize", "mean": [0.25] * 3}
    said, _ = read_transforms([*resizes, halves, NORMALIZE], "inference.yml", paddlex=True)
    (step,) = said["geometry"]
    assert (step["short"], step["multiple_of"]) == (96, 32)
    assert said["normalization"]["mean"] == (0.5,)


@pytest.mark.parametrize(
    ("transforms", "sections", "error", "words"),
    [
        ([], {}, ConfigError, "no Normalize, without which PaddleX runs nothing"),
        ([NORMALIZE | {"scale": 1.0}], {}, ConfigError, "Normalize has no argument 'scale'"),
        ([NORMALIZE], {"PostProcess": {}}, ConfigError, "The file has no 'PostProcess'"),
        ([NORMALIZE], {"label_list": ["road"]}, ConfigError, "The file has no 'label_list'"),
        ([NORMALIZE], {"name": "PP-LiteSeg-X"}, ConfigError, "called 'PP-LiteSeg-X'. Did you mean 'PP-LiteSeg-"),
        ([NORMALIZE], {"name": "STFPM"}, UnsupportedError, "STFPM, PaddleX's anomaly detection"),
        ([NORMALIZE, {"type": "ResizeByShort", "short_size": 9}], {}, UnsupportedError, "'ResizeByShort' is not"),
        ([NORMALIZE, {"type": "Resize", "target_size": 9, "interp": "AREA"}], {}, UnsupportedError, "interp is 'AREA'"),
    ],
)
def test_what_its_predictor_does_not_read_is_refused(
    transforms: list[Any], sections: dict[str, Any], error: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=words):
        read_folder(folder(tmp_path, *transforms, **sections))
