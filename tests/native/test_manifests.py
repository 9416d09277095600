"""Every value of a manifest is read in C as in Python: the same is refused, in the same words."""

from __future__ import annotations

import copy
import json
import operator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import make_spec
from segship.core.errors import validation_line
from segship.core.manifest import Manifest
from segship.core.mistakes import ValidationError
from segship.core.plan import EmbeddedSpec
from support.native import NativeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.native import Library

SPEC = Path(__file__).parents[2] / "spec"
DIGEST = {"size": 3, "sha256": "0" * 64}
READING = {"kind": "read", "where": "config.py: mean"}
VALUES = ("channel_order", "normalization", "size_rule", "padding", "inference", "output", "threshold", "classes")
ACCURACY = {"mIoU": 50.5, "IoU": {"road": 50}}
STEPS = [
    {"kind": "resize", "width": 8, "height": 9, "keep_ratio": True, "interpolation": "pillow_bicubic"},
    {"kind": "resize_shortest_edge", "size": 8, "max_size": 90},
    {"kind": "resize_to_multiple", "multiple_of": 8},
    {"kind": "resize_by_edge", "short": 8, "long": None, "multiple_of": 2},
    {"kind": "resize_edges", "short": 8, "long": 9, "enlarge_only": False},
    {"kind": "resize_near", "width": 8, "height": 9, "multiple_of": 4},
    {"kind": "resize_within", "width": 8, "height": 9, "multiple_of": 4},
    {"kind": "letterbox", "width": 8, "height": 9, "value": [1, 2.5, 3]},
    {"kind": "pad", "multiple_of": 8, "value": [0], "crop": True},
]
WHOLE: dict[str, Any] = {
    "schema_version": 2,
    "spec": {
        "source": "python",
        "architecture": "Net",
        "classes": ["no road", "road"],
        "palette": [[1, 2, 3], [4, 5, 255]],
        "geometry": STEPS,
        "normalization": {"channel_order": "bgr", "mean": [1, 2, 3.5], "std": [1, 2, 3], "arithmetic": "float64"},
        "pixels": "uint8",
        "padding": {"multiple_of": 8, "value": -1.5},
        "slide": {"crop": [64, 64], "stride": [32, 48], "spread": True},
        "align_corners": True,
        "threshold": 0.25,
    },
    "sizes": {"fixed": [64, 64], "multiple_of": 2, "minimum": [1, 8], "batch": 4},
    "target": {
        "backend": "onnxruntime",
        "precision": "int8",
        "shape": {"minimum": [1, 2], "maximum": [3, 4], "typical": None, "own": False},
        "options": {"workspace": 3, "fast": True, "name": "x", "share": 0.5},
    },
    "embed": [],
    "inputs": [{"name": "image", "dtype": "float32", "shape": ["batch", 3, "height", "width"]}],
    "outputs": [{"name": "logits", "dtype": "float32", "shape": ["batch", 2, 8, 8]}],
    "files": {"model.onnx": DIGEST},
    "options": {"opset": [1, {"a": None}]},
    "checks": [
        {"input": [1, 3, 8, 8], "image": "scene", "labels_equal": 1, "max_difference": None, "classes": {"road": 0.5}}
    ],
    "quantization": {
        "images": 3,
        "labelled": 2,
        "layers": 1,
        "kept": ["conv"],
        "worth": 0.5,
        "agreement": 0.99,
        "before": ACCURACY,
        "after": {"mIoU": None, "IoU": {}},
    },
    "failures": ["none"],
    "origin": {"config.py": DIGEST},
    "provenance": {**dict.fromkeys((*VALUES, "palette"), READING), "ignored": ["x"], "random_weights": False},
    "versions": {"torch": "2.13"},
    "notes": ["a note"],
    "state": "verified on the engine",
    "simulator": None,
    "tta": {
        "views": [
            {"geometry": STEPS[:1], "factor": {"factor": 0.5, "rounding": "down"}, "turns": 3, "flip": "vertical"}
        ],
        "padding": {"height": 8, "width": 8},
    },
    "tuned": {
        "processor": {"name": "x", "features": ["AVX2"]},
        "processors": 2,
        "threads": 2,
        "versions": {"onnxruntime": "1"},
        "milliseconds": 3.5,
    },
    "adopted": {
        "kit": "0" * 64,
        "sealed": True,
        "inputs": 3,
        "images": 2,
        "agreement": 0.5,
        "results": [{"batch": 1, "figures": {"aAcc": 1, "mIoU": 2, "mAcc": None}, "images_per_second": 3.5}],
    },
}
ODD = (
    *(None, True, 0, 1, -1, 8.0, 1.5, 256, 5000, 40000, 2**31, 2**53 + 1, 2**63, 1e31, -1e31),
    *("x", "it's", "a\x00b", "a\x1b[2J\u2028\x85", "é" * 256, "x" * 5000, "0" * 64, "stored"),
    *([], [1, 2], [1, 2, 3], ["a", None], {}, {"kind": 3}, {"kind": "pad"}, {"a\x07": 1}, {"x" * 256: {}}),
)


