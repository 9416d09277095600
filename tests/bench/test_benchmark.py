"""Timing of packages: what is measured, and what is told of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import segship
from segship.bench import Spread, benchmark
from segship.bench.candidate import Candidate
from segship.core.errors import InputError, PackageError
from support.trained import write_trained


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same network, for any size and for 64x96 alone."""
    folder = tmp_path_factory.mktemp("bench")
    trained = write_trained(folder)
    return (
        segship.export(*trained, folder / "dynamic").path,
        segship.export(*trained, folder / "static", target="onnxruntime_static-64x96").path,
    )


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sliding")
    trained = write_trained(folder, test_cfg="mode='slide', crop_size=(64, 64), stride=(40, 40)")
    return segship.export(*trained, folder / "package").path


def test_percentiles_are_of_the_durations() -> None:
    found = Spread.of([0.001 * number for number in range(101)])
    assert (found.p50, found.p90, found.p99) == pytest.approx((50, 90, 99))
    assert (found.low, found.high, found.mean, found.runs) == pytest.approx((25, 75, 50, 101))


def test_packages_and_batch_sizes_are_measured_from_file_to_mask(packages: tuple[Path, Path]) -> None:
    told: list[float] = []
    found = benchmark(packages, batch_sizes=(1, 2), duration=0.0, memory=True, progress=told.append)
    assert found.kind == "end_to_end"
    # The static engine takes one image at a time, and says so.
    assert [(entry.target, entry.batch) for entry in found.measurements] == [
        ("onnxruntime_dynamic", 1),
        ("onnxruntime_dynamic", 2),
        ("onnxruntime_static-64x96", 1),
    ]
    assert [(entry.batch, entry.reason[:12]) for entry in found.refusals] == [(2, "this engine ")]
    for entry in found.measurements:
        assert list(entry.stages) == ["decode", "preprocess", "engine", "postprocess"]
        assert entry.latency.runs >= 5
        assert entry.latency.p50 <= entry.latency.p90 <= entry.latency.p99
        assert entry.images_per_second == pytest.approx(1000 * entry.batch / entry.latency.mean)
        assert sum(entry.stages.values()) < 2 * entry.latency.p99
        assert entry.memory is None or entry.memory > 20
    assert found.measurements[2].input == (64, 96)
    assert told[-1] <= 1
    assert found.as_dict()["measurements"][0]["latency"]["p99"] > 0


def test_engine_alone_is_kept_apart_and_takes_the_size_itself(packages: tuple[Path, Path]) -> None:
    found = benchmark(packages[:1], size=(32, 48), engine_only=True, duration=0.0, memory=False)
    assert found.kind == "engine"
    assert list(found.measurements[0].stages) == ["engine"]
    assert found.measurements[0].input == (32, 48)


def test_size_is_that_of_the_images_end_to_end(packages: tuple[Path, Path]) -> None:
    # The test pipeline scales to at most 160x96: 100x50 pixels (width x height) become 160x80.
    found = benchmark(packages[:1], size=(50, 100), duration=0.0, memory=False)
    assert found.measurements[0].input == (80, 160)


def test_windows_are_part_of_the_way_to_the_mask(sliding: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image)
    found = benchmark([sliding], images=[tmp_path], duration=0.0, memory=False)
    assert found.measurements[0].input == (64, 64)
    assert found.measurements[0].stages["engine"] > 0


def test_images_of_different_sizes_are_no_batch(packages: tuple[Path, Path], tmp_path: Path) -> None:
    for name, size in (("a", (50, 90)), ("b", (90, 50))):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((*size, 3), np.uint8))
    with pytest.raises(InputError, match="different sizes, which cannot be one batch: give --size"):
        benchmark(packages[:1], batch_sizes=(2,), images=[tmp_path], duration=0.0, memory=False)


def test_a_size_the_network_cannot_take_is_told(packages: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="input would be 32x48, it takes exactly 64x96"):
        benchmark(packages[1:], size=(32, 48), engine_only=True, duration=0.0, memory=False)


def test_what_is_no_package_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="not a package"):
        Candidate.open(tmp_path)


@pytest.fixture(scope="module")
def six_bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of six bands in 16 bits."""
    folder = tmp_path_factory.mktemp("bands")
    torch.manual_seed(0)
    spec = {
        "classes": ["water", "land"],
        "pixels": "multispectral",
        "normalization": {"mean": [1000.0] * 6, "std": [500.0] * 6},
    }
    return segship.export_module(nn.Conv2d(6, 2, 3, stride=4, padding=1), spec, folder / "package").path


def test_networks_of_many_bands_are_measured_beside_others(
    packages: tuple[Path, Path], six_bands: Path, tmp_path: Path
) -> None:
    found = benchmark([packages[0], six_bands], size=(64, 96), duration=0.0, memory=False)
    assert [entry.input for entry in found.measurements] == [(96, 144), (64, 96)]
    assert not found.refusals
    np.save(tmp_path / "a.npy", np.zeros((40, 56, 6), np.uint16))
    own = benchmark([six_bands], images=[tmp_path], duration=0.0, engine_only=True)
    assert own.measurements[0].input == (40, 56)
    assert own.measurements[0].memory is None or own.measurements[0].memory > 20
    resized = benchmark([six_bands], images=[tmp_path], size=(32, 48), duration=0.0, memory=False)
    assert resized.measurements[0].input == (32, 48)


def test_images_of_another_number_of_bands_are_a_reason(six_bands: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((40, 56, 5), np.uint16))
    with pytest.raises(InputError, match=r"has the shape \(40, 56, 5\), this network takes \(height, width, 6\)"):
        benchmark([six_bands], images=[tmp_path], duration=0.0, memory=False)
