from __future__ import annotations

from pathlib import Path

import pytest

from segship.core.errors import PackageError
from segship.core.manifest import MANIFEST, is_package, read_manifest
from segship.core.plan import SCHEMA_VERSION
from support.manifests import edit_manifest


def edit(package: Path, **changes: object) -> None:
    edit_manifest(package, lambda values: values.update(changes))


def test_a_package_is_read_as_it_was_written(package: Path) -> None:
    manifest = read_manifest(package)
    assert manifest.spec.classes == ("a", "b")
    assert manifest.engine(package).files == ("model.onnx",)


def test_one_flipped_bit_is_found(package: Path) -> None:
    (package / "model.onnx").write_bytes(b"networj")
    with pytest.raises(PackageError, match=r"model.onnx was changed"):
        read_manifest(package)


def test_a_missing_file_is_named(package: Path) -> None:
    (package / "model.onnx").unlink()
    with pytest.raises(PackageError, match=r"model\.onnx is missing"):
        read_manifest(package)


def test_a_newer_schema_asks_for_an_upgrade(package: Path) -> None:
    edit(package, schema_version=SCHEMA_VERSION + 1, something_new=1)
    with pytest.raises(PackageError, match="pip install -U segship"):
        read_manifest(package)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../b", "a\\b", "C:secret"])
def test_a_file_outside_the_package_is_refused(package: Path, name: str) -> None:
    edit(package, files={name: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(PackageError, match="outside itself"):
        read_manifest(package)


def test_a_link_out_of_the_package_is_refused_and_one_inside_is_not(package: Path, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-secret"
    (package / "model.onnx").rename(outside)
    (package / "model.onnx").symlink_to(outside)
    with pytest.raises(PackageError, match="holds a link to a file outside itself"):
        read_manifest(package)
    outside.rename(package / "weights.onnx")
    (package / "model.onnx").unlink()
    (package / "model.onnx").symlink_to("weights.onnx")
    assert list(read_manifest(package).files) == ["model.onnx"]


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"schema_version": 1}'])
def test_what_is_no_manifest_is_refused(package: Path, text: str) -> None:
    (package / MANIFEST).write_text(text)
    with pytest.raises(PackageError):
        read_manifest(package)


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"holds no manifest\.json"):
        read_manifest(tmp_path)
    with pytest.raises(PackageError, match="no such directory"):
        read_manifest(tmp_path / "nowhere")


def test_a_folder_is_a_package_only_if_it_holds_nothing_else(package: Path) -> None:
    assert is_package(package)
    (package / "model.onnx").write_bytes(b"damaged")
    assert is_package(package)
    (package / "notes.txt").write_text("dear")
    assert not is_package(package)


def test_a_manifest_of_something_else_makes_no_package(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"name": "my web app"}')
    assert not is_package(tmp_path)
