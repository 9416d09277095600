"""Manifests whose digest fits and whose values do not: each is refused in one line, quickly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from segship.core.errors import PackageError
from segship.core.manifest import MANIFEST, Comparison, Manifest, read_manifest, seal
from segship.core.plan import SCHEMA_VERSION
from support.manifests import edit_manifest

HUGE, NAN, INFINITE = 10**6, float("nan"), float("inf")
RESIZE = {"kind": "resize", "width": HUGE, "height": HUGE}
PORT = {"name": "image", "dtype": "float32", "shape": []}


def changed(path: str, value: Any) -> Any:
    """A change of the value at a path of keys and indices."""

    def change(values: Any) -> None:
        *keys, last = (int(key) if key.isdigit() else key for key in path.split("/"))
        for key in keys:
            values = values[key]
        values[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", "9"), ("schema_version", True), ("schema_version", 0), ("schema_version", -1),
        ("schema_version", None), ("schema_version", 1.5),
        ("files", {}), ("files/model.onnx/size", -1), ("files/model.onnx/sha256", "0" * 63),
        ("files", {"a\0b": {"size": 1, "sha256": "0" * 64}}), ("files", {"a" * 256: {"size": 1, "sha256": "0" * 64}}),
        ("files", {"": {"size": 1, "sha256": "0" * 64}}), ("files", {".": {"size": 1, "sha256": "0" * 64}}),
        ("inputs", []), ("inputs", [PORT]), ("outputs", []), ("outputs", [PORT]),
        ("outputs/0/shape", ["n", 3, "h", "w"]), ("outputs/0/shape", ["n", 400, "h", "w"]),
        ("target/precision", "fp7"), ("target/backend", "a" * 300), ("target/options", {"a": [1]}),
        ("target/shape", {"minimum": [HUGE, HUGE], "maximum": [HUGE, HUGE]}),
        ("spec/classes", []), ("spec/classes", ["a", "b\n"]), ("spec/classes", ["a", "\ud800"]),
        ("spec/classes", ["a", "b" * 256]), ("spec/classes", ["x"] * 400), ("spec/classes", ["a", "\x1b[31m"]),
        ("spec/palette", [[0, 0, 0], [0, 0, 256]]),
        ("spec/normalization/mean", [NAN] * 3), ("spec/normalization/mean", [INFINITE] * 3),
        ("spec/normalization/mean", [1e300] * 3), ("spec/normalization/mean", []),
        ("spec/normalization/std", [0.0] * 3), ("spec/normalization/std", [NAN] * 3),
        ("spec/normalization/std", [1e-300] * 3), ("spec/threshold", NAN), ("spec/threshold", INFINITE),
        ("spec/padding", {"multiple_of": HUGE}), ("spec/padding", {"height": HUGE, "width": HUGE}),
        ("spec/padding", {"multiple_of": 32, "value": NAN}),
        ("spec/geometry", [RESIZE]), ("spec/geometry", [{"kind": "pad", "multiple_of": 100, "value": []}]),
        ("spec/geometry", [{"kind": "pad", "multiple_of": 100, "value": [INFINITE]}]),
        ("spec/geometry", [{"kind": "letterbox", "width": HUGE, "height": 1}]),
        ("spec/geometry", [{"kind": "resize", "width": 1, "height": 1}] * 17),
        ("spec/slide", {"crop": [HUGE, HUGE], "stride": [1, 1]}),
        ("sizes", {"multiple_of": HUGE}), ("sizes", {"minimum": [HUGE, HUGE]}), ("sizes", {"fixed": [HUGE, 1]}),
        ("options", {"a": "b" * 20_000}), ("embed", ["pre", "post", "pre"]), ("notes", ["x"] * 1001),
        ("checks", [{"input": [1, 3, 8, 8], "image": "x", "labels_equal": NAN}]),
        ("checks", [{}] * 15_000), ("checks", [{}] * 30_000), ("something", 1),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_in_one_line(package: Path, path: str, value: Any) -> None:
    edit_manifest(package, changed(path, value))
    with pytest.raises(PackageError) as caught:
        read_manifest(package)
    assert len(str(caught.value)) < 4000
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("end", [b"", b"\n", b" "])
def test_no_byte_is_added_or_left_out(package: Path, end: bytes) -> None:
    raw = (package / MANIFEST).read_bytes()
    (package / MANIFEST).write_bytes(raw[:-1] if not end else raw + end)
    with pytest.raises(PackageError, match="it does not end in its digest"):
        read_manifest(package)


def test_a_manifest_of_version_1_is_read_without_a_digest(package: Path) -> None:
    values = json.loads((package / MANIFEST).read_text())
    del values["digest"], values["provenance"]
    (package / MANIFEST).write_text(json.dumps(values | {"schema_version": 1}))
    assert read_manifest(package).digest is None
    (package / MANIFEST).write_text(json.dumps(values | {"schema_version": SCHEMA_VERSION}))
    with pytest.raises(PackageError, match="does not end in its digest"):
        read_manifest(package)


def test_what_is_written_is_what_is_read(package: Path) -> None:
    assert read_manifest(package).write(package) == read_manifest(package)
    raw = (package / MANIFEST).read_bytes()
    assert seal(raw[: raw.rindex(b",\n")].decode() + "\n}") == raw


def test_undefined_differences_come_back_as_undefined() -> None:
    check = Comparison(input=(1, 3, 8, 8), image="x", labels_equal=0.5, max_difference=NAN, mean_difference=NAN)
    text = check.model_dump_json()
    assert '"max_difference":null' in text
    again = Comparison.model_validate_json(text)
    assert again.max_difference != again.max_difference


@pytest.mark.parametrize(("name", "content"), [("weights.dat", b"network of weights.dat"), ("model.bin", b"network")])
def test_a_file_that_the_engine_may_read_and_no_digest_guards_is_refused(
    package: Path,
    name: str,
    content: bytes,
) -> None:
    (package / "notes.txt").write_text("dear")
    assert read_manifest(package).files
    (package / "model.onnx").write_bytes(content)
    manifest: Manifest = read_manifest_without_digests(package)
    manifest.write(package)
    (package / name).write_bytes(b"1234")
    with pytest.raises(PackageError, match=rf"holds {name}, which its engine may read"):
        read_manifest(package)


def read_manifest_without_digests(folder: Path) -> Manifest:
    from segship.core.files import digest

    manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    return manifest.model_copy(update={"files": {"model.onnx": digest(folder / "model.onnx")}})
