"""Many images: how the engine is opened for them, what is worked on at the same time, and how much of it."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import segship
from segship.backends import find_backend
from segship.core.errors import InputError
from segship.runtime import throughput as module
from segship.runtime.overlap import in_order
from segship.runtime.package import find_package
from segship.runtime.throughput import FEW, Room, Throughput, throughput
from support.trained import write_trained


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "processors", lambda: 4)


def chosen(exported: segship.Package, backend: str) -> Any:
    """How a package would be opened if another engine had made it."""
    files = find_package(exported.path)
    manifest = files.manifest.model_copy(
        update={"target": files.manifest.target.model_copy(update={"backend": backend})}
    )
    return replace(files, manifest=manifest)


@pytest.mark.usefixtures("four")
def test_an_engine_is_opened_as_it_makes_the_most_masks(exported: segship.Package) -> None:
    ours, theirs = chosen(exported, "onnxruntime"), chosen(exported, "openvino")
    assert throughput(ours) == Throughput("cpu", 1, at_once=4)
    assert throughput(ours, threads=2) == Throughput("cpu", 2, at_once=2)
    assert throughput(ours, cores=1) == Throughput("cpu", 1, at_once=1)
    assert throughput(ours, device="cuda") == Throughput("cuda", None)
    assert throughput(theirs) == Throughput("cpu,throughput", None, at_once=4)
    assert throughput(theirs, cores=2) == Throughput("cpu,throughput", 2, at_once=2)
    assert throughput(theirs, threads=1) == Throughput("cpu", 1, sessions=4)
    assert throughput(chosen(exported, "executorch")) == Throughput("cpu", None)


@pytest.mark.usefixtures("four")
def test_large_weights_are_not_opened_many_times(exported: segship.Package, monkeypatch: pytest.MonkeyPatch) -> None:
    files = chosen(exported, "openvino")
    size = sum(file.size for file in files.manifest.files.values())
    monkeypatch.setattr(module, "_MOST_WEIGHTS", 3 * size)
    assert throughput(files, threads=1).sessions == 3


class Watched:
    """A backend's ``open``: tells what was opened, and that two runs go on at once in whatever is opened second."""

    def __init__(self, backend: Any) -> None:
        self._open = backend.open
        self.opened: list[tuple[str, int | None]] = []
        self.met = threading.Event()
        self._running: list[int] = []

    def __call__(self, engine: Any, *, device: str = "cpu", threads: int | None = None) -> Any:
        session = self._open(engine, device=device, threads=threads)
        self.opened.append((device, threads))

        def run(feeds: Any) -> Any:
            self._running.append(1)
            if len(self._running) > 1:
                self.met.set()
            elif len(self.opened) > 1:
                self.met.wait(30)
            found = session.run(feeds)
            self._running.pop()
            return found

        return SimpleNamespace(run=run, close=session.close)


@pytest.mark.parametrize("target", ["onnxruntime_dynamic", "openvino_dynamic"])
@pytest.mark.usefixtures("four")
def test_a_batch_runs_several_images_at_the_same_time(
    exported: segship.Package, target: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = exported.path
    if target.startswith("openvino"):
        pytest.importorskip("openvino")
        package = segship.export(*write_trained(tmp_path), tmp_path / "package", target=target).path
    backend = find_backend(target.partition("_")[0])
    watched = Watched(backend)
    monkeypatch.setattr(backend, "open", watched)
    images = [np.random.default_rng(seed).integers(0, 256, (40 + seed, 60, 3), np.uint8) for seed in range(FEW + 4)]
    with segship.Segmentor(package) as segmentor:
        expected = [segmentor(image) for image in images]
        watched.met.clear()
        found = segmentor.batch(images[:FEW])
        assert len(watched.opened) == 1  # a few are not worth another engine
        watched.met.clear()
        found += segmentor.batch(iter(images))
        assert watched.met.is_set()
        found += segmentor.batch(images)
    mode = ("cpu,throughput", None) if target.startswith("openvino") else ("cpu", 1)
    assert watched.opened == [("cpu", None), mode]
    for one, other in zip(found, (*expected[:FEW], *expected, *expected), strict=True):
        assert one.shape == other.shape
        assert (one == other).mean() > 0.999  # other kernels may sum up in another order


@pytest.mark.usefixtures("four")
def test_what_the_user_chose_is_kept(exported: segship.Package) -> None:
    images = [np.zeros((16, 16, 3), np.uint8)] * (FEW + 1)
    for options in ({"threads": 2}, {"device": "cpu", "threads": 1}):
        with segship.Segmentor(exported, **options) as segmentor:
            assert len(segmentor.batch(images)) == FEW + 1
            assert segmentor._many == []


@pytest.mark.usefixtures("four")
def test_closing_closes_both_engines(exported: segship.Package) -> None:
    segmentor = segship.Segmentor(exported)
    segmentor.batch([np.zeros((16, 16, 3), np.uint8)] * (FEW + 1))
    (other,) = segmentor._many
    segmentor.close()
    assert other._pipeline.closed
    with pytest.raises(segship.SegshipError, match="closed"):
        segmentor.batch([np.zeros((16, 16, 3), np.uint8)] * (FEW + 1))


@pytest.mark.usefixtures("four")
def test_predicting_many_files_names_them_in_their_order(exported: segship.Package, tmp_path: Any) -> None:
    for number in range(FEW + 5):
        side = 200 if number % 4 == 0 else 20  # the slow ones do not come last
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.full((side, side, 3), number * 9, np.uint8))
    (tmp_path / "03.png").write_bytes(b"no image")
    with pytest.warns(segship.SegshipWarning, match=r"03\.png"):
        masks = segship.predict(exported, tmp_path, tmp_path / "masks")
    assert [path.stem for path in masks] == [f"{number:02}" for number in range(FEW + 5) if number != 3]
    lines = (tmp_path / "masks" / "index.jsonl").read_text().splitlines()
    assert [line.split('"')[3] for line in lines] == [f"{number:02}" for number in range(FEW + 5)]


def test_a_bounded_number_of_items_is_begun() -> None:
    taken = 0

    def items() -> Any:
        nonlocal taken
        for number in range(50):
            taken += 1
            yield number

    made = in_order(lambda number: number * number, items(), 3)
    for number, result in zip(range(10), made, strict=False):
        assert result() == number * number
        assert taken <= number + 1 + 6
    made.close()
    assert taken < 20


def test_an_error_comes_in_its_place() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise InputError("the third")
        return number

    results = list(in_order(work, range(4), 2))
    assert [results[place]() for place in (0, 1, 3)] == [0, 1, 3]
    with pytest.raises(InputError, match="the third"):
        results[2]()


def test_pixels_that_are_worked_on_are_bounded() -> None:
    room, order = Room(100), []
    entered = threading.Event()

    def second() -> None:
        with room.take(60):
            order.append("second")

    thread = threading.Thread(target=second)
    with room.take(60):
        thread.start()
        assert not entered.wait(0.1)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    with room.take(1000):  # more than there is room for: alone
        order.append("large")
    assert order[-1] == "large"
