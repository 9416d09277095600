"""Masks of folders: nothing of the user's is lost, whatever is among the images and whenever the process ends."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import segship
from segship import Segmentor
from segship.core.errors import InputError, SegshipWarning
from segship.runtime import results as module
from segship.runtime.predict import Predictions, predict_files
from segship.runtime.result_form import ResultForm
from segship.vision.draw import Style


@pytest.fixture(scope="module")
def segmentor(exported: segship.Package) -> Segmentor:
    return Segmentor(exported)


def predict(
    segmentor: Segmentor,
    paths: Path | list[Path],
    to: Path,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **form: Any,
) -> Predictions:
    images = [paths] if isinstance(paths, Path) else paths
    return predict_files(segmentor, images, to, ResultForm(**form), resume=resume, progress=progress)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images in three folders, two of the same name, and three files that are no images."""
    for number, name in enumerate(("1.png", "x/1.png", "y/z/2.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (40, 60, 3), np.uint8))
    (tmp_path / "photos" / "notes.txt").touch()
    (tmp_path / "photos" / "x" / "film.MOV").touch()
    (tmp_path / "photos" / "README").touch()
    return tmp_path / "photos"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def index(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def test_folders_are_kept_and_the_index_names_everything(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    found = predict(segmentor, photos, tmp_path / "out", scores=True)
    assert found.masks == [tmp_path / "out" / name for name in ("1.png", "x/1.png", "y/z/2.png")]
    assert (found.failed, found.resumed, found.left_out) == ({}, 0, {"": 1, ".mov": 1, ".txt": 1})
    entries = index(tmp_path / "out")
    assert [entry["image"] for entry in entries] == [str(photos / name) for name in ("1.png", "x/1.png", "y/z/2.png")]
    for entry in entries:
        mask = cv2.imread(str(tmp_path / "out" / entry["files"]["labels"]), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert (entry["width"], entry["height"]) == (60, 40)
        assert sum(entry["classes"].values()) == 60 * 40
        assert set(entry["classes"]) <= set(segmentor.classes)
        assert entry["files"].keys() == {"labels", "overlay", "scores"}
        for name in entry["files"].values():
            assert (tmp_path / "out" / name).is_file()
    bare = predict(segmentor, photos, tmp_path / "bare", overlay=False)
    assert sorted(contents(tmp_path / "bare")) == ["1.png", "index.jsonl", "x/1.png", "y/z/2.png"]
    assert bare.masks[0].read_bytes() == found.masks[0].read_bytes()


def test_several_folders_do_not_mix(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "1.png", photos / "x" / "1.PNG.png")
    shutil.copy(photos / "1.png", photos / "x" / "1.bmp")
    found = predict(segmentor, [photos / "x", photos / "y", photos / "1.png"], tmp_path / "out", overlay=False)
    assert [str(path.relative_to(tmp_path / "out")) for path in found.masks] == [
        *("x/1.PNG.png", "x/1.png", "x/1_2.png", "y/z/2.png", "1.png"),
    ]


def test_a_bad_image_stops_nothing(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    (photos / "cut.png").write_bytes((photos / "1.png").read_bytes()[:300])
    cv2.imwrite(str(photos / "column.png"), np.zeros((5000, 1, 3), np.uint8))
    seen: list[tuple[int, int]] = []
    found = predict(segmentor, photos, tmp_path / "out", progress=lambda *at: seen.append(at))
    assert len(found.masks) == 3
    assert list(found.failed) == [photos / "column.png", photos / "cut.png"]
    assert all(str(path) in reason for path, reason in found.failed.items())
    assert seen == [(number, 5) for number in range(1, 6)]
    assert {entry["image"]: entry["error"] for entry in index(tmp_path / "out") if "error" in entry} == {
        str(path): reason for path, reason in found.failed.items()
    }
    (photos / "cut.png").write_bytes((photos / "1.png").read_bytes())
    again = predict(segmentor, photos, tmp_path / "out", resume=True)
    assert (len(again.masks), again.resumed, list(again.failed)) == (4, 3, [photos / "column.png"])
    assert len(index(tmp_path / "out")) == 5


def test_where_no_image_can_be_used_nothing_is_written(segmentor: Segmentor, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("text")
    with pytest.raises(InputError, match=r"a\.png is not an image .* \(and 1 more cannot be used\)"):
        predict(segmentor, [tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lack_of_memory_for_one_image_is_of_that_image(
    segmentor: Segmentor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = module.read_pixels

    def lacking(file: Path, *rest: Any, **options: Any) -> Any:
        if file.parent.name == "x":
            raise MemoryError
        if file.parent.name == "z":
            raise cv2.error("OpenCV(5.0.0) (-4:Insufficient memory) Failed to allocate 9 bytes")
        return read(file, *rest, **options)

    monkeypatch.setattr(module, "read_pixels", lacking)
    found = predict(segmentor, photos, tmp_path / "out")
    lacks = (photos / "x" / "1.png", photos / "y" / "z" / "2.png")
    assert found.failed == {path: f"{path}: there is not enough memory for it" for path in lacks}
    monkeypatch.setattr(module, "Labelled", lambda *_: 1 / 0)  # a bug is no fault of an image
    with pytest.raises(ZeroDivisionError):
        predict(segmentor, photos / "1.png", tmp_path / "out")


def test_resuming_skips_what_is_done_and_nothing_else(
    segmentor: Segmentor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = predict(segmentor, photos, out)
    before = contents(out)
    assert predict(segmentor, photos, out, resume=True).resumed == 3
    assert contents(out) == before
    # A result that is gone, an image that was changed, another opacity, one more kind of result, another package.
    first.masks[0].unlink()
    assert predict(segmentor, photos, out, resume=True).resumed == 2
    os.utime(photos / "1.png", (1, 1))
    assert predict(segmentor, photos, out, resume=True).resumed == 2
    assert predict(segmentor, photos, out, resume=True, style=Style(0.2)).resumed == 0
    assert predict(segmentor, photos, out, resume=True, style=Style(0.2), scores=True).resumed == 0
    other = segmentor.manifest.model_copy(update={"notes": ("other",)})
    with monkeypatch.context() as changed:
        changed.setattr(segmentor, "_manifest", other)
        assert predict(segmentor, photos, out, resume=True, style=Style(0.2), scores=True).resumed == 0
    assert len(index(out)) == 3
    assert predict(segmentor, photos, out).resumed == 0


@pytest.mark.parametrize("moment", ["segmenting", "writing"])
def test_a_run_that_ended_at_any_moment_can_go_on(
    segmentor: Segmentor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    whole = predict(segmentor, photos, tmp_path / "whole")
    calls = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    name = {"segmenting": "picture", "writing": "write_jpeg"}[moment]
    real = getattr(module, name)
    with monkeypatch.context() as patched:
        patched.setattr("segship.runtime.segmentor._OVERLAPPED", 1)  # the second call is the second image's
        patched.setattr(module, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            predict(segmentor, photos, tmp_path / "out")
    with (tmp_path / "out" / "index.jsonl").open("a") as file:
        file.write('{"name": "x/1", "files": {"lab')  # a line that was cut off
    found = predict(segmentor, photos, tmp_path / "out", resume=True)
    assert (len(found.masks), found.resumed) == (3, 1)
    assert [path.read_bytes() for path in found.masks] == [path.read_bytes() for path in whole.masks]
    assert len(index(tmp_path / "out")) == 3


@pytest.mark.parametrize("link", ["same", "symbolic folder", "symbolic file", "hard"])
def test_no_image_is_written_over(segmentor: Segmentor, photos: Path, tmp_path: Path, link: str) -> None:
    to = tmp_path / "to"
    if link == "same":
        to = photos
    elif link == "symbolic folder":
        to.symlink_to(photos)
    else:
        (to / "x").mkdir(parents=True)
        (to / "x" / "1.png").symlink_to(photos / "x" / "1.png")
        if link == "hard":
            (to / "x" / "1.png").unlink()
            (to / "x" / "1.png").hardlink_to(photos / "x" / "1.png")
    before = contents(photos)
    with pytest.raises(InputError, match="read, and would be written over: choose another place"):
        predict(segmentor, photos, to)
    assert contents(photos) == before


def test_files_of_others_are_not_written_over(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "x").mkdir(parents=True)
    (tmp_path / "out" / "x" / "1.png").write_text("dear")
    with pytest.raises(InputError, match=r"x/1\.png exists, and no earlier run wrote it"):
        predict(segmentor, photos, tmp_path / "out")
    assert contents(tmp_path / "out") == {"x/1.png": b"dear"}


def test_results_among_the_images_are_no_images(segmentor: Segmentor, photos: Path) -> None:
    for path in list(photos.rglob("*.png")):
        image = cv2.imread(str(path))
        assert image is not None
        cv2.imwrite(str(path.with_suffix(".bmp")), image)
        path.unlink()
    first = predict(segmentor, photos, photos)
    before = contents(photos)
    again = predict(segmentor, photos, photos, resume=True)
    assert (again.masks, again.resumed) == (first.masks, 3)
    assert contents(photos) == before
    inside = predict(segmentor, photos, photos / "masks")
    assert len(inside.masks) == 9  # a folder of its own knows nothing of the other's results
    assert len(predict(segmentor, photos, photos / "masks").masks) == 9


def test_a_folder_is_needed(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file: the results need a folder"):
        predict(segmentor, photos, tmp_path / "file")
    with pytest.raises(InputError, match=r"cannot write .*Not a directory"):
        predict(segmentor, photos, tmp_path / "file" / "below")


def test_a_name_too_long_is_of_its_image_alone(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    long = photos / f"{'n' * 250}.png"
    shutil.copy(photos / "1.png", long)
    found = predict(segmentor, photos, tmp_path / "out")
    assert len(found.masks) == 3
    assert "File name too long" in found.failed[long]


def test_names_that_are_no_text_survive(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    try:
        shutil.copy(photos / "1.png", photos / odd)
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    assert len(predict(segmentor, photos, tmp_path / "out").masks) == 4
    assert str(photos / odd) in [entry["image"] for entry in index(tmp_path / "out")]
    assert predict(segmentor, photos, tmp_path / "out", resume=True).resumed == 4


def test_in_python_a_warning_tells_of_each_bad_image(exported: segship.Package, photos: Path, tmp_path: Path) -> None:
    assert len(segship.predict(exported, photos, tmp_path / "out", threads=1)) == 3
    (photos / "bad.png").write_text("text")
    with pytest.warns(SegshipWarning, match=r"bad\.png is not an image"):
        assert len(segship.predict(exported, str(photos), tmp_path / "out", resume=True)) == 3


def test_a_file_on_the_whole_folder_holds_each_image_once(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    to, masks = tmp_path / "out", segship.predict(segmentor, photos, tmp_path / "plain", overlay=False)

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(segmentor, photos, to, format="coco", overlay=False, progress=stop)
    assert not (to / "annotations.json").exists()
    found = predict(segmentor, photos, to, format="coco", overlay=False, resume=True)
    assert (found.resumed, found.masks) == (2, [to / "annotations.json"] * 3)
    told = json.loads((to / "annotations.json").read_text())
    assert [image["file_name"] for image in told["images"]] == ["1.png", "x/1.png", "y/z/2.png"]
    assert not list(to.rglob("*.png"))
    for image, mask in zip(told["images"], masks, strict=True):
        counted = np.bincount(np.asarray(Image.open(mask)).ravel())
        areas = {one["category_id"]: one["area"] for one in told["annotations"] if one["image_id"] == image["id"]}
        assert areas == {label + 1: count for label, count in enumerate(counted) if count}
    assert {entry["files"]["labels"] for entry in index(to)} == {"annotations.json"}
    whole = predict(segmentor, photos, tmp_path / "whole", format="coco", overlay=False).masks[0]
    assert whole.read_bytes() == (to / "annotations.json").read_bytes()
    (to / "annotations.json").unlink()  # another format, and none of the parts of the first are taken for it
    assert predict(segmentor, photos, to, format="cvat", resume=True).resumed == 0
    assert not (to / "annotations.json").exists()


def test_a_format_writes_over_nothing_that_is_not_its_own(segmentor: Segmentor, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "data.yaml").write_text("theirs")
    with pytest.raises(InputError, match=r"data\.yaml exists, and no earlier run wrote it"):
        predict(segmentor, photos, tmp_path / "out", format="yolo")
    with pytest.raises(InputError, match="no format 'bmp'"):
        segship.predict(segmentor, photos, tmp_path / "out", format="bmp")  # type: ignore[arg-type]
    masks = segship.predict(segmentor, photos, tmp_path / "npz", format="npz", overlay=False)
    assert [path.name for path in masks] == ["1.npz", "1.npz", "2.npz"]
    assert np.array_equal(np.load(masks[0])["labels"], segmentor(photos / "1.png"))
