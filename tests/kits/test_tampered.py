"""What comes back changed, cut off, mixed up or of another type is refused by every vendor's kit, with the reason."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import segship
from segship.backends import find_backend
from segship.core.errors import InputError, VerificationError
from segship.core.kits import KitJob, has_recipe
from segship.kits import Kit
from segship.kits.kit import Expected
from support.standins import target

TARGETS = {
    "ascend_static-48x80": {"soc": "Ascend310P3"},
    "hailo-int8_static-48x80": {},
    "horizon-int8_static-48x80": {},
    "magicmind_static-48x80": {},
    "pplnn_static-48x80": {},
    "qairt_static-48x80": {},
    "snpe_static-48x80": {},
    "vacc-fp16_static-48x80": {},
}
Change = Callable[[list[Path]], None]


@dataclasses.dataclass(frozen=True)
class Returned:
    """A kit with the network's own answers where the vendor's tools would have written theirs."""

    kit: Kit
    paths: list[Path]
    contents: list[bytes]

    def restore(self) -> None:
        for path, content in zip(self.paths, self.contents, strict=True):
            for suffix in (".npy", ".bin"):
                path.with_suffix(suffix).unlink(missing_ok=True)
            path.write_bytes(content)
        if (another := self.kit.folder / "outputs" / "result_bs5").is_dir():
            another.rmdir()


@pytest.fixture(scope="module", params=TARGETS)
def returned(
    request: pytest.FixtureRequest,
    trained: tuple[Path, Path],
    pictures: segship.Data,
    tmp_path_factory: pytest.TempPathFactory,
) -> Returned:
    chosen = target(request.param, **TARGETS[request.param])
    int8 = segship.Int8(calibration=pictures.root) if chosen.precision == "int8" else None
    kit = segship.export_kit(segship.Source(*trained), tmp_path_factory.mktemp("kits") / "kit", chosen, int8=int8)
    backend = find_backend(chosen.backend)
    assert has_recipe(backend)
    manifest = kit.manifest
    recipe = backend.recipe(
        KitJob(chosen, {1: "model_bs1.onnx"}, manifest.inputs[0], manifest.outputs[0], manifest.spec, len(kit.inputs))
    )
    (kit.folder / "engines").mkdir()
    (kit.folder / "engines" / "engine").write_bytes(b"an engine")
    expected, paths = Expected.read(kit), []
    for number, entry in enumerate(kit.inputs):
        name = recipe.results[0].format(stem=entry.stem, number=number, output=manifest.outputs[0].name)
        paths.append(kit.folder / "outputs" / "result_bs1" / f"{name}.raw")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        axes = (0, 2, 3, 1) if recipe.layout == "nhwc" else (0, 1, 2, 3)
        paths[-1].write_bytes(np.ascontiguousarray(expected.logits[entry.stem].transpose(axes)).tobytes())
    return Returned(kit, paths, [path.read_bytes() for path in paths])


def changed(change: Callable[[NDArray[np.float32]], NDArray[np.generic]]) -> Change:
    def apply(paths: list[Path]) -> None:
        paths[0].write_bytes(change(np.fromfile(paths[0], np.float32)).tobytes())

    return apply


def as_array(change: Callable[[NDArray[np.float32]], NDArray[np.generic]]) -> Change:
    def apply(paths: list[Path]) -> None:
        values = change(np.fromfile(paths[0], np.float32))
        paths[0].unlink()
        with paths[0].with_suffix(".npy").open("wb") as file:
            np.save(file, values)

    return apply


def beside(suffix: str) -> Change:
    """The output of another run, under another suffix."""

    def apply(paths: list[Path]) -> None:
        path = paths[0].with_suffix(suffix)
        path.write_bytes(paths[0].read_bytes())

    return apply


def of_another_batch(paths: list[Path]) -> None:
    outputs = next(folder for folder in paths[0].parents if folder.name == "outputs")
    (outputs / "result_bs5").mkdir()


def as_archive(paths: list[Path]) -> None:
    paths[0].unlink()
    with paths[0].with_suffix(".npy").open("wb") as file:
        np.savez(file, logits=np.zeros(3, np.float32))


def turned_axes(paths: list[Path]) -> None:
    """An array of the width first, as one that was transposed without its batch."""
    values = np.fromfile(paths[0], np.float32)
    paths[0].unlink()
    with paths[0].with_suffix(".npy").open("wb") as file:
        np.save(file, values.reshape(4, 6, 10).transpose(2, 0, 1))


def turned(paths: list[Path]) -> None:
    """Every output under the next one's name."""
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)


