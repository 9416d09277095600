"""One file of a package, alone and under another name: the same masks, or a reason."""

from __future__ import annotations

import importlib.util
import json
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from segship import Segmentor, export
from segship.core.errors import BackendError, PackageError, UnsafeFileError
from segship.core.manifest import read_manifest
from segship.core.plan import METADATA, Int8
from segship.runtime.package import can_open, find_package
from support.commands import refused, segship
from support.trained import META, write_trained

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

TARGETS = [
    ("onnxruntime_dynamic", ".onnx"),
    ("openvino_dynamic", ".xml"),
    ("torchscript_dynamic", ".pt"),
]
MORE = [
    ("onnxruntime_static-64x96", ".onnx"),
    ("onnxruntime-fp16_dynamic", ".onnx"),
    ("openvino-bf16_dynamic", ".xml"),
    ("torch_dynamic", ".pt2"),
    ("onnxruntime-int8_dynamic", ".onnx"),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    return np.asarray(cv2.resize(pixels, (131, 77), interpolation=cv2.INTER_CUBIC), np.uint8)


def alone(package: Path, suffix: str, to: Path) -> Path:
    """The engine's files, and nothing else of a package, called otherwise."""
    to.mkdir()
    for name in read_manifest(package).files:
        shutil.copy(package / name, to / f"street{Path(name).suffix}")
    return to / f"street{suffix}"


@pytest.mark.filterwarnings("ignore:int8 is calibrated on 1 images", "ignore:this processor has no bfloat16")
@pytest.mark.parametrize(
    ("target", "suffix"), [*TARGETS, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)]
)
def test_a_lone_file_gives_the_packages_masks(
    target: str, suffix: str, trained: tuple[Path, Path], image: np.ndarray, tmp_path: Path
) -> None:
    if "int8" in target:
        pytest.importorskip("nncf", reason="int8 needs segship[int8]")
    if "openvino" in target:
        pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    calibration = tmp_path / "images"
    calibration.mkdir()
    cv2.imwrite(str(calibration / "a.png"), image)
    int8 = Int8(calibration=calibration) if "int8" in target else None
    package = export(*trained, tmp_path / "package", target=target, int8=int8, allow_inexact=True).path
    file = alone(package, suffix, tmp_path / "alone")
    assert can_open(file)
    trust = suffix == ".pt2"
    whole, lone = Segmentor(package, trust=trust), Segmentor(file, trust=trust)
    assert np.array_equal(lone(image), whole(image))
    assert lone.classes == META["classes"]
    assert lone.spec == whole.spec
    assert lone.manifest.sizes == whole.manifest.sizes
    assert lone.manifest.target == whole.manifest.target


