"""Masks in the formats of other tools: decoded without the writers, and equal to what the tools' libraries make."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from segship.cli.options import MaskFormat as Named
from segship.core.errors import InputError
from segship.formats.masks import FORMATS, Labelled, MaskForm, MaskFormat, Meaning, find
from segship.formats.masks.rle import compress

RECORDED = json.loads((Path(__file__).parents[1] / "references" / "mask_formats.json").read_text())
MEANING = Meaning(("road", "wall & <wall>", 'a "tree"'), ((128, 64, 128), (70, 70, 70), (0, 120, 0)))
NOTHING = 255


def masks() -> dict[str, NDArray[np.uint8]]:
    """The recorded masks, and one of a single pixel of a class."""
    found = {
        f"x/{number} a.png": np.array(
            [[NOTHING if label == "f" else int(label) for label in row] for row in one["labels"]], np.uint8
        )
        for number, one in enumerate(RECORDED["masks"])
    }
    found["x/dot.png"] = np.zeros((1, 3), np.uint8)
    found["x/dot.png"][0, 1] = 2
    return found


def write(folder: Path, name: MaskFormat) -> MaskForm:
    form, own = FORMATS[name], []
    for image, mask in masks().items():
        own.append(folder / form.own(image.removesuffix(".png")))
        own[-1].parent.mkdir(parents=True, exist_ok=True)
        own[-1].write_bytes(form.encode(Labelled(image, mask, MEANING)))
    form.join(folder, own, MEANING)
    return form


def paint(size: tuple[int, ...], shapes: list[tuple[int, NDArray[Any]]]) -> NDArray[np.uint8]:
    found = np.full(size, NOTHING, np.uint8)
    for label, inside in shapes:
        found[inside.astype(bool)] = label
    return found


def from_runs(counts: list[int], size: tuple[int, int], order: Any) -> NDArray[np.bool_]:
    flat = np.concatenate([np.full(count, number % 2 == 1) for number, count in enumerate(counts)])
    return np.concatenate([flat, np.zeros(size[0] * size[1] - len(flat), bool)]).reshape(size, order=order)


def from_letters(text: str) -> list[int]:
    """COCO's letters, as its documentation has them: six bits each, the sixth for more, five of a signed number."""
    counts: list[int] = []
    number = shift = 0
    for letter in text.encode():
        bits = letter - 48
        number |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        number -= (1 << shift) if bits & 16 else 0
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = shift = 0
    return counts


def test_coco_has_a_mask_for_each_class_of_each_image(tmp_path: Path) -> None:
    write(tmp_path, "coco")
    found = json.loads((tmp_path / "annotations.json").read_text())
    assert [category["name"] for category in found["categories"]] == list(MEANING.classes)
    labels = {category["id"]: number for number, category in enumerate(found["categories"])}
    assert 0 not in labels  # which several tools take for "no class"
    assert [image["file_name"] for image in found["images"]] == list(masks())
    assert len({one["id"] for one in found["annotations"]}) == len(found["annotations"])
    for image in found["images"]:
        size, shapes = (image["height"], image["width"]), []
        for one in (one for one in found["annotations"] if one["image_id"] == image["id"]):
            assert one["segmentation"]["size"] == list(size)
            inside = from_runs(from_letters(one["segmentation"]["counts"]), size, "F")
            left, top, width, height = one["bbox"]
            assert one["area"] == inside.sum() == inside[top : top + height, left : left + width].sum()
            shapes.append((labels[one["category_id"]], inside))
        assert np.array_equal(paint(size, shapes), masks()[image["file_name"]])


def test_coco_and_cvat_are_letter_for_letter_what_their_libraries_make(tmp_path: Path) -> None:
    write(tmp_path, "coco")
    write(tmp_path, "cvat")
    coco = json.loads((tmp_path / "annotations.json").read_text())["annotations"]
    cvat = list(ET.fromstring((tmp_path / "annotations.xml").read_text()).iter("mask"))
    expected = [one for mask in RECORDED["masks"] for one in mask["classes"]]
    for ours, theirs in zip(coco, expected, strict=False):
        assert (ours["segmentation"]["counts"], ours["area"], ours["bbox"]) == tuple(
            theirs[key] for key in ("coco", "area", "bbox")
        )
    for ours, theirs in zip(cvat, expected, strict=False):
        left, top, width, height = (int(ours.attrib[key]) for key in ("left", "top", "width", "height"))
        runs = [int(run) for run in ours.attrib["rle"].split(",")]
        assert [*runs, left, top, left + width - 1, top + height - 1] == theirs["cvat"]
    assert min(len(coco), len(cvat)) > len(expected) > 0


def test_large_run_lengths_survive_the_letters() -> None:
    counts = [0, 1, 10**9, 5, 3, 2**31, 31, 32, 16, 15]
    assert from_letters(compress(counts)) == counts


def test_cvat_holds_the_box_of_each_mask_row_by_row(tmp_path: Path) -> None:
    write(tmp_path, "cvat")
    root = ET.fromstring((tmp_path / "annotations.xml").read_text())
    assert root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iter("label")] == list(MEANING.classes)
    for number, image in enumerate(root.iter("image")):
        assert image.attrib["id"] == str(number)
        size, shapes = (int(image.attrib["height"]), int(image.attrib["width"])), []
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
            whole = np.zeros(size, bool)
            runs = [int(run) for run in mask.attrib["rle"].split(",")]
            whole[top : top + height, left : left + width] = from_runs(runs, (height, width), "C")
            shapes.append((MEANING.classes.index(mask.attrib["label"]), whole))
        assert np.array_equal(paint(size, shapes), masks()[image.attrib["name"]])


