"""Packages opened in C: the masks, the scores and the messages of Python."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import segship
from segship.core import files
from segship.core.errors import PackageError, SegshipError
from support.manifests import edit_manifest, write_manifest
from support.native import NativeError, Segmentor

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from support.native import Library

VECTORS = Path(__file__).parents[2] / "spec" / "vectors"
PACKAGES = sorted(path.parent.name for path in VECTORS.glob("packages/*/manifest.json"))
WHOLE = VECTORS / "packages" / "whole"
HOSTILE = json.loads((VECTORS.parent / "hostile.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def runtime() -> str:
    """Folder of ONNX Runtime's library."""
    onnxruntime = pytest.importorskip("onnxruntime")
    return str(Path(onnxruntime.__file__).parent / "capi")


def image_for(package: Path, size: tuple[int, int] = (61, 83)) -> NDArray[Any]:
    bands = json.loads((package / "manifest.json").read_text())["spec"]["normalization"]["mean"]
    stored = json.loads((package / "manifest.json").read_text())["spec"].get("pixels") == "multispectral"
    return np.random.default_rng(0).integers(0, 256, (*size, len(bands) if stored else 3), np.uint8)


@pytest.mark.parametrize("name", PACKAGES)
def test_masks_and_scores_are_pythons(library: Library, runtime: str, name: str) -> None:
    package = VECTORS / "packages" / name
    image = image_for(package)
    native = Segmentor(library, package, runtime=runtime, threads=1)
    assert native.engine.startswith("ONNX Runtime 1.")
    with segship.Segmentor(package, threads=1) as python:
        assert (native.classes, native.palette) == (python.classes, python.spec.palette)
        np.testing.assert_array_equal(native.mask(image), python(image))
        try:
            expected = python.scores(image)
        except SegshipError as error:
            with pytest.raises(NativeError, match=re.escape(str(error))) as caught:
                native.scores(image)
            assert caught.value.kind == "unsupported"
        else:
            np.testing.assert_allclose(native.scores(image), expected, atol=1e-6)


