"""PaddleSeg's inference folders, as far as they can be read without Paddle."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from segship.core.errors import BackendError, ConfigError, InputError, UnsupportedError
from segship.core.spec import ModelSpec
from segship.reading.description import read_description
from segship.sources import find_source, load, sources
from segship.sources.paddleseg.folder import read_folder
from segship.sources.paddleseg.network import for_channels
from segship.sources.paddleseg.transforms import read_transforms
from segship.toolchains.paddle import TOOLCHAIN
from segship.vision.preprocess import prepare
from support.commands import refused, segship
from support.references import REFERENCES

FOLDERS = REFERENCES / "paddleseg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDERS / "argmax", tmp_path / "inference_model"))


@pytest.fixture(autouse=True)
def opencv_alone() -> Iterator[None]:
    """OpenCV without Intel's library, which resizes float32 with weights of its own, on Intel's processors only."""
    used = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(False)
    yield
    cv2.ipp.setUseIPP(used)


def rewrite(folder: Path, **changes: Any) -> Path:
    file = folder / "deploy.yaml"
    values = yaml.safe_load(file.read_text())
    values["Deploy"] |= changes
    file.write_text(yaml.safe_dump(values))
    return folder


@pytest.mark.parametrize("name", ["argmax", "legacy"])
def test_folder_and_its_yaml_are_recognised(name: str) -> None:
    for path in (FOLDERS / name, FOLDERS / name / "deploy.yaml"):
        assert find_source(path) is sources()["paddleseg"]


@pytest.mark.parametrize("missing", ["deploy.yaml", "model.json"])
def test_folder_that_lacks_a_file_is_not(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=r"PaddleSeg: a folder with deploy\.yaml, model\.json or model\.pdmodel"):
        find_source(folder)


def test_the_program_that_is_there_counts_whatever_the_yaml_says(folder: Path) -> None:
    assert yaml.safe_load((folder / "deploy.yaml").read_text())["Deploy"]["model"] == "model.pdmodel"
    assert read_folder(folder).program == folder / "model.json"
    (folder / "model.pdmodel").write_bytes(b"")
    assert read_folder(folder).program == folder / "model.pdmodel"
    assert read_folder(rewrite(folder, model="model.json")).program == folder / "model.json"


def test_names_of_fastdeploy_are_understood(folder: Path) -> None:
    (folder / "deploy.yaml").rename(folder / "inference.yml")
    (folder / "model.json").rename(folder / "inference.pdmodel")
    (folder / "model.pdiparams").rename(folder / "inference.pdiparams")
    assert find_source(folder) is sources()["paddleseg"]
    values = yaml.safe_load((folder / "inference.yml").read_text())
    values["Deploy"] |= {"model": "inference.pdmodel", "params": "inference.pdiparams"}
    (folder / "inference.yml").write_text(yaml.safe_dump(values))
    found = read_folder(folder)
    assert (found.program.name, found.params.name) == ("inference.pdmodel", "inference.pdiparams")


def test_missing_weights_are_told(folder: Path) -> None:
    (folder / "model.pdiparams").unlink()
    with pytest.raises(ConfigError, match=r"has no model\.pdiparams, which holds the network's weights"):
        load(folder)


@pytest.mark.parametrize("key", ["model", "params"])
@pytest.mark.parametrize("name", ["../model.json", "/etc/passwd", "..", "sub/model.json", "a\\b", 3, ["model.json"]])
def test_names_that_leave_the_folder_are_refused(folder: Path, key: str, name: Any) -> None:
    with pytest.raises(ConfigError, match=f"{key} is .* expected the name of a file in the same folder"):
        load(rewrite(folder, **{key: name}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.mkdir [ran]", "no YAML of plain values"),
        ("a: &a [1,1]\nb: &b [*a,*a]\n" + "".join(
            f"{chr(c + 1)}: &{chr(c + 1)} [{','.join([f'*{chr(c)}'] * 40)}]\n" for c in range(98, 106)
        ), "makes more values than any real config"),
        ("just text", "expected names with values"),
        ("Global: {}", "no Deploy section"),
        ("Deploy: []", "no Deploy section"),
        ("Deploy: {output_op: sort}", "output_op is 'sort', expected one of argmax, softmax and none"),
        ("Deploy: {output_op: [argmax]}", r"output_op is \['argmax'\]"),
        ("Deploy: {}\nlabel_list: [road]", "The file has no 'label_list'.*--ignore-unknown"),
        ("Deploy: {}\nGlobal: {model: x}", "Global has no 'model'. Did you mean 'model_name'"),
        ("Deploy: {output_opp: argmax}", "Deploy has no 'output_opp'. Did you mean 'output_op'.*--ignore-unknown"),
        ("Deploy: {transforms: [{type: Normalize, means: [1]}]}", "Normalize has no argument 'means'. Did you mean"),
        ("Deploy: {transforms: Normalize}", "transforms is a str, expected a list"),
        ("Deploy: {transforms: [Normalize]}", "transform 0 is 'Normalize', expected a mapping with a type"),
    ],
)  # fmt: skip
def test_hostile_and_wrong_yaml_is_an_error_and_runs_nothing(
    folder: Path, text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / "deploy.yaml").write_text(text)
    assert sources()["paddleseg"].recognises(folder)
    with pytest.raises(ConfigError, match=message):
        load(folder)
    assert not (folder / "ran").exists()


def test_options_that_are_not_known_may_be_passed_over(folder: Path) -> None:
    (folder / "deploy.yaml").write_text("Deploy: {fast: 1, transforms: [{type: Normalize, means: [1], std: 0.25}]}")
    read = read_folder(folder, ignore_unknown=True)
    assert read.said["normalization"]["std"] == (0.25,)
    assert [sentence.partition(".")[0] for sentence in read.ignored] == [
        "Deploy has no 'fast'",
        "Normalize has no argument 'means'",
    ]


def test_yaml_larger_than_any_is_refused(folder: Path) -> None:
    with (folder / "deploy.yaml").open("ab") as file:
        file.truncate(9 * 2**20)
    with pytest.raises(ConfigError, match="more than any description"):
        load(folder)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        ({"type": "RandomDistort"}, "'RandomDistort' is not provided; known are Normalize, Resize"),
        ({"type": "ResizeByShorts"}, "Did you mean 'ResizeByShort'"),
        ({"type": "Resize", "interp": "CUBIC"}, "Resize: interp is 'CUBIC', only LINEAR"),
    ],
)
def test_what_is_not_provided_is_named(transform: dict[str, Any], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        read_transforms([transform], "deploy.yaml")


@pytest.mark.parametrize(
    "transform",
    [
        {"type": "Normalize", "std": [0, 1, 1]},
        {"type": "Normalize", "mean": "high"},
        {"type": "Resize", "target_size": [512]},
        {"type": "Resize", "target_size": [-1, 512]},
        {"type": "ResizeByShort"},
        {"type": "ResizeByLong", "long_size": 2.5},
        {"type": "Padding", "target_size": True},
    ],
)
def test_arguments_that_make_no_sense_are_told(transform: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{transform['type']} cannot be used with"):
        read_transforms([transform], "deploy.yaml")


def spec(*transforms: dict[str, Any]) -> ModelSpec:
    said = read_description(read_transforms(list(transforms), "deploy.yaml")[0])
    return for_channels(said, 3).spec(source="paddleseg", architecture="x", outputs=4)[0]


IMAGE = np.random.default_rng(0).integers(0, 256, (333, 1024, 3), np.uint8)
RGB = IMAGE[:, :, ::-1].astype(np.float32)


def planes(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)[None]


def assert_prepared(spec: ModelSpec, expected: np.ndarray) -> None:
    found = prepare(IMAGE, spec).tensor
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6)


def test_normalize_alone_means_halves() -> None:
    found = spec({"type": "Normalize"})
    assert (found.normalization.channel_order, found.geometry, found.padding) == ("rgb", (), None)
    assert_prepared(found, planes((RGB / 255 - 0.5) / 0.5))


def test_own_mean_and_deviation_are_of_pixels_up_to_one() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    expected = (RGB / 255 - np.array(mean, np.float32)) / np.array(std, np.float32)
    assert_prepared(spec({"type": "Normalize", "mean": mean, "std": std}), planes(expected))


def test_without_normalize_pixels_stay_as_they_are() -> None:
    assert_prepared(spec(), planes(RGB))


def test_resize_takes_width_first_and_rounds_no_pixel() -> None:
    expected = cv2.resize(RGB, (200, 100), interpolation=cv2.INTER_LINEAR) / 127.5 - 1
    assert_prepared(spec({"type": "Resize", "target_size": [200, 100]}, {"type": "Normalize"}), planes(expected))
    assert_prepared(spec({"type": "Normalize"}, {"type": "Resize", "target_size": [200, 100]}), planes(expected))


# 333 rows at half the size are 166.5: Python rounds to the even number, as PaddleSeg does.
@pytest.mark.parametrize(
    ("transform", "size"),
    [
        ({"type": "ResizeByLong", "long_size": 512}, (166, 512)),
        ({"type": "ResizeByShort", "short_size": 111}, (111, 341)),
        ({"type": "ResizeByShort", "short_size": 333, "max_size": 512}, (166, 512)),
        ({"type": "Resize", "target_size": [512, 512], "keep_ratio": True}, (166, 512)),
        ({"type": "Resize", "target_size": [100, 50], "size_divisor": 32}, (64, 128)),
    ],
)
def test_resizes_that_keep_the_ratio_round_halves_to_even(transform: dict[str, Any], size: tuple[int, int]) -> None:
    assert_prepared(spec(transform), planes(cv2.resize(RGB, size[::-1], interpolation=cv2.INTER_LINEAR)))


def test_padding_before_normalize_has_fractions_and_is_cut_off_the_mask() -> None:
    found = spec({"type": "Padding", "target_size": [1100, 400]}, {"type": "Normalize"})
    expected = np.full((400, 1100, 3), 127.5, np.float32)
    expected[:333, :1024] = RGB
    assert_prepared(found, planes(expected / 127.5 - 1))
    steps = prepare(IMAGE, found).steps
    assert (333, 1024) in {step.crop for step in steps}


def test_padding_names_red_first() -> None:
    value = [10, 20, 30]
    found = spec({"type": "Padding", "target_size": [1100, 400], "im_padding_value": value})
    np.testing.assert_array_equal(prepare(IMAGE, found).tensor[0, :, -1, -1], value)


def test_padding_after_normalize_is_of_normalised_pixels() -> None:
    found = spec({"type": "Normalize"}, {"type": "Padding", "target_size": [1100, 400], "im_padding_value": 0})
    tensor = prepare(IMAGE, found).tensor
    assert tensor.shape == (1, 3, 400, 1100)
    assert tensor[0, 0, -1, -1] == 0
    with pytest.raises(UnsupportedError, match="a resize after a padding of the normalised image"):
        spec({"type": "Normalize"}, {"type": "Padding", "target_size": [9, 9]}, {"type": "Resize"})


def test_missing_environment_is_told_with_the_command_that_makes_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOOLCHAIN.variable, str(tmp_path / "none"))
    with pytest.raises(BackendError, match=r"there is none in .*none: run `segship doctor --setup paddle`"):
        load(folder)
    line = refused(segship("export", folder, tmp_path / "package"))
    assert "segship doctor --setup paddle" in line
    assert not (tmp_path / "package").exists()


def test_a_checkpoint_beside_the_folder_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="brings its own weights"):
        load(folder, "model.pdparams")


def test_class_names_on_the_command_line_that_name_nothing_are_told(folder: Path, tmp_path: Path) -> None:
    assert "neither a data set" in refused(segship("info", folder, "--classes", "city"))
    assert "Did you mean 'cityscapes'" in refused(segship("export", folder, tmp_path / "p", "--layout", "citiscapes"))


def rescale(image: Any, target: tuple[int, int], divisor: int) -> Any:
    """PaddleX's resize, from its description: by one scale, each side rounded, then raised, then one call of OpenCV."""
    height, width = image.shape[:2]
    scale = min(max(target) / max(height, width), min(target) / min(height, width))
    sides = [math.ceil(round(side * scale) / divisor) * divisor for side in (width, height)]
    return cv2.resize(image, sides, interpolation=cv2.INTER_LINEAR)


