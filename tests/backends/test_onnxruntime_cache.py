"""ONNX Runtime optimises a package once: later starts read what it kept, and compute the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import segship
from segship.core.compiled import FOLDER

WHOLE = Path(__file__).parents[2] / "spec" / "vectors" / "packages" / "whole"
IMAGE = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "segship" / FOLDER


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that sessions are opened of."""
    names: list[str] = []

    class Watched(onnxruntime.InferenceSession):
        def __init__(self, path: str, *arguments: object, **options: object) -> None:
            super().__init__(path, *arguments, **options)
            names.append(Path(path).name)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Watched)
    return names


def mask(package: Path = WHOLE, *, cache: bool = True) -> list[object]:
    with segship.Segmentor(package, cache=cache) as segmentor:
        return segmentor(IMAGE).tolist()


def test_a_second_start_reads_what_the_first_optimised(kept: Path, opened: list[str]) -> None:
    expected = mask(cache=False)
    assert not kept.exists()
    assert mask() == mask() == expected
    assert opened == ["model.onnx", "model.onnx", "optimised.onnx"]


def test_a_kept_graph_that_was_changed_is_made_again(kept: Path, opened: list[str]) -> None:
    expected = mask()
    (optimised,) = kept.rglob("optimised.onnx")
    optimised.write_bytes(optimised.read_bytes().replace(b"Conv", b"Cone"))
    assert mask() == mask() == expected
    assert opened == ["model.onnx", "model.onnx", "optimised.onnx"]


@pytest.mark.usefixtures("kept")
def test_what_cannot_be_kept_or_read_again_stops_nothing(opened: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = mask(cache=False)
    monkeypatch.setattr("segship.backends.onnxruntime._OPTIMISED", "nowhere/optimised.onnx")
    assert mask() == expected
    assert opened == ["model.onnx"] * 2


def test_a_damaged_package_is_refused_whatever_is_kept(kept: Path, tmp_path: Path) -> None:
    package = shutil.copytree(WHOLE, tmp_path / "package")
    mask(package)
    assert list(kept.rglob("optimised.onnx"))
    (package / "model.onnx").write_bytes((package / "model.onnx").read_bytes() + b"?")
    with pytest.raises(segship.PackageError, match="was changed"):
        mask(package)
