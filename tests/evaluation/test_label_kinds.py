"""Label maps as people have them: each kind is read with its meaning, or the run is an error and no table of nan."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segship.core.errors import InputError, SegshipError, SegshipWarning
from segship.datasets.samples import NameEnds
from segship.evaluation import Data, Evaluation, NetworkFiles, OutputFolders, evaluate, read_eval_options

from .conftest import SPEC, Bands, truth_of

TWO = SPEC.model_copy(update={"classes": ("background", "water"), "palette": ((0, 0, 0), (0, 0, 255))})


@dataclass
class Water:
    """Labels as 1 what is bright in an image of `Bands`."""

    spec = TWO

    def __call__(self, image: NDArray[np.uint8], /, *, channel_order: Any) -> NDArray[Any]:
        assert channel_order == "bgr"
        return (image[:, :, 2] > 150).astype(np.uint8)


def rewrite(data: Path, change: Callable[[NDArray[np.uint8]], NDArray[Any]], ending: str = ".png") -> Data:
    """The data with label maps that ``change`` makes of the true ones."""
    for number in range(4):
        path = data / f"labels/x/{number}{ending}"
        (data / f"labels/x/{number}.png").unlink(missing_ok=True)
        Image.fromarray(change(truth_of(number))).save(path)
    return Data.folders(data / "images", data / "labels")


def water(truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return (truth == 2).astype(np.uint8)


def thrice(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def right(found: Evaluation) -> bool:
    return found.scores.aAcc == 100 and found.matrix.sum() == 4 * 24 * 40 and not found.problems


def test_numbers_repeated_in_three_channels_are_read(data: Path) -> None:
    assert right(evaluate(Bands(), rewrite(data, thrice)))


def test_numbers_stored_as_float_are_read(data: Path) -> None:
    assert right(evaluate(Bands(), rewrite(data, lambda truth: truth.astype(np.float32), ".tif")))


def test_gif_is_read_as_numbers(data: Path) -> None:
    def indexed(truth: NDArray[np.uint8], path: Path) -> None:
        image = Image.fromarray(truth)
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
        image.save(path)

    for number in range(4):
        (data / f"labels/x/{number}.png").unlink()
        indexed(truth_of(number), data / f"labels/x/{number}_mask.gif")
    assert right(evaluate(Bands(), Data.folders(data / "images", data / "labels")))


def test_greys_of_the_palette_stay_colours(data: Path) -> None:
    palette = np.asarray([(70, 70, 70), (90, 90, 90), (110, 110, 110)], np.uint8)
    network = Bands(spec=SPEC.model_copy(update={"palette": tuple(map(tuple, palette.tolist()))}))
    assert right(evaluate(network, rewrite(data, lambda truth: palette[truth])))


@pytest.mark.parametrize("three", [False, True])
def test_black_and_white_masks_of_two_classes_are_read_and_that_is_said(data: Path, three: bool) -> None:
    given = rewrite(data, lambda truth: thrice(water(truth) * 255) if three else water(truth) * 255)
    with pytest.warns(SegshipWarning, match=r"hold only 0 and 255: 255 is read as class 1 \(water\), not as ignored"):
        found = evaluate(Water(), given, boundary=True)
    assert right(found)
    assert found.matrix.sum(1).tolist() == [
        sum(int((water(truth_of(number)) == label).sum()) for number in range(4)) for label in (0, 1)
    ]


def test_255_is_ignored_where_class_1_occurs_or_the_user_says_so(data: Path) -> None:
    given = rewrite(data, lambda truth: np.where(truth == 1, 255, water(truth)).astype(np.uint8))
    found = evaluate(Water(), given)
    assert found.scores.aAcc == 100
    assert 0 < found.matrix.sum() < 4 * 24 * 40
    given = rewrite(data, lambda truth: water(truth) * 255)
    with pytest.warns(SegshipWarning, match="255 is read"):
        found = evaluate(Water(), given, options=read_eval_options(["ignore_index=255"]))
    assert found.matrix[1].sum() == 0


def test_one_mask_without_foreground_does_not_decide(data: Path) -> None:
    given = rewrite(data, lambda truth: water(truth) * 255)
    Image.fromarray(np.zeros((24, 40), np.uint8)).save(data / "labels/x/0.png")
    with pytest.warns(SegshipWarning, match="255 is read"):
        found = evaluate(Water(), given)
    assert found.matrix.sum() == 4 * 24 * 40


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda truth: np.full_like(truth, 255), "4 label maps is of a class, .*all are ignored"),
        (lambda truth: np.full_like(truth, 77), "labels_out_of_range: .*label 77"),
        (lambda truth: thrice(water(truth) * 255), "labels_out_of_range: .*colour #ffffff"),
    ],
)
def test_a_run_that_counts_nothing_is_an_error(data: Path, change: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        evaluate(Bands(), rewrite(data, change))


def test_pictures_are_no_label_maps(data: Path) -> None:
    noise = np.random.default_rng(0)
    given = rewrite(data, lambda truth: noise.integers(0, 256, (*truth.shape, 3)).astype(np.uint8))
    with pytest.raises(InputError, match="colours that are no class's: a picture, not a label map"):
        evaluate(Bands(), given)
    given = rewrite(data, thrice, ".jpg")
    with pytest.raises(InputError, match="none of the 4 images has a label map"):
        evaluate(Bands(), given)


def test_lack_of_memory_ends_a_run_and_counts_nothing_as_damaged(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: Any, **__: Any) -> Any:
        raise SegshipError("there is not enough memory")

    monkeypatch.setattr("segship.evaluation.counter.read_image", lacking)
    with pytest.raises(SegshipError, match="not enough memory"):
        evaluate(Bands(), Data.folders(data / "images", data / "labels"))


@pytest.mark.parametrize(
    ("image", "label", "options"),
    [
        ("{}.png", "{}_mask.png", {}),
        ("{}_sat.png", "{}_mask.png", {}),
        ("{}.png", "{}_seg.png", {"label_suffix": "_seg.png"}),
        ("{}.png", "{}_seg.tif", {"label_suffix": "_seg"}),
        ("{}_rgb.png", "{}_seg.png", {"image_suffix": "_rgb.png", "label_suffix": "_seg.png"}),
        ("{}_rgb.png", "{}.png", {"image_suffix": "_rgb.png"}),
    ],
)
def test_names_may_end_as_they_like(data: Path, image: str, label: str, options: dict[str, str]) -> None:
    for number in range(4):
        (data / f"images/x/{number}.png").rename(data / "images/x" / image.format(number))
        Image.open(data / f"labels/x/{number}.png").save(data / "labels/x" / label.format(f"{number}"))
        if label.format(number) != f"{number}.png":
            (data / f"labels/x/{number}.png").unlink()
    if "_rgb" in image:
        shutil.copy(data / "images/x/0_rgb.png", data / "images/x/0_depth.png")
    assert right(evaluate(Bands(), Data.folders(data / "images", data / "labels", **options)))


def test_a_config_says_how_names_end(data: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.py"
    config.write_text("test_dataloader = dict(dataset=dict(img_suffix='_rgb.png', seg_map_suffix='_seg.png'))")
    ends = NetworkFiles(config).name_ends()
    assert ends == NameEnds("_rgb.png", "_seg.png")
    given = Data.folders(data / "images", data / "labels")
    assert given.ending(ends) is given  # nothing is called so here
    for number in range(4):
        (data / f"images/x/{number}.png").rename(data / f"images/x/{number}_rgb.png")
        (data / f"labels/x/{number}.png").rename(data / f"labels/x/{number}_seg.png")
    assert right(evaluate(Bands(), given.ending(ends)))
    asked = Data.folders(data / "images", data / "labels", label_suffix="_x.png")
    assert asked.ending(ends) is asked
    config.write_text("test_dataloader = dict(dataset=dict(img_suffix='.jpg', seg_map_suffix='.png'))")
    assert NetworkFiles(config).name_ends() == NameEnds()  # no more than suffixes, which may differ


def test_the_option_for_other_names_is_told(data: Path) -> None:
    for number in range(4):
        (data / f"labels/x/{number}.png").rename(data / f"labels/x/{number}_seg.png")
    with pytest.raises(InputError, match=r"labels holds 0_seg\.png: tell how .* --label-suffix _mask\.png"):
        evaluate(Bands(), Data.folders(data / "images", data / "labels"))
    with pytest.raises(InputError, match=r"no image whose name ends with _x\.png"):
        evaluate(Bands(), Data.folders(data / "images", data / "labels", image_suffix="_x.png"))


def test_images_in_another_format_than_the_data_set_had(tmp_path: Path) -> None:
    from segship.datasets import find_layout
    from segship.datasets.samples import find_samples

    for name in ("img_dir/val/a.jpg", "img_dir/val/b.jpg", "ann_dir/val/a.png", "ann_dir/val/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find_samples(find_layout("camvid"), tmp_path)
    assert [(one.image.name, one.labels and one.labels.name) for one in found] == [
        ("a.jpg", "a.png"),
        ("b.jpg", "b.png"),
    ]


def test_predictions_and_pictures_are_not_written_over_what_is_read(data: Path) -> None:
    given = Data.folders(data / "images", data / "labels")
    before = [path.read_bytes() for path in sorted(data.rglob("*.png"))]
    link = data / "link"
    link.symlink_to(data / "labels")
    for outputs in (
        OutputFolders(predictions=data / "labels"),
        OutputFolders(predictions=data / "images"),
        OutputFolders(predictions=link),
        OutputFolders(predictions=data / "labels" / "x", submission=True),
    ):
        with pytest.raises(InputError, match="read, and would be written over"):
            evaluate(Bands(), given, outputs=outputs)
    for number in range(4):
        image = cv2.imread(str(data / f"images/x/{number}.png"))
        assert image is not None
        cv2.imwrite(str(data / f"images/x/{number}.jpg"), image)
    with pytest.raises(InputError, match="read, and would be written over"):
        evaluate(Bands(), given, outputs=OutputFolders(pictures=data / "images"))
    assert [path.read_bytes() for path in sorted(data.rglob("*.png"))] == before


def test_other_files_of_the_caller_are_kept_apart_too(data: Path) -> None:
    given = Data.folders(data / "images", data / "labels")
    (data / "labels" / "m.png").write_text("of an earlier run, and no label map of an image")
    evaluate(Bands(), given, outputs=OutputFolders(files=(data / "labels" / "m.png", data / "new.csv")))
    with pytest.raises(InputError, match="read, and would be written over"):
        evaluate(Bands(), given, outputs=OutputFolders(files=(data / "labels" / "x" / "0.png",)))


def test_an_image_that_the_network_refuses_is_named(data: Path) -> None:
    cv2.imwrite(str(data / "images/x/0.png"), np.zeros((2, 40, 3), np.uint8))
    cv2.imwrite(str(data / "labels/x/0.png"), np.zeros((2, 40), np.uint8))
    found = evaluate(Bands(), Data.folders(data / "images", data / "labels"))
    assert found.problems[0].examples[0][1] == f"{data / 'images/x/0.png'}: too small"