CHANGES: dict[str, tuple[Change, str]] = {
    "another order": (turned, "is that of inputs/"),
    "missing": (lambda paths: paths[0].unlink(), "holds no output of inputs/"),
    "empty": (lambda paths: paths[0].write_bytes(b"") and None, "has 0 bytes, expected"),
    "cut off": (changed(lambda values: values[:-1]), "cut off"),
    "float16": (changed(lambda values: values.astype(np.float16)), "half as many, as float16 has"),
    "float64": (changed(lambda values: values.astype(np.float64)), "twice as many, as a wider type"),
    "int8": (changed(lambda values: values.astype(np.int8)), "of another type"),
    "int32": (changed(lambda values: values.astype(np.int32) + 1), "holds whole numbers, as int32 has"),
    "big-endian": (changed(lambda values: values.astype(">f4")), "bytes are in another order"),
    "not a number": (changed(lambda values: np.where(values > values.mean(), values, np.float32(np.nan))), "NaN"),
    "nothing but no numbers": (changed(lambda values: np.full_like(values, np.nan)), "NaN"),
    "negative whole numbers": (changed(lambda values: np.arange(values.size, dtype=np.int32) - 9), "as int32 has"),
    "array of labels": (as_array(lambda values: values.astype(np.int64)), "holds int64, expected floating-point"),
    "array cut off": (as_array(lambda values: values[1:]), "cut off, or of another network"),
    "array without batch, its axes turned": (turned_axes, "its axes are in another order"),
    "archive": (as_archive, "several arrays"),
    "two of one input": (beside(".bin"), "both for inputs/00000.bin: one is of another run"),
    "no score": (changed(lambda values: np.where(values == values.max(), np.float32(3e38), values)), "is no score"),
    "another batch": (of_another_batch, "result_bs5 is for 5 images at once, the kit is for 1"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_refused_with_the_reason(change: str, returned: Returned, tmp_path: Path) -> None:
    apply, reason = CHANGES[change]
    folder = returned.kit.folder
    try:
        apply(returned.paths)
        with pytest.raises(InputError, match=reason):
            segship.adopt(folder, folder / "engines", tmp_path / "package", outputs=folder / "outputs")
        assert not (tmp_path / "package").exists()
    finally:
        returned.restore()


def test_scores_of_another_scale_are_refused(returned: Returned, tmp_path: Path) -> None:
    folder = returned.kit.folder
    try:
        for path in returned.paths:
            (3 * np.fromfile(path, np.float32)).tofile(path)
        with pytest.raises(
            VerificationError, match=r"scores are not those of the network: they differ by 200%|logits differ"
        ):
            segship.adopt(folder, folder / "engines", tmp_path / "package", outputs=folder / "outputs")
    finally:
        returned.restore()


def test_what_the_network_answers_is_adopted(returned: Returned, tmp_path: Path) -> None:
    folder = returned.kit.folder
    found = segship.adopt(folder, folder / "engines", tmp_path / "package", outputs=folder / "outputs")
    assert found.agreement == 1
    for script in ("convert.sh", "run.sh"):
        command = ["bash", "-n", str(folder / script)]
        assert subprocess.run(command, check=False).returncode == 0