LEAST = {name: WHOLE[name] for name in ("schema_version", "target", "inputs", "outputs", "files")} | {
    "spec": {name: WHOLE["spec"][name] for name in ("source", "architecture", "classes", "palette")}
}


def places(value: Any, path: tuple[str | int, ...], seen: set[int]) -> Iterator[tuple[str | int, ...]]:
    """The path of every value within, of those that stand twice once; of items that are alike, the first."""
    yield path
    if id(value) in seen or not isinstance(value, (dict, list)):
        return
    seen.add(id(value))
    items = value if isinstance(value, dict) else dict(enumerate(value if value is STEPS else value[:1]))
    for name, item in items.items():
        yield from places(item, (*path, name), seen)


def changed(path: tuple[str | int, ...], change: Callable[[Any, Any], object]) -> Any:
    """The manifest with one value changed; ``change`` is given what holds it, and its name there."""
    made: Any = {**LEAST, path[0]: copy.deepcopy(WHOLE[str(path[0])])}
    holder = made
    for name in path[:-1]:
        holder = holder[name]
    change(holder, path[-1])
    return made


def python_says(data: Any, kind: type[EmbeddedSpec] = Manifest) -> str:
    try:
        kind.model_validate(data)
    except ValidationError as error:
        return f"manifest.json is not valid: {validation_line(error)}; export the package again"
    return "accepted"


def native_says(library: Library, text: str) -> str:
    try:
        library.spec(text)
    except NativeError as error:
        return str(error)
    return "accepted"


def is_manifest(data: Any) -> bool:
    return isinstance(data, dict) and not {"files", "inputs", "outputs"}.isdisjoint(data)


def compare(library: Library, data: Any) -> None:
    found = native_says(library, json.dumps(data))
    expected = python_says(data, Manifest if is_manifest(data) else EmbeddedSpec)
    if "has schema version" not in found:
        assert found == expected


def test_the_rules_are_those_of_the_records() -> None:
    committed = make_spec.RULES.read_text(encoding="utf-8")
    assert committed == make_spec.rules(), "the manifest changed: run python dev/make_spec.py"


def test_what_is_right_is_read(library: Library) -> None:
    assert native_says(library, json.dumps(WHOLE)) == python_says(WHOLE) == "accepted"


@pytest.mark.parametrize("field", WHOLE)
def test_each_odd_value_is_read_or_refused_as_in_python(library: Library, field: str) -> None:
    for path in places(WHOLE[field], (field,), set()):
        for value in ODD:
            compare(library, changed(path, partial(put, value)))
        compare(library, changed(path, operator.delitem))
        compare(library, changed((*path, "colour"), partial(put, 1)))


@pytest.mark.parametrize("own", [{"clip": [[0, 9]] * 3}, {"statistics": ["range"] * 3}])
def test_values_scaled_by_an_images_own_are_of_single_precision(library: Library, own: dict[str, Any]) -> None:
    data = changed(("spec", "normalization"), lambda holder, name: holder[name].update(own))
    assert "float32" in python_says(data)
    compare(library, data)


def put(value: Any, holder: Any, name: str | int) -> None:
    """Write a value over another, or beside those of a record."""
    if isinstance(holder, dict) or isinstance(name, int):
        holder[name] = value
