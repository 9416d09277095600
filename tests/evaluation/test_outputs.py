"""Files that an evaluation writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segship.core.errors import InputError
from segship.core.spec import ModelSpec
from segship.datasets.samples import Sample
from segship.evaluation import evaluate
from segship.evaluation.counter import translation
from segship.evaluation.data import Data, SampleSet
from segship.evaluation.matrix import draw_matrix, write_matrix
from segship.evaluation.outputs import OutputFolders, Outputs
from segship.formats.masks import MaskFormat
from segship.vision.regions import as_rle

from .conftest import CLASSES, PALETTE, Bands, truth_of

SPEC = Bands().spec


def from_rle(entries: list[dict[str, Any]]) -> Any:
    """The mask that `as_rle` was given."""
    height, width = entries[0]["size"]
    flat = np.zeros(height * width, np.uint16)
    for entry in entries:
        inside = np.repeat(np.arange(len(entry["counts"])) % 2 == 1, entry["counts"])
        flat[: inside.size][inside] = entry["class"]
    return flat.reshape((height, width), order="F")


def write(to: Path, form: MaskFormat, numbers: tuple[int, ...] = ()) -> None:
    sample = Sample("x/a", Path("a.png"), None)
    image = np.zeros((24, 40, 3), np.uint8)
    Outputs(CLASSES, PALETTE, OutputFolders(to, form), numbers).write(sample, image, truth_of(0), None)


def test_predictions_are_png_npz_or_run_lengths(tmp_path: Path) -> None:
    write(tmp_path, "png")
    with Image.open(tmp_path / "x/a.png") as picture:
        assert np.array_equal(np.asarray(picture), truth_of(0))
        assert picture.getpalette()[:3] == [128, 64, 128]
    write(tmp_path, "npz")
    assert np.array_equal(np.load(tmp_path / "x/a.npz")["labels"], truth_of(0))
    write(tmp_path, "rle")
    entries = json.loads((tmp_path / "x/a.json").read_text())
    assert np.array_equal(from_rle(entries), truth_of(0))
    assert {entry["name"] for entry in entries} == {CLASSES[n] for n in np.unique(truth_of(0))}


def test_run_lengths_go_down_the_columns_and_begin_with_what_is_not_of_the_class() -> None:
    mask = np.array([[1, 0, 0], [1, 1, 0]], np.uint8)
    assert as_rle(mask) == [
        {"class": 0, "size": [2, 3], "counts": [2, 1, 1, 2]},
        {"class": 1, "size": [2, 3], "counts": [0, 2, 1, 1, 2]},
    ]


def test_submissions_have_the_numbers_of_the_test_server(tmp_path: Path) -> None:
    write(tmp_path, "png", (7, 8, 11))
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored, np.array([7, 8, 11])[truth_of(0)])


def test_numbers_follow_the_data_set(data: Path, tmp_path: Path) -> None:
    for image in ("leftImg8bit/test/a/a_leftImg8bit.png", "images/validation/a.jpg"):
        (tmp_path / image).parent.mkdir(parents=True)
        (tmp_path / image).touch()
    cities = _spec("cityscapes")
    assert Data.layout("cityscapes", tmp_path, "test").samples_for(cities).submission()[:3] == (7, 8, 11)
    ade = Data.layout("ade20k", tmp_path, "val").samples_for(_spec("ade20k"))
    assert (ade.submission()[0], ade.submission()[-1]) == (1, 150)
    assert Data.folders(data / "images", data / "labels").samples_for(SPEC).submission() == (0, 1, 2)


def _spec(name: str) -> ModelSpec:
    from segship.datasets import find_layout

    layout = find_layout(name)
    return SPEC.model_copy(update={"classes": layout.classes, "palette": layout.palette})


def test_images_alone_can_be_predicted(data: Path) -> None:
    found = Data.unlabelled(data / "images", limit=3).samples_for(SPEC)
    assert isinstance(found, SampleSet)
    assert [sample.name for sample in found.samples] == ["x/0", "x/1", "x/2"]


def test_folders_without_any_label_map_are_refused(data: Path) -> None:
    with pytest.raises(InputError, match="none of the 4 images has a label map"):
        Data.folders(data / "images", data / "images/x").samples_for(SPEC)


def test_pictures_show_truth_beside_prediction(tmp_path: Path) -> None:
    outputs = Outputs(CLASSES, PALETTE, OutputFolders(pictures=tmp_path, opacity=1))
    image = np.zeros((24, 40, 3), np.uint8)
    outputs.write(Sample("x/a", Path("a.png"), None), image, np.zeros((24, 40), np.uint8), truth_of(0))
    drawn = cv2.imread(str(tmp_path / "x/a.jpg"))
    assert drawn is not None
    assert drawn.shape == (24, 88, 3)
    assert np.abs(drawn[:, 60:].astype(int) - PALETTE[0][::-1]).max() < 12  # JPEG


def test_matrix_is_written_as_table_or_picture(tmp_path: Path) -> None:
    matrix = np.array([[5, 1], [0, 0]])
    write_matrix(tmp_path / "m.csv", ("road", "a, b"), matrix)
    assert (tmp_path / "m.csv").read_text() == 'true \\ predicted,road,"a, b"\nroad,5,1\n"a, b",0,0\n'
    write_matrix(tmp_path / "m.png", ("road", "wall"), matrix)
    with Image.open(tmp_path / "m.png") as picture:
        assert picture.width > 88
    with pytest.raises(InputError, match=r"written as .csv or .png, not as m.txt"):
        write_matrix(tmp_path / "m.txt", ("road", "wall"), matrix)


def test_cells_are_as_dark_as_the_share_of_the_true_class() -> None:
    picture = draw_matrix(("a", "b"), np.array([[100, 0], [50, 50]]))
    first = picture[-12 - 44 - 40, -12 - 44 - 40]
    empty = picture[-12 - 44 - 40, -12 - 40]
    assert first.tolist() == [8, 48, 107]
    assert empty.tolist() == [255, 255, 255]


def test_networks_of_other_classes_cannot_be_compared() -> None:
    more = SPEC.model_copy(update={"classes": (*CLASSES, "sky"), "palette": (*PALETTE, (1, 2, 3))})
    with pytest.raises(InputError, match="has classes that the first lacks: 'sky'"):
        translation(SPEC, more)
    turned = SPEC.model_copy(update={"classes": CLASSES[::-1]})
    assert translation(SPEC, turned) == (2, 1, 0)


def test_files_that_no_evaluation_wrote_are_not_written_over(tmp_path: Path) -> None:
    sample = Sample("x/a", Path("a.png"), None)
    theirs = tmp_path / "x" / "a.png"
    theirs.parent.mkdir()
    theirs.write_bytes(b"theirs")
    outputs = Outputs(CLASSES, PALETTE, OutputFolders(tmp_path))
    with pytest.raises(InputError, match=r"a\.png exists, and no earlier run wrote it"):
        outputs.claim([sample], resume=False)
    with pytest.raises(InputError, match=r"a\.png exists"):
        Outputs(CLASSES, PALETTE, OutputFolders(theirs.parent), (1, 2)).claim([sample], resume=False)
    theirs.unlink()
    outputs.claim([sample], resume=False)
    write(tmp_path, "png")
    outputs.list_results([sample])
    assert json.loads((tmp_path / "index.jsonl").read_text()) == {
        "name": "x/a",
        "image": "a.png",
        "files": {"png": "x/a.png"},
    }
    outputs.claim([sample], resume=False)  # its own


def test_an_evaluation_claims_its_folders_before_it_counts(data: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "x").mkdir(parents=True)
    (tmp_path / "out" / "x" / "3.png").write_bytes(b"theirs")
    network, given = Bands(), Data.folders(data / "images", data / "labels")
    with pytest.raises(InputError, match=r"3\.png exists"):
        evaluate(network, given, outputs=OutputFolders(tmp_path / "out"))
    assert not network.seen
    (tmp_path / "out" / "x" / "3.png").unlink()
    for _ in range(2):
        evaluate(network, given, outputs=OutputFolders(tmp_path / "out"))
    assert len((tmp_path / "out" / "index.jsonl").read_text().splitlines()) == 4


def test_several_processes_write_one_file_on_the_folder(package: Path, data: Path, tmp_path: Path) -> None:
    given = Data.folders(data / "images", data / "labels")
    for workers, name in ((1, "one"), (2, "two")):
        evaluate(package, given, outputs=OutputFolders(tmp_path / name, "labelstudio"), workers=workers)
    tasks = json.loads((tmp_path / "one" / "tasks.json").read_text())
    assert [task["data"]["image"].rpartition("=")[2] for task in tasks] == [f"x/{number}.png" for number in range(4)]
    assert (tmp_path / "one" / "tasks.json").read_bytes() == (tmp_path / "two" / "tasks.json").read_bytes()
    assert (tmp_path / "two" / "interface.xml").is_file()
    files = [json.loads(line)["files"] for line in (tmp_path / "two" / "index.jsonl").read_text().splitlines()]
    assert files[0] == {"labelstudio": ".parts/x/0.labelstudio", "json": "tasks.json", "xml": "interface.xml"}
