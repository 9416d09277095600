"""The drop-in for mmdeploy_runtime: its arguments, its order of channels, its masks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from segship.core.errors import BackendError, InputError, PackageError
from segship.mmdeploy import Segmentor
from support.references import REFERENCES

FOLDER = REFERENCES / "mmdeploy"  # oracles/record_mmdeploy.py
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
# What mmdeploy_runtime is asked, and the drop-in likewise.
RUN = """
import sys, numpy
from {module} import Segmentor
image, segmentor = numpy.load(sys.argv[2]), Segmentor(model_path=sys.argv[1], device_name="cpu", device_id=0)
found = [segmentor(image), *segmentor.batch([image, numpy.ascontiguousarray(image[:64, :96])])]
found.append(segmentor(numpy.ascontiguousarray(image[:, :, :1])))
assert segmentor.batch([]) == [] and {{mask.dtype.name for mask in found}} == {{"int32"}}
numpy.savez(sys.argv[3], *found)
"""


def test_masks_are_those_that_mmdeploys_own_runtime_gave() -> None:
    with np.load(FOLDER / "masks.npz") as masks, Segmentor(str(FOLDER), "cpu", 0) as segmentor:
        images = []
        for name in masks.files:
            rows, columns = map(int, name.split("x"))
            images.append(np.asarray(cv2.resize(PIXELS, (columns, rows)), np.uint8))
            mask = segmentor(images[-1])
            assert mask.dtype == np.int32
            np.testing.assert_array_equal(mask, masks[name])
        for found in (segmentor.batch(images), segmentor(images), segmentor(tuple(images))):
            assert isinstance(found, list)
            assert all(np.array_equal(mask, masks[name]) for mask, name in zip(found, masks.files, strict=True))
        assert segmentor.batch([]) == []
        assert repr(segmentor).startswith("<segship.mmdeploy.Segmentor ")


def test_a_package_is_opened_too_and_arrays_are_bgr(exported: segship.Package, street: Path) -> None:
    image = cv2.imread(str(street))
    assert image is not None
    with Segmentor(model_path=exported.path, device_name="cpu") as theirs, segship.Segmentor(exported) as ours:
        np.testing.assert_array_equal(theirs(image), ours(street))
        np.testing.assert_array_equal(theirs(image[:, :, :1]), ours(image[:, :, 0]))
        assert not np.array_equal(theirs(image), ours(image)), "ours takes arrays as RGB"


def test_device_names_are_mmdeploys(exported: segship.Package) -> None:
    with pytest.raises(InputError, match="the number as device_id"):
        Segmentor(exported.path, "cuda:1")
    with pytest.raises(InputError, match="device_id is -1"):
        Segmentor(exported.path, "cpu", -1)
    with pytest.raises(BackendError, match="cuda"):
        Segmentor(exported.path, "cuda", 3)
    with pytest.raises(PackageError, match="no such directory"):
        Segmentor("nowhere", "cpu")


@pytest.mark.parametrize("image", ["street.png", np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), None])
def test_what_is_no_image_of_opencvs_is_refused(exported: segship.Package, image: Any) -> None:
    with Segmentor(exported.path) as segmentor, pytest.raises(InputError, match=r"in BGR, as cv2\.imread makes it"):
        segmentor(image)


def test_both_answer_the_same_where_mmdeploy_runtime_is_there(tmp_path: Path) -> None:
    python = os.environ.get("SEGSHIP_MMDEPLOY_PYTHON")
    if python is None:
        pytest.skip("SEGSHIP_MMDEPLOY_PYTHON names no Python with mmdeploy_runtime")
    np.save(tmp_path / "image.npy", cv2.resize(PIXELS, (319, 191)))
    arguments = [FOLDER, tmp_path / "image.npy", tmp_path / "theirs.npz"]
    subprocess.run([python, "-c", RUN.format(module="mmdeploy_runtime"), *arguments], check=True, capture_output=True)
    subprocess.run(
        [sys.executable, "-c", RUN.format(module="segship.mmdeploy"), *arguments[:2], tmp_path / "ours.npz"],
        check=True,
    )
    with np.load(tmp_path / "theirs.npz") as theirs, np.load(tmp_path / "ours.npz") as ours:
        assert theirs.files == ours.files
        assert all(np.array_equal(theirs[name], ours[name]) for name in theirs.files)
