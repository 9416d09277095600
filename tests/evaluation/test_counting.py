"""Reading, labelling and counting, and what happens with samples that cannot be used."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from segship.core.errors import InputError
from segship.datasets.label_encoding import LabelEncoding
from segship.datasets.samples import Sample
from segship.evaluation import Evaluation, evaluate, pair_files
from segship.evaluation.counter import Counter, count_all, remap_labels
from segship.evaluation.tally import EXTREMES, Tally
from segship.metrics.boundary import boundary_areas

from .conftest import CLASSES, Bands, truth_of

COUNTER = Counter(LabelEncoding(3), 3)


def total(counter: Counter, engines: list[tuple[Bands, ...]], samples: tuple[Sample, ...]) -> Tally:
    tally = counter.empty()
    count_all(counter, engines, samples, range(len(samples)), lambda _, counted: tally.add(counted))
    return tally


def expected_matrix(shift: int) -> list[list[int]]:
    matrix = np.zeros((3, 3), np.int64)
    for number in range(4):
        truth = truth_of(number)
        np.add.at(matrix, (truth.ravel(), np.roll(truth, shift, 1).ravel()), 1)
    found: list[list[int]] = matrix.tolist()
    return found


def test_matrix_is_the_sum_over_all_images(samples: tuple[Sample, ...]) -> None:
    tally = total(COUNTER, [(Bands(shift=3),)], samples)
    assert tally.matrix.tolist() == expected_matrix(3)
    assert tally.images == 4
    assert not tally.problems


def test_lanes_share_the_images_and_count_the_same(samples: tuple[Sample, ...]) -> None:
    engines = [(Bands(3),), (Bands(3),), (Bands(3),)]
    assert total(COUNTER, engines, samples).matrix.tolist() == expected_matrix(3)
    assert sum(len(networks[0].seen) for networks in engines) == 4


def test_pairs_of_files_can_be_evaluated(data: Path) -> None:
    told: list[tuple[int, int]] = []
    found = evaluate(Bands(), pair_files(data / "images", data / "labels"), progress=lambda *state: told.append(state))
    assert (found.images, found.scores.aAcc, found.scores.mIoU) == (4, 100, 100)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_pairing_names_the_first_image_without_label_map(data: Path) -> None:
    (data / "labels/x/1.png").unlink()
    with pytest.raises(InputError, match=r"1 of 4 images have no label map; the first is .*x/1.png"):
        pair_files(data / "images", data / "labels")


def test_every_kind_of_problem_is_counted_and_named(data: Path, samples: tuple[Sample, ...]) -> None:
    labels = data / "labels/x"
    (labels / "0.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    cv2.imwrite(str(labels / "1.png"), np.zeros((5, 6), np.uint8))
    strange = truth_of(2)
    strange[0, :7] = 9
    cv2.imwrite(str(labels / "2.png"), strange)
    cv2.imwrite(str(data / "images/x/3.png"), np.zeros((2, 2, 3), np.uint8))
    cv2.imwrite(str(labels / "3.png"), np.zeros((2, 2), np.uint8))
    more = (*samples, Sample("x/4", data / "images/x/0.png", None))
    found = Evaluation.of(total(COUNTER, [(Bands(),)], more), CLASSES, more)
    assert (found.images, found.skipped) == (1, 4)
    assert found.matrix.sum() == 24 * 40 - 7
    named = {entry["kind"]: entry for entry in found.as_dict()["problems"]}
    assert {kind: entry["count"] for kind, entry in named.items()} == dict.fromkeys(
        ("missing_labels", "unreadable", "size_mismatch", "refused", "labels_out_of_range"), 1
    )
    assert named["labels_out_of_range"]["examples"][0].endswith("2.png: label 9 (7 pixels)")
    assert named["size_mismatch"]["examples"][0].endswith("1.png is 6x5, its image 40x24")
    assert named["refused"]["examples"] == [f"{data / 'images/x/3.png'}: too small"]


def test_nothing_that_can_be_used_is_an_error(data: Path) -> None:
    (data / "images/x/0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"no image could be evaluated \(unreadable: .*0.png"):
        evaluate(Bands(), [(data / "images/x/0.png", data / "labels/x/0.png")])


def test_an_engine_that_fails_stops_the_count_at_once(samples: tuple[Sample, ...]) -> None:
    class Broken(Bands):
        def __call__(self, *_: object, **__: object) -> None:  # type: ignore[override]
            raise RuntimeError("engine")

    with pytest.raises(RuntimeError, match="engine"):
        total(COUNTER, [(Broken(),)], samples)


def test_boundary_areas_are_summed(samples: tuple[Sample, ...]) -> None:
    tally = total(Counter(LabelEncoding(3), 3, boundary=True), [(Bands(1),)], samples)
    areas = sum(boundary_areas(np.roll(truth_of(number), 1, 1), truth_of(number), 3) for number in range(4))
    assert tally.boundary is not None
    assert np.array_equal(tally.boundary, areas)
    found = Evaluation.of(tally, CLASSES, samples).as_dict()
    assert found["classes"][0]["BoundaryIoU"] == pytest.approx(100 * areas[0, 0] / areas[1, 0])


def test_two_networks_are_compared_on_every_image(samples: tuple[Sample, ...]) -> None:
    tally = total(Counter(LabelEncoding(3), 3, against=True), [(Bands(), Bands(3))], samples)
    found = Evaluation.of(tally, CLASSES, samples, second="other")
    assert found.against is not None
    assert found.against.matrix.tolist() == expected_matrix(3)
    shares = [float((truth_of(n) != np.roll(truth_of(n), 3, 1)).mean()) for n in range(4)]
    order = sorted(range(4), key=lambda n: -shares[n])
    assert [name for name, _ in found.against.images] == [f"x/{n}" for n in order]
    assert found.against.agreement == pytest.approx(100 * (1 - np.mean(shares)))
    entry = found.as_dict()["against"]["classes"][1]
    assert entry["IoU_difference"] == pytest.approx(found.against.scores.IoU[1] - 100)


def test_classes_of_the_second_network_may_stand_in_another_order(samples: tuple[Sample, ...]) -> None:
    class Turned(Bands):
        def __call__(self, image: object, /, *, channel_order: object) -> object:  # type: ignore[override]
            return 2 - super().__call__(image, channel_order=channel_order)  # type: ignore[arg-type]

    counter = Counter(LabelEncoding(3), 3, against=True, translate=(2, 1, 0))
    tally = total(counter, [(Bands(), Turned())], samples)
    assert tally.differing == 0


def test_only_a_few_images_and_messages_are_remembered() -> None:
    tally = Tally.empty(1, against=True)
    for place in range(100):
        one = Tally.empty(1, against=True)
        one.extremes = [(place % 10 / 10, place)]
        one.blame("refused", place, str(place))
        tally.add(one)
    assert len(tally.extremes) == EXTREMES
    assert tally.extremes[:2] == [(0.9, 9), (0.9, 19)]
    assert tally.problems["refused"].count == 100
    assert len(tally.problems["refused"].examples) == 20


def test_labels_beyond_a_byte_are_remapped() -> None:
    mask = np.array([[0, 1]], np.uint8)
    assert remap_labels(mask, (300, 2)).tolist() == [[300, 2]]
    assert remap_labels(mask, ()) is mask
