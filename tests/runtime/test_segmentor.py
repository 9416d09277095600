"""An opened package: what it takes as an image, and how it is closed, batched and warmed up."""

from __future__ import annotations

import dataclasses
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

import segship
from segship.backends import find_backend
from segship.core.errors import BackendError, InputError
from segship.runtime.package import find_package
from segship.runtime.pipeline import Pipeline


@pytest.fixture(scope="module")
def segmentor(exported: segship.Package) -> segship.Segmentor:
    return segship.Segmentor(exported)


@pytest.fixture(scope="module")
def mask(segmentor: segship.Segmentor, street: Path) -> Any:
    found = segmentor(street)
    assert len(np.unique(found)) > 1
    return found


def rgba(path: Path, alpha: int = 7) -> Any:
    rgb = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    return np.dstack([rgb, np.full(rgb.shape[:2], alpha, np.uint8)])


def in_memory(path: Path) -> io.BytesIO:
    return io.BytesIO(path.read_bytes())


FORMS = {
    "text": str,
    "path": Path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memory file": in_memory,
    "Pillow": lambda path: PIL.Image.open(in_memory(path)),
    "Pillow with alpha": lambda path: PIL.Image.fromarray(rgba(path)),
    "RGB": lambda path: rgba(path)[:, :, :3],
    "RGBA": rgba,
}


@pytest.mark.parametrize("form", FORMS)
def test_one_image_gives_one_mask_however_it_is_handed_over(
    form: str, segmentor: segship.Segmentor, street: Path, mask: Any
) -> None:
    assert np.array_equal(segmentor(FORMS[form](street)), mask)


def test_an_open_file_is_read_and_left_open(segmentor: segship.Segmentor, street: Path, mask: Any) -> None:
    with street.open("rb") as file:
        assert np.array_equal(segmentor(file), mask)
        assert not file.closed
    with street.open(encoding="latin-1") as text, pytest.raises(InputError, match="opened as text"):
        segmentor(text)


def test_grey_is_grey_in_every_form(segmentor: segship.Segmentor, street: Path, tmp_path: Path) -> None:
    grey = cv2.imread(str(street), cv2.IMREAD_GRAYSCALE)
    expected = segmentor(np.repeat(grey[:, :, None], 3, axis=2))
    sixteen = grey.astype(np.uint16) << 8 | 200
    cv2.imwrite(str(tmp_path / "sixteen.png"), sixteen)
    forms = grey, PIL.Image.fromarray(grey), PIL.Image.fromarray(sixteen), tmp_path / "sixteen.png"
    for form in forms:
        assert np.array_equal(segmentor(form), expected)


@pytest.mark.parametrize("container", [list, tuple])
def test_a_list_of_images_gives_a_list_of_masks(
    container: Any, segmentor: segship.Segmentor, street: Path, mask: Any
) -> None:
    masks = segmentor(container([street, rgba(street)[::2], street.read_bytes()]))
    assert [one.shape for one in masks] == [(77, 131), (39, 131), (77, 131)]
    assert np.array_equal(masks[0], mask)
    assert np.array_equal(masks[2], mask)
    assert segmentor([]) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "the image is empty"),
        (b"%!PS-Adobe", "the image is not an image of a known format"),
        (7, "not int"),
        ([[1, 2]], "not list"),
        (PIL.Image.new("F", (4, 4)), "mode is F"),
        ("nowhere.png", "cannot read nowhere.png: No such file"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, message: str, segmentor: segship.Segmentor) -> None:
    with pytest.raises(InputError, match=message):
        segmentor(image)


@pytest.mark.parametrize("form", [Path.read_bytes, in_memory, lambda path: PIL.Image.open(in_memory(path))])
def test_size_limits_hold_for_every_form(form: Any, exported: segship.Package, street: Path) -> None:
    small = segship.Segmentor(exported, max_pixels=77 * 131 - 1)
    with pytest.raises(InputError, match="the image is too large: 131x77"):
        small(form(street))


def test_it_is_closed_by_with_and_says_so(exported: segship.Package, street: Path) -> None:
    with segship.Segmentor(exported) as opened:
        opened(street)
        assert repr(opened) == (
            f"<Segmentor {str(exported.path)!r}: EncoderDecoder(CGNet, FCNHead), 4 classes, onnxruntime_dynamic on cpu>"
        )
    assert repr(opened).endswith("on cpu, closed>")
    opened.close()
    with pytest.raises(BackendError, match="the engine is closed: open the package again"):
        opened(street)


def test_a_device_is_chosen_where_the_engine_does_not_run_on_a_processor(
    exported: segship.Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = find_package(exported.path)
    assert files.default_device == "cpu"
    backend = find_backend("onnxruntime")
    monkeypatch.setattr(backend, "INFO", dataclasses.replace(backend.INFO, default_device="cuda"))
    assert files.default_device == "cuda"
    with pytest.raises(BackendError, match="has no cuda support"):
        segship.Segmentor(exported.path)


class Counting:
    """A session that tells how large its batches were."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.batches: list[int] = []
        self.closed = False

    def run(self, feeds: Any) -> Any:
        self.batches.append(len(feeds["image"]))
        return self._session.run(feeds)

    def close(self) -> None:
        self.closed = True


def test_images_of_one_size_run_together_where_a_batch_is_allowed(exported: segship.Package, street: Path) -> None:
    manifest = exported.manifest
    session = Counting(find_package(exported.path).session())
    alone = Pipeline(session, manifest.spec, manifest.sizes)
    together = Pipeline(session, manifest.spec, manifest.sizes, batch=4)
    wide = cv2.imread(str(street))
    images = [(wide, "bgr"), (np.ascontiguousarray(wide[:, :60]), "bgr"), (wide[::-1].copy(), "bgr"), (wide, "rgb")]
    expected = [alone.labels(*image) for image in images]
    session.batches.clear()
    found = together.labels_of(images)
    assert sorted(session.batches) == [1, 3]
    for one, other in zip(found, expected, strict=True):
        assert (one == other).mean() > 0.999  # a batch may be summed up in another order
        assert one.shape == other.shape
    together.close()
    assert session.closed


def test_a_batch_reads_only_what_runs_together(
    exported: segship.Package, street: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmentor = segship.Segmentor(exported)
    pipeline = segmentor._pipeline
    pipeline.batch = 2
    read, sizes = [], []
    plain = pipeline.labels_of
    monkeypatch.setattr(
        pipeline, "labels_of", lambda images: (sizes.append((len(images), len(read))), plain(images))[1]
    )
    masks = segmentor.batch(read.append(number) or street for number in range(5))
    assert sizes == [(2, 2), (2, 4), (1, 5)]
    assert len(masks) == 5


def test_warming_up_runs_the_engine_once(exported: segship.Package) -> None:
    segmentor = segship.Segmentor(exported)
    session = Counting(segmentor._pipeline._open)
    segmentor._pipeline._open = session
    segmentor.warm_up()
    segmentor.warm_up((40, 60))
    assert session.batches == [1, 1]


def test_threads_share_one_segmentor(segmentor: segship.Segmentor, street: Path, mask: Any) -> None:
    turned = rgba(street)[::-1].copy()
    expected = segmentor(turned)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(segmentor, [street, turned] * 8))
    for number, one in enumerate(found):
        assert np.array_equal(one, expected if number % 2 else mask)
