"""The golden vectors: Python makes what they hold, and so does the text, written down a second time."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segship import Segmentor
from segship.core.spec import ModelSpec
from segship.vision import tiling, upsample
from segship.vision.preprocess import prepare
from spec import plain

SPEC = Path(__file__).parents[2] / "spec"
VECTORS = SPEC / "vectors"
INDEX = json.loads((VECTORS / "index.json").read_text(encoding="utf-8"))
CASES = {case["name"]: case for case in INDEX["cases"]}
PACKAGES = {package["name"]: package for package in INDEX["packages"]}

each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
each_package = pytest.mark.parametrize("package", PACKAGES.values(), ids=PACKAGES)


def read(entry: dict[str, Any]) -> np.ndarray:
    """A file of the vectors as the index describes it, read without any library for images."""
    data = (VECTORS / entry["file"]).read_bytes()
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    if not entry["file"].endswith(".raw"):
        kind, width, height, most = data.split(maxsplit=4)[:4]
        assert (kind, int(most)) == (
            b"P6" if len(entry["shape"]) == 3 else b"P5",
            255 if dtype.itemsize == 1 else 65535,
        )
        assert [int(height), int(width)] == entry["shape"][:2]
        data = data[len(b"\n".join((kind, width + b" " + height, most))) + 1 :]
        dtype = dtype.newbyteorder(">")
    return np.frombuffer(data, dtype).reshape(entry["shape"]).astype(np.dtype(entry["dtype"]))


def assert_input(tensor: np.ndarray, entry: dict[str, Any]) -> None:
    assert tensor.dtype == np.float32
    assert list(tensor.shape) == entry["shape"]
    if "sha256" in entry:
        assert hashlib.sha256(tensor.astype("<f4").tobytes()).hexdigest() == entry["sha256"]
    else:
        np.testing.assert_allclose(tensor, read(entry), rtol=0, atol=entry["tolerance"])


def assert_scores(scores: np.ndarray, entry: dict[str, Any]) -> None:
    found = scores.reshape(len(scores), -1)[:, :: entry["every"]]
    np.testing.assert_allclose(found, read(entry), rtol=0, atol=entry["tolerance"])


def steps_of(case: dict[str, Any]) -> tuple[upsample.Step, ...]:
    return tuple(
        upsample.Step(*map(tuple, (step["size"], step["crop"], step["origin"])), nearest=step.get("nearest", False))
        for step in case["steps"]
    )


@each_case
def test_python_prepares_the_input_of_every_vector(case: dict[str, Any]) -> None:
    spec = ModelSpec.model_validate(case["spec"])
    prepared = prepare(read(case["image"]), spec, channel_order="rgb")
    assert_input(prepared.tensor, case["input"])
    whole = [dataclasses.replace(step, crop=step.crop or step.size) for step in prepared.steps]
    assert tuple(whole) == steps_of(case)
    if spec.slide:
        windows = tiling.plan(prepared.tensor.shape[2:], spec.slide)
        assert case["windows"] == {
            "window": list(windows.window),
            "tops": list(windows.tops),
            "lefts": list(windows.lefts),
        }


@each_case
def test_python_decides_every_vector(case: dict[str, Any]) -> None:
    spec, logits, steps = ModelSpec.model_validate(case["spec"]), read(case["logits"]), steps_of(case)
    sigmoid = spec.output == "sigmoid"
    threshold = spec.threshold if sigmoid else None
    how = {"align_corners": spec.align_corners, "activated": spec.returns == "probabilities"}
    if spec.slide:
        windows = tiling.plan(tuple(case["input"]["shape"][2:]), spec.slide)
        mask = tiling.labels(logits, windows, steps, threshold=threshold, **how)
        scores = tiling.scores(logits, windows, steps, sigmoid=sigmoid, **how)
    else:
        mask = upsample.labels(logits[0], steps, threshold=threshold, **how)
        scores = upsample.scores(logits[0], steps, sigmoid=sigmoid, **how)
    expected = read(case["mask"])
    assert mask.dtype == expected.dtype
    np.testing.assert_array_equal(mask, expected)
    assert_scores(scores, case["scores"])


@each_package
def test_python_runs_every_package(package: dict[str, Any]) -> None:
    image, expected = read(package["image"]), read(package["mask"])
    with Segmentor(VECTORS / package["package"]) as segmentor:
        mask = segmentor(image)
        if "scores" in package:
            assert_scores(segmentor.scores(image), package["scores"])
    assert mask.dtype == expected.dtype
    np.testing.assert_array_equal(mask, expected)


@each_case
def test_the_text_makes_every_vector(case: dict[str, Any]) -> None:
    spec = case["spec"]
    tensor, steps = plain.network_input(read(case["image"]), spec)
    assert_input(tensor, case["input"])
    assert steps == case["steps"]
    values = plain.resized_logits(read(case["logits"]), spec, tensor.shape[2:], steps)
    with np.errstate(invalid="ignore"):
        mask, scores = plain.decided(values, spec)
    np.testing.assert_array_equal(mask, read(case["mask"]))
    assert_scores(scores, case["scores"])


def test_every_file_is_listed() -> None:
    entries = [entry for record in (*CASES.values(), *PACKAGES.values()) for entry in record.values()]
    listed = {entry["file"] for entry in entries if isinstance(entry, dict) and "file" in entry}
    folders = {package["package"] for package in PACKAGES.values()}
    found = {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*") if path.is_file()}
    found = {name for name in found if name.rpartition("/")[0] not in folders}
    assert found == listed | {"index.json"}