def unpack(data: bytes) -> NDArray[np.uint8]:
    """A brush, read as @thi.ng/rle-pack does."""
    bits, place = "".join(f"{byte:08b}" for byte in data), 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count : place], 2)

    number, word = take(32), take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    out: list[int] = []
    while len(out) < number:
        repeated, length = take(1), lengths[take(2)]
        count = take(length) + 1
        out += [take(word)] * count if repeated else [take(word) for _ in range(count)]
    return np.array(out, np.uint8)


def test_label_studio_gets_brushes_of_the_size_of_the_image(tmp_path: Path) -> None:
    write(tmp_path, "labelstudio")
    interface = ET.fromstring((tmp_path / "interface.xml").read_text())
    assert [label.attrib["value"] for label in interface.iter("Label")] == list(MEANING.classes)
    brush, picture = next(interface.iter("BrushLabels")).attrib, next(interface.iter("Image")).attrib
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [task["data"]["image"] for task in tasks] == [
        f"/data/local-files/?d=x/{name}.png" for name in ("0%20a", "1%20a", "dot")
    ]
    for task, mask in zip(tasks, masks().values(), strict=True):
        shapes = []
        for one in task["predictions"][0]["result"]:
            assert (
                (one["from_name"], one["to_name"])
                == (brush["name"], brush["toName"])
                == (brush["name"], picture["name"])
            )
            assert (one["original_height"], one["original_width"]) == mask.shape
            channels = unpack(bytes(one["value"]["rle"])).reshape(*mask.shape, 4)
            assert np.array_equal(channels[..., :1].repeat(4, 2), channels)
            shapes.append((MEANING.classes.index(one["value"]["brushlabels"][0]), channels[..., 3]))
        assert np.array_equal(paint(mask.shape, shapes), mask)
    theirs = [one["brush"] for one in RECORDED["masks"][0]["classes"]]
    for ours, recorded in zip(tasks[0]["predictions"][0]["result"], theirs, strict=True):
        assert np.array_equal(unpack(bytes(ours["value"]["rle"])), unpack(bytes.fromhex(recorded)))


@pytest.mark.parametrize("rounded", [np.round, np.trunc])
def test_yolo_gives_each_pixel_again_however_its_places_are_rounded(tmp_path: Path, rounded: Any) -> None:
    write(tmp_path, "yolo")
    told = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert told["names"] == dict(enumerate(MEANING.classes))
    for image, mask in masks().items():
        shapes = []
        for line in (tmp_path / image.replace(".png", ".txt")).read_text().splitlines():
            label, *places = line.split()
            shares = np.array(places, float).reshape(-1, 2)
            assert 0 <= shares.min() <= shares.max() <= 1
            filled = np.zeros(mask.shape, np.uint8)
            outline = rounded(np.float32(shares) * np.float32(mask.shape[::-1])).astype(np.int32)
            cv2.fillPoly(filled, [outline], [1])
            shapes.append((int(label), filled))
        assert sum(int(filled.sum()) for _, filled in shapes) == np.sum(mask != NOTHING)
        assert np.array_equal(paint(mask.shape, shapes), mask)


def test_geojson_and_run_lengths_name_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "geojson")
    write(tmp_path, "rle")
    for image, mask in masks().items():
        stem = image.removesuffix(".png")
        shapes = []
        for entry in json.loads((tmp_path / f"{stem}.json").read_text()):
            assert entry["name"] == MEANING.classes[entry["class"]]
            shapes.append((entry["class"], from_runs(entry["counts"], mask.shape, "F")))
        assert np.array_equal(paint(mask.shape, shapes), mask)
        areas = np.zeros(len(MEANING.classes))
        for feature in json.loads((tmp_path / f"{stem}.geojson").read_text())["features"]:
            assert feature["properties"]["name"] == MEANING.classes[feature["properties"]["category_id"]]
            rings = [np.array(ring, float) for ring in feature["geometry"]["coordinates"]]
            around = [abs(np.sum(r[:-1, 0] * r[1:, 1] - r[1:, 0] * r[:-1, 1])) / 2 for r in rings]
            areas[feature["properties"]["category_id"]] += around[0] - sum(around[1:])
        assert np.array_equal(areas, [np.sum(mask == label) for label in range(len(MEANING.classes))])


def test_names_on_the_command_line_are_those_of_the_formats() -> None:
    assert list(Named.__args__) == list(FORMATS)
    with pytest.raises(InputError, match="no format 'bmp': expected png, npz, coco"):
        find("bmp")


def test_a_damaged_part_leaves_the_older_file(tmp_path: Path) -> None:
    form = write(tmp_path, "coco")
    before = (tmp_path / "annotations.json").read_bytes()
    part = tmp_path / form.own("x/dot")
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"dot\.coco is damaged: label the images again"):
        form.join(tmp_path, [part], MEANING)
    assert (tmp_path / "annotations.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".parts", "annotations.json"]
