"""OpenVINO compiles a package once: later starts read what it kept, and compute the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import segship
from segship.core import files
from segship.core.compiled import FOLDER
from support.manifests import edit_manifest

openvino = pytest.importorskip("openvino")
WHOLE = Path(__file__).parents[2] / "spec" / "vectors" / "packages" / "whole"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "package"
    shutil.copytree(WHOLE, folder)
    openvino.save_model(openvino.convert_model(WHOLE / "model.onnx"), folder / "model.xml", compress_to_fp16=False)
    (folder / "model.onnx").unlink()

    def change(manifest: dict[str, object]) -> None:
        manifest["target"] = {"backend": "openvino"}
        names = ("model.xml", "model.bin")
        manifest["files"] = {name: files.digest(folder / name).model_dump() for name in names}

    edit_manifest(folder, change)
    return folder


def test_a_second_start_reads_what_the_first_compiled(package: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    kept = tmp_path / "cache" / "segship" / FOLDER
    with segship.Segmentor(package, cache=False) as segmentor:
        expected = segmentor(image)
    assert not kept.exists()
    for _ in range(2):
        with segship.Segmentor(package) as segmentor:
            np.testing.assert_array_equal(segmentor(image), expected)
            (blob,) = kept.rglob("*.blob")
    before = blob.stat().st_mtime_ns
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    with segship.Segmentor(package) as segmentor:
        np.testing.assert_array_equal(segmentor(image), expected)
    (again,) = kept.rglob("*.blob")
    assert again.stat().st_mtime_ns > before
    with segship.Segmentor(package, threads=1) as segmentor:
        np.testing.assert_array_equal(segmentor(image), expected)
    assert len(list(kept.iterdir())) == 2