def test_paddlex_resizes_by_rules_of_its_own(folder: Path) -> None:
    resize = {"type": "Resize", "target_size": [640, 256]}
    values = yaml.safe_load((folder / "deploy.yaml").read_text())
    values["Deploy"]["transforms"] = [{"type": "Normalize"}, resize]
    (folder / "deploy.yaml").write_text(yaml.safe_dump(values))
    (said,) = read_folder(folder).said["geometry"]
    assert (said["kind"], said["interpolation"]) == ("resize", "float_bilinear")
    values["Global"] = {"model_name": "SeaFormer_base"}
    (folder / "deploy.yaml").unlink()
    (folder / "inference.yml").write_text(yaml.safe_dump(values))
    found = read_folder(folder)
    assert found.paddlex == "SeaFormer_base"
    description = for_channels(read_description(found.said), 3)
    prepared = prepare(IMAGE, description.spec(source="paddleseg", architecture="x", outputs=4)[0]).tensor[0]
    expected = (rescale(IMAGE[:, :, ::-1].copy(), (640, 256), 32).astype(np.float32) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(prepared, expected.transpose(2, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "geometry"),
    [
        ({}, []),
        ({"target_size": -1}, []),
        ({"target_size": [100, 90], "keep_ratio": False}, [("resize", 128, 96)]),
        ({"target_size": 512, "size_divisor": None}, [("resize_by_edge", 512, 1)]),
    ],
)
def test_paddlex_has_defaults_of_its_own(transform: dict[str, Any], geometry: list[Any]) -> None:
    resize = {"type": "Resize"} | transform
    said, _ = read_transforms([resize, {"type": "Normalize"}], "inference.yml", paddlex=True)
    found = [
        (step["kind"], step.get("width", step.get("short")), step.get("height", step.get("multiple_of")))
        for step in said["geometry"]
    ]
    assert found == geometry
    with pytest.raises(UnsupportedError, match="'ResizeByLong' is not provided; known are Normalize, Resize"):
        read_transforms([{"type": "ResizeByLong"}], "inference.yml", paddlex=True)