def test_threads_share_a_segmentor(library: Library, runtime: str) -> None:
    native = Segmentor(library, VECTORS / "packages" / "slide", runtime=runtime, threads=1)
    images = [image_for(WHOLE, (40 + 7 * number, 90 - 5 * number)) for number in range(6)]
    expected = [native.mask(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for found, mask in zip(pool.map(native.mask, images * 4), expected * 4, strict=True):
            np.testing.assert_array_equal(found, mask)


def test_openvino_gives_the_same_masks_from_any_thread(library: Library, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    package = tmp_path / "package"
    package.mkdir()
    openvino.save_model(openvino.convert_model(WHOLE / "model.onnx"), package / "model.xml", compress_to_fp16=False)
    manifest = json.loads((WHOLE / "manifest.json").read_text())
    manifest["target"]["backend"] = "openvino"
    manifest["files"] = {name: digest(package / name) for name in ("model.xml", "model.bin")}
    write_manifest(package, manifest)
    native = Segmentor(library, package, runtime=str(Path(openvino.__file__).parent / "libs"), threads=1)
    assert native.engine.startswith("OpenVINO 20")
    images = [image_for(WHOLE, (50 + 9 * number, 70)) for number in range(4)]
    with segship.Segmentor(package) as python, ThreadPoolExecutor(3) as pool:
        for found, image in zip(pool.map(native.mask, images * 3), images * 3, strict=True):
            np.testing.assert_array_equal(found, python(image))
    (package / "model.xml").write_bytes(b"<net/>")
    manifest["files"]["model.xml"] = digest(package / "model.xml")
    write_manifest(package, manifest)
    with pytest.raises(NativeError, match=f"^OpenVINO cannot open {package}/model.xml: ") as caught:
        Segmentor(library, package)
    assert caught.value.kind == "backend"
    assert "\n" not in str(caught.value)


def digest(path: Path) -> dict[str, Any]:
    return files.digest(path).model_dump()


def edit(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """A change of the manifest."""
    return lambda package: edit_manifest(package, change)


def put(*path: str | int, value: Any) -> Callable[[Path], None]:
    """Set a field of the manifest."""

    def change(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        manifest[path[-1]] = value

    return edit(change)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "no folder": shutil.rmtree,
    "no manifest": lambda package: (package / "manifest.json").unlink(),
    "changed file": lambda package: (package / "model.onnx").write_bytes(b"changed"),
    "missing file": lambda package: (package / "model.onnx").unlink(),
    "changed manifest": lambda package: flip(package / "manifest.json", 298),
    "changed digest": lambda package: flip(package / "manifest.json", -10),
    "one byte less": lambda package: cut(package / "manifest.json"),
    "a list": lambda package: (package / "manifest.json").write_text("[1, 2]"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_broken_package_is_told_as_python_tells_it(library: Library, tmp_path: Path, kind: str) -> None:
    package = tmp_path / "package"
    shutil.copytree(WHOLE, package)
    DAMAGES[kind](package)
    require_told_alike(library, package)


@pytest.mark.parametrize("case", HOSTILE["changes"], ids=lambda case: case["name"])
def test_a_hostile_manifest_is_told_as_python_tells_it(library: Library, tmp_path: Path, case: dict[str, Any]) -> None:
    shutil.copytree(WHOLE, tmp_path, dirs_exist_ok=True)
    edit_manifest(tmp_path, lambda manifest: change(manifest, case))
    require_told_alike(library, tmp_path)


def change(manifest: Any, case: dict[str, Any]) -> None:
    """Do what a case of spec/hostile.json says."""
    *path, last = case["put"] if "put" in case else case["take"]
    for name in path:
        manifest = manifest[name]
    if "take" in case:
        del manifest[last]
    else:
        manifest[last] = expanded(case["value"])


def expanded(value: Any) -> Any:
    """The value, what is to be repeated in it repeated."""
    if isinstance(value, list):
        return [expanded(item) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["times"]:
        count, item = value["times"]
        return count * item
    return {name: expanded(item) for name, item in value.items()}


def require_told_alike(library: Library, package: Path | str) -> None:
    with pytest.raises(SegshipError) as expected:
        segship.Segmentor(package)
    with pytest.raises(NativeError) as caught:
        Segmentor(library, package)
    assert str(caught.value) == str(expected.value)
    assert caught.value.kind == "package"


@pytest.mark.parametrize("text", [*HOSTILE["texts"], "[" * 100_000, '{"a": ' * 9_000, '"\\ud800"'])
def test_what_is_no_json_is_told_in_one_line(library: Library, tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(PackageError, match=r"manifest.json (is not JSON|was changed)"):
        segship.Segmentor(tmp_path)
    with pytest.raises(NativeError, match=r"manifest.json (is not JSON|was changed)") as caught:
        Segmentor(library, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", "nowhere/", ".//nowhere/./"])
def test_a_folder_is_called_as_python_calls_it(library: Library, name: str) -> None:
    require_told_alike(library, name)


def test_a_link_that_leads_out_is_not_followed(library: Library, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(WHOLE, package)
    shutil.move(package / "model.onnx", tmp_path / "model.onnx")
    (package / "model.onnx").symlink_to(tmp_path / "model.onnx")
    with pytest.raises(NativeError, match=r"holds a link to a file outside itself \(model.onnx\): do not use it"):
        Segmentor(library, package)


def test_an_image_above_the_limit_is_refused(library: Library, runtime: str) -> None:
    native = Segmentor(library, WHOLE, runtime=runtime, max_pixels=5000)
    told = r"^the image is too large: 83x61 pixels are 5,063, the limit is 5,000; shrink it or raise the limit$"
    with pytest.raises(NativeError, match=told):
        native.mask(image_for(WHOLE))


def test_a_limit_of_millions_is_told_in_millions(library: Library, runtime: str) -> None:
    native = Segmentor(library, WHOLE, runtime=runtime, max_pixels=2_000_000)
    for height, told in ((2000, "4 million, the limit is 2 million;"), (1001, "2,002,000, the limit is 2,000,000;")):
        with pytest.raises(NativeError, match=f"2000x{height} pixels are {told}"):
            native.mask(np.zeros((height, 2000, 3), np.uint8))


@pytest.mark.parametrize(
    ("runtime", "message"),
    [
        ("/nowhere/libonnxruntime.so", "cannot open shared object"),
        ("/nowhere", "cannot"),
        (str(VECTORS), "holds no lib"),
    ],
)
def test_a_library_that_is_not_there_is_told(native_build: Path, runtime: str, message: str) -> None:
    # In a process of its own: the first library that is loaded stays.
    program = (
        "import sys; from support.native import Library, NativeError, Segmentor; from pathlib import Path\n"
        "try: Segmentor(Library(Path(sys.argv[1])), Path(sys.argv[2]), runtime=sys.argv[3])\n"
        "except NativeError as error: print(error.kind, error)"
    )

    command = [sys.executable, "-c", program, str(native_build / "libsegship.so"), str(WHOLE), runtime]
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": tests})
    assert done.stdout.startswith("missing ")
    assert message in done.stdout


@pytest.mark.parametrize(("device", "message"), [("cuda", "this library runs ONNX Runtime on cpu, not on cuda")])
def test_other_devices_are_refused_by_name(library: Library, device: str, message: str) -> None:
    with pytest.raises(NativeError, match=message) as caught:
        Segmentor(library, WHOLE, device=device)
    assert caught.value.kind == "unsupported"


def test_other_engines_are_refused_by_name(library: Library, tmp_path: Path) -> None:
    package = tmp_path / "package"
    shutil.copytree(WHOLE, package)
    put("target", "backend", value="tensorrt")(package)
    with pytest.raises(NativeError, match="is a package of tensorrt: this library runs those of onnxruntime, openv"):
        Segmentor(library, package)