@pytest.fixture(scope="module")
def lone_onnx(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onnx")
    return alone(export(*trained, folder / "package").path, ".onnx", folder / "alone")


def test_the_commands_take_a_lone_file_without_torch(lone_onnx: Path, image: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    done = segship("predict", lone_onnx, tmp_path / "images", "--to", tmp_path / "masks", torch=False)
    assert done.returncode == 0, done.stderr
    assert "road" in segship("info", lone_onnx, torch=False).stdout
    labelled = ("--images", tmp_path / "images", "--labels", tmp_path / "masks")
    assert "mIoU 100.00" in segship("evaluate", lone_onnx, *labelled, torch=False).stdout
    done = segship("benchmark", lone_onnx, "--duration", 0, torch=False)
    assert done.returncode == 0, done.stderr


def rewritten(lone: Path, to: Path, value: str | None) -> Path:
    model = onnx.load(lone)
    del model.metadata_props[:]
    if value is not None:
        onnx.helper.set_model_props(model, {METADATA: value})
    onnx.save_model(model, to)
    return to


def test_a_file_that_says_nothing_is_an_error_that_says_what_to_do(lone_onnx: Path, tmp_path: Path) -> None:
    file = rewritten(lone_onnx, tmp_path / "street.onnx", None)
    assert not can_open(file)
    with pytest.raises(PackageError, match=r"street\.yaml beside it .*segship export \S*street\.onnx OUT"):
        Segmentor(file)


@pytest.mark.parametrize("value", ["", "[]", "{", "[" * 100_000, '{"spec": {"classes": 1}}'])
def test_metadata_that_is_not_segships_is_an_error(lone_onnx: Path, value: str, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is not what Segship writes"):
        Segmentor(rewritten(lone_onnx, tmp_path / "a.onnx", value))


def test_metadata_of_a_later_version_asks_for_it(lone_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="pip install -U segship"):
        Segmentor(rewritten(lone_onnx, tmp_path / "a.onnx", json.dumps({"schema_version": 99})))


def test_what_is_no_engine_is_an_error(tmp_path: Path) -> None:
    for name in ("a.onnx", "a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"nothing")
        assert not can_open(tmp_path / name)
        with pytest.raises(BackendError, match=name.replace(".", r"\.")):
            Segmentor(tmp_path / name)
    with pytest.raises(PackageError, match="no such directory"):
        Segmentor(tmp_path / "b.onnx")


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


def hostile_pt2(harmless: Path, to: Path, marker: Path) -> Path:
    """A program whose first weight is a pickle that makes a file."""
    with zipfile.ZipFile(harmless) as source, zipfile.ZipFile(to, "w") as target:
        contents = {entry: source.read(entry) for entry in source.namelist()}
        where = next(entry for entry in contents if entry.endswith("weights_config.json"))
        config = json.loads(contents[where])
        first = next(iter(config["config"].values()))
        first["use_pickle"] = True
        contents[where] = json.dumps(config).encode()
        contents[next(entry for entry in contents if entry.endswith(f"/weights/{first['path_name']}"))] = pickle.dumps(
            Hostile(marker)
        )
        for entry, content in contents.items():
            target.writestr(entry, content)
    return to


@pytest.fixture(scope="module")
def program(trained: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(*trained, tmp_path_factory.mktemp("torch") / "package", target="torch_dynamic").path


def test_a_torch_program_can_run_code_and_is_opened_only_when_it_is_trusted(program: Path, tmp_path: Path) -> None:
    marker, file = tmp_path / "it-ran", tmp_path / "hostile.pt2"
    hostile_pt2(program / "model.pt2", file, marker)
    load = f"import torch; torch.export.load({str(file)!r})"
    subprocess.run([sys.executable, "-c", load], check=False, capture_output=True)
    assert marker.exists(), "torch.export.load no longer runs pickles: the rule can be relaxed"
    marker.unlink()
    with pytest.raises(UnsafeFileError, match=r"holds? pickles, which torch runs.*trust=True"):
        Segmentor(file)
    assert find_package(file).manifest.spec.classes == META["classes"]  # to look at it is safe
    assert not marker.exists()


def test_a_digest_makes_a_torch_package_no_safer(program: Path, image: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnsafeFileError, match="no digest can make safe"):
        Segmentor(program)
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), image)
    for command in (("predict", program, tmp_path / "images", "--to", tmp_path / "masks"), ("benchmark", program)):
        assert "open it with --trust" in refused(segship(*command))
    done = segship("predict", program, tmp_path / "images", "--to", tmp_path / "masks", "--trust")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("coremltools") is None, reason="Core ML's tools are not installed here")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_a_core_ml_program_says_what_it_is_on_every_system(trained: tuple[Path, Path], tmp_path: Path) -> None:
    # Only macOS can compare it.
    package = export(*trained, tmp_path / "package", target="coreml_static-64x96", allow_inexact=True).path
    file = tmp_path / "alone" / "street.mlpackage"
    shutil.copytree(package / "model.mlpackage", file)
    found = find_package(file)
    assert found.manifest.spec == read_manifest(package).spec
    assert list(found.manifest.files) == [name.replace("model.", "street.", 1) for name in read_manifest(package).files]
