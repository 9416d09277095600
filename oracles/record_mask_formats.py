"""Masks in the formats of other tools, read by these tools' own libraries; what they say is recorded for the tests.

    pip install pycocotools supervision cvat-sdk label-studio-sdk datumaro ultralytics fiftyone
    python oracles/record_mask_formats.py            # compare alone
    python oracles/record_mask_formats.py --record   # and write tests/references/mask_formats.json

A library that is not installed is left out and named. Labels must be equal in every pixel.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from segship.formats.masks import FORMATS, Labelled, MaskFormat, Meaning

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

RECORD = Path(__file__).parents[1] / "tests" / "references" / "mask_formats.json"
MEANING = Meaning(("road", "wall & <wall>", 'a "tree"'), ((128, 64, 128), (70, 70, 70), (0, 120, 0)))
SIZES = ((24, 40), (37, 61), (120, 90))
NOTHING = 255


def mask_of(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Blobs of three classes and of 255, with holes and single pixels."""
    random = np.random.default_rng(seed)
    cells = random.integers(0, 4, (height // 4, width // 4)).astype(np.uint8)
    mask = cv2.resize(cells, (width, height), interpolation=cv2.INTER_NEAREST)
    dots = random.random(mask.shape) < 0.03
    mask[dots] = random.integers(0, 4, int(dots.sum()))
    mask[mask == len(MEANING.classes)] = NOTHING
    return np.asarray(mask, np.uint8)


def write(folder: Path, form: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Write images into ``images`` and masks into ``labels``; return the masks by the images' names."""
    masks = {f"{number}.png": mask_of(number, *size) for number, size in enumerate(SIZES)}
    own = []
    for name, mask in masks.items():
        (folder / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "images" / name), np.zeros((*mask.shape, 3), np.uint8))
        path = folder / "labels" / FORMATS[form].own(Path(name).stem)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(FORMATS[form].encode(Labelled(name, mask, MEANING)))
        own.append(path)
    FORMATS[form].join(folder / "labels", own, MEANING)
    return masks


def paint(size: tuple[int, int], shapes: list[tuple[int, NDArray[Any]]]) -> NDArray[np.uint8]:
    """The label map of masks (H, W) with their classes."""
    found = np.full(size, NOTHING, np.uint8)
    for label, inside in shapes:
        found[np.asarray(inside, bool)] = label
    return found


def require(found: object, expected: object) -> None:
    """Raise what was found and expected, where they differ."""
    if found != expected:
        raise ValueError(f"{found!r:.200} is not {expected!r:.200}")


def by_pycocotools(folder: Path, _: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of pycocotools, which counts their pixels and measures their boxes, too."""
    from pycocotools import mask as coder
    from pycocotools.coco import COCO

    coco = COCO(str(folder / "labels" / "annotations.json"))
    found = {}
    for number, image in coco.imgs.items():
        shapes = []
        for one in coco.imgToAnns[number]:
            require(int(coder.area(one["segmentation"])), one["area"])
            require(coder.toBbox(one["segmentation"]).tolist(), one["bbox"])
            shapes.append((MEANING.classes.index(coco.cats[one["category_id"]]["name"]), coco.annToMask(one)))
        found[image["file_name"]] = paint((image["height"], image["width"]), shapes)
    return found


def by_supervision(folder: Path, form: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of supervision."""
    import supervision

    images, labels = str(folder / "images"), str(folder / "labels")
    if form == "coco":
        data = supervision.DetectionDataset.from_coco(images, f"{labels}/annotations.json", force_masks=True)
    else:
        data = supervision.DetectionDataset.from_yolo(images, labels, f"{labels}/data.yaml", force_masks=True)
    require(data.classes, list(MEANING.classes))
    return {
        Path(path).name: paint(image.shape[:2], list(zip(found.class_id, found.mask, strict=True)))
        for path, image, found in data
    }


def by_ultralytics(folder: Path, _: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks as Ultralytics prepares them for training."""
    from ultralytics.data.utils import polygon2mask, verify_image_label

    found = {}
    for path in sorted((folder / "images").iterdir()):
        label = folder / "labels" / f"{path.stem}.txt"
        image, rows, (height, width), segments, *_, problem = verify_image_label(
            (str(path), str(label), "", False, len(MEANING.classes), 0, 0, False)
        )
        require(problem or image, image)
        size = (height, width)
        shapes = [
            (int(row[0]), polygon2mask(size, [segment * (width, height)]))
            for row, segment in zip(rows, segments, strict=True)
        ]
        found[path.name] = paint(size, shapes)
    return found


def by_label_studio(folder: Path, _: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of Label Studio's converter, of tasks that its labelling interface takes."""
    from label_studio_sdk.converter.brush import decode_rle
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface((folder / "labels" / "interface.xml").read_text())
    found = {}
    for task in json.loads((folder / "labels" / "tasks.json").read_text()):
        require(interface.validate_prediction(task["predictions"][0], return_errors=True), [])
        shapes = []
        for one in task["predictions"][0]["result"]:
            size = (one["original_height"], one["original_width"])
            shapes.append(
                (
                    MEANING.classes.index(one["value"]["brushlabels"][0]),
                    decode_rle(one["value"]["rle"]).reshape(*size, 4)[:, :, 3],
                )
            )
        found[task["data"]["image"].rpartition("=")[2]] = paint(size, shapes)
    return found


def by_datumaro(folder: Path, form: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of Datumaro."""
    from datumaro import Dataset

    if form == "cvat":
        shutil.copy(folder / "labels" / "annotations.xml", folder)  # it wants the images in a folder beside
        data = Dataset.import_from(str(folder / "annotations.xml"), "cvat")
    else:  # it wants the file in a folder of this name, with the images beside
        (folder / "annotations").mkdir()
        shutil.copy(folder / "labels" / "annotations.json", folder / "annotations" / "instances_default.json")
        data = Dataset.import_from(str(folder), "coco_instances")
    names = [label.name for label in data.categories()[next(iter(data.categories()))]]
    found = {}
    for item in data:
        shapes = [
            (MEANING.classes.index(names[one.label]), one.image) for one in item.annotations if hasattr(one, "image")
        ]
        found[f"{item.id}.png"] = paint(shapes[0][1].shape, shapes)
    return found


def by_cvat(folder: Path, _: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of CVAT's own decoder."""
    from xml.etree import ElementTree as ET

    from cvat_sdk.masks import decode_mask, encode_mask

    found = {}
    for image in ET.parse(folder / "labels" / "annotations.xml").getroot().iter("image"):
        size = {"image_width": int(image.attrib["width"]), "image_height": int(image.attrib["height"])}
        shapes = []
        for mask in image.iter("mask"):
            left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
            runs = [int(run) for run in mask.attrib["rle"].split(", ")]
            points = [*runs, left, top, left + width - 1, top + height - 1]
            inside = decode_mask(points, **size)
            require(encode_mask(inside), points)
            shapes.append((MEANING.classes.index(mask.attrib["label"]), inside))
        found[image.attrib["name"]] = paint((size["image_height"], size["image_width"]), shapes)
    return found


def by_fiftyone(folder: Path, _: MaskFormat) -> dict[str, NDArray[np.uint8]]:
    """Masks of FiftyOne's reader."""
    from fiftyone.utils.coco import load_coco_detection_annotations  # the rest of it needs a database

    _, classes, _, images, annotations = load_coco_detection_annotations(str(folder / "labels" / "annotations.json"))
    names = classes if isinstance(classes, dict) else dict(enumerate(classes))
    found = {}
    for number, image in images.items():
        width, height = image["width"], image["height"]
        shapes = []
        for one in annotations[number]:
            detection = one.to_detection((width, height), names, load_segmentation=True)
            left, top = round(detection.bounding_box[0] * width), round(detection.bounding_box[1] * height)
            whole = np.zeros((height, width), bool)
            whole[top : top + detection.mask.shape[0], left : left + detection.mask.shape[1]] = detection.mask
            shapes.append((MEANING.classes.index(detection.label), whole))
        found[image["file_name"]] = paint((height, width), shapes)
    return found


READERS: list[tuple[str, MaskFormat, Callable[[Path, MaskFormat], dict[str, NDArray[np.uint8]]]]] = [
    ("pycocotools", "coco", by_pycocotools),
    ("supervision", "coco", by_supervision),
    ("datumaro", "coco", by_datumaro),
    ("fiftyone", "coco", by_fiftyone),
    ("cvat-sdk", "cvat", by_cvat),
    ("datumaro", "cvat", by_datumaro),
    ("label-studio-sdk", "labelstudio", by_label_studio),
    ("supervision", "yolo", by_supervision),
    ("ultralytics", "yolo", by_ultralytics),
]


def compare(library: str, form: MaskFormat, read: Callable[[Path, MaskFormat], dict[str, NDArray[np.uint8]]]) -> bool:
    """Print how many labels a library reads as they were written; return whether all are."""
    with tempfile.TemporaryDirectory() as folder:
        expected = write(Path(folder), form)
        try:
            found = read(Path(folder), form)
        except (ImportError, importlib.metadata.PackageNotFoundError) as error:
            print(f"{form:12} {library:20} left out: {error}")
            return True
    same = sum(int(np.sum(found[name] == mask)) for name, mask in expected.items())
    pixels = sum(mask.size for mask in expected.values())
    print(f"{form:12} {library:20} {importlib.metadata.version(library):10} {same} of {pixels} labels equal")
    return same == pixels


def record() -> None:
    """Write what the libraries themselves make of the masks."""
    from cvat_sdk.masks import encode_mask
    from label_studio_sdk.converter.brush import mask2rle
    from pycocotools import mask as coder

    libraries = ("pycocotools", "cvat-sdk", "label-studio-sdk")
    found: dict[str, Any] = {"versions": {name: importlib.metadata.version(name) for name in libraries}, "masks": []}
    for number, size in enumerate(SIZES[:2]):
        mask = mask_of(number, *size)
        classes = []
        for label in range(len(MEANING.classes)):
            inside = mask == label
            encoded = coder.encode(np.asfortranarray(inside.astype(np.uint8)))
            classes.append(
                {
                    "coco": encoded["counts"].decode(),
                    "area": int(coder.area(encoded)),
                    "bbox": coder.toBbox(encoded).astype(int).tolist(),
                    "cvat": encode_mask(inside),
                    "brush": bytes(mask2rle(inside.astype(np.uint8) * 255)).hex(),
                }
            )
        found["masks"].append(
            {"labels": ["".join(f"{label:x}" for label in row % 16) for row in mask], "classes": classes}
        )
    RECORD.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    equal = [compare(*reader) for reader in READERS]
    if parser.parse_args().record:
        record()
    sys.exit(0 if all(equal) else 1)
