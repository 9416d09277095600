"""Labels and scores against PyTorch, and against closed forms where PyTorch has no say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from segship.vision import dense, upsample
from segship.vision.upsample import Step, labels, operators, scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array = Any


def with_torch(logits: NDArray[np.float32], steps: tuple[Step, ...], *, align_corners: bool) -> Array:
    torch = pytest.importorskip("torch")
    values = torch.from_numpy(logits)[None]
    for step in steps:
        values = torch.nn.functional.interpolate(values, step.size, mode="bilinear", align_corners=align_corners)
        height, width = step.crop or step.size
        values = values[:, :, :height, :width]
    return values[0]


def in_doubt(resized: Array, scale: float) -> NDArray[np.bool_]:
    """Pixels where the best two classes are equal but for float32 noise."""
    best = resized.topk(2, dim=0).values
    return ((best[0] - best[1]) < 1e-5 * scale).numpy()


def draw_logits(random: np.random.Generator) -> NDArray[np.float32]:
    classes = int(random.choice([2, 3, 8, 19, 60, 150, 256, 257]))
    logits = random.standard_normal((classes, *random.integers(1, random.choice([3, 8, 24]), 2)))
    kind = random.integers(4)
    if kind == 0:
        logits = np.round(logits)
    elif kind == 1:
        logits = np.stack([cv2.GaussianBlur(plane, (0, 0), 2) for plane in logits])
    elif kind == 2:
        logits = 1e3 * logits + 1e4
    return logits.astype(np.float32)


def draw_steps(random: np.random.Generator, size: tuple[int, ...]) -> tuple[Step, ...]:
    steps: list[Step] = []
    for _ in range(random.integers(1, 4)):
        factor = random.choice([0.3, 0.5, 1, 2, 3, 4, 8], 2)
        new = np.clip((np.array(size) * factor).astype(int) if random.integers(2) else random.integers(1, 99, 2), 1, 99)
        crop = random.integers((new + 1) // 2, new + 1) if random.integers(2) else new
        steps.append(Step((int(new[0]), int(new[1])), (int(crop[0]), int(crop[1]))))
        size = (int(crop[0]), int(crop[1]))
    return tuple(steps)


@pytest.mark.parametrize("size", [(20, 31), (48, 64), (144, 192), (300, 17), (721, 1283)])
def test_what_is_decided_on_the_way_goes_on_by_nearest_pixels_as_in_opencv(size: tuple[int, int]) -> None:
    logits = np.random.default_rng(7).standard_normal((19, 12, 16)).astype(np.float32)
    decided = labels(logits, (Step((48, 64)),), align_corners=False)
    found = labels(logits, (Step((48, 64)), Step(size, nearest=True)), align_corners=False)
    np.testing.assert_array_equal(found, cv2.resize(decided, size[::-1], interpolation=cv2.INTER_NEAREST))


@pytest.mark.parametrize("way", ["chosen", "shortcut", "dense"])
@pytest.mark.parametrize("seed", range(4))
def test_random_chains_give_torchs_labels_and_scores(way: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "chosen":
        monkeypatch.setattr(upsample, "_costs_more", lambda *_: way == "dense")
    random = np.random.default_rng(seed)
    for _ in range(60):
        logits, align_corners = draw_logits(random), bool(random.integers(2))
        steps = draw_steps(random, logits.shape[1:])
        resized = with_torch(logits, steps, align_corners=align_corners)
        found = labels(logits, steps, align_corners=align_corners)
        assert found.dtype == (np.uint8 if len(logits) <= 256 else np.uint16)
        wrong = (found != resized.argmax(0).numpy()) & ~in_doubt(resized, float(np.abs(logits).max()))
        assert not wrong.any(), (logits.shape, steps, align_corners)
        if np.abs(logits).max() < 100:
            probability = scores(logits, steps, align_corners=align_corners)
            assert probability.dtype == np.float32
            np.testing.assert_allclose(probability, resized.softmax(0).numpy(), atol=3e-6)


@pytest.mark.parametrize("way", ["chosen", "shortcut", "dense"])
def test_what_is_small_beside_its_neighbours_is_decided_too(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "chosen":
        monkeypatch.setattr(upsample, "_costs_more", lambda *_: way == "dense")
    random = np.random.default_rng(0)
    for _ in range(40):
        # Probabilities of masks that no query claims: each cell has its own order of magnitude.
        sizes = np.exp(8 * random.standard_normal((1, *random.integers(3, 24, 2))))
        logits = (sizes * random.uniform(0.2, 1, (4, *sizes.shape[1:]))).astype(np.float32)
        steps = draw_steps(random, logits.shape[1:])
        resized = with_torch(logits, steps, align_corners=False)
        best = resized.topk(2, dim=0).values
        sure = (best[0] - best[1] > 1e-5 * best[0]).numpy()
        found = labels(logits, steps, align_corners=False)
        np.testing.assert_array_equal(found[sure], resized.argmax(0).numpy()[sure])


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 0.97, 1])
def test_one_channel_is_decided_by_its_sigmoid(threshold: float) -> None:
    random = np.random.default_rng(0)
    logits = (4 * random.standard_normal((1, 12, 17))).astype(np.float32)
    steps = (Step((96, 136)), Step((70, 99)))
    resized = with_torch(logits, steps, align_corners=False)[0]
    found = labels(logits, steps, align_corners=False, threshold=threshold)
    assert found.dtype == np.uint8
    unsure = np.abs(resized.sigmoid().numpy() - threshold) < 1e-5
    np.testing.assert_array_equal(found[~unsure], (resized.sigmoid() > threshold).numpy()[~unsure])
    probability = scores(logits, steps, align_corners=False, sigmoid=True)
    np.testing.assert_allclose(probability[0], resized.sigmoid().numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("threshold", "cut"),
    [(0.5, 0), (0.25, np.log(1 / 3)), (0.9, np.log(9)), (0.999, np.log(999)), (1e-6, np.log(1e-6))],
)
def test_a_threshold_lies_at_its_logit(threshold: float, cut: float) -> None:
    around = np.array([[[cut - 1e-3, cut + 1e-3]]], np.float32)
    assert labels(around, (Step((1, 2)),), align_corners=False, threshold=threshold).tolist() == [[0, 1]]


def test_the_ends_of_the_threshold() -> None:
    extremes = np.array([[[-np.inf, -200, -80, 0, 200, np.inf]]], np.float32)
    steps = (Step((1, 6)),)
    for logits in (extremes, np.nan_to_num(extremes, posinf=300, neginf=-300)):
        assert labels(logits, steps, align_corners=False, threshold=0).tolist() == [[0, 0, 1, 1, 1, 1]]
        assert labels(logits, steps, align_corners=False, threshold=1).tolist() == [[0] * 6]
        assert labels(logits, steps, align_corners=False, threshold=-0.1).tolist() == [[1] * 6]


def test_of_equal_classes_the_first_wins() -> None:
    logits = np.zeros((300, 3, 4), np.float32)
    logits[[7, 9, 280]] = 1
    assert (labels(logits, (Step((24, 32)),), align_corners=False) == 7).all()
    assert (labels(logits[:256], (Step((24, 32)),), align_corners=True) == 7).all()


@pytest.mark.parametrize("classes", [255, 256, 257])
@pytest.mark.parametrize("winner", [0, 1, 254, 255, 256])
def test_every_class_can_win(classes: int, winner: int) -> None:
    if winner >= classes:
        return
    logits = np.zeros((classes, 2, 3), np.float32)
    logits[winner] = 1
    assert (labels(logits, (Step((8, 12)),), align_corners=False) == winner).all()


def test_a_class_that_leads_in_no_cell_can_win_between_them() -> None:
    logits = np.array([[[4, 0, 0]], [[0, 0, 4]], [[3, 3, 3]]], np.float32)
    np.testing.assert_array_equal(labels(logits, (Step((1, 3)),), align_corners=True), [[0, 2, 1]])
    two = np.array([[[4, 0]], [[0, 4]], [[3, 3]]], np.float32)
    # At a share t of the way the values are 4 - 4t, 4t and 3: class 2 leads for t within 1/4 and 3/4.
    np.testing.assert_array_equal(labels(two, (Step((1, 11)),), align_corners=True), [[0] * 3 + [2] * 5 + [1] * 3])


def test_an_infinite_cell_reaches_only_the_pixels_that_draw_on_it() -> None:
    logits = np.zeros((2, 1, 8), np.float32)
    logits[1, 0, 0] = np.inf
    found = labels(logits, (Step((1, 64)),), align_corners=False)
    assert found[0].tolist() == [1] * 12 + [0] * 52
    hidden = np.zeros((3, 4, 4), np.float32)
    hidden[0] = -np.inf
    assert (labels(hidden, (Step((9, 13)),), align_corners=False) == 1).all()
    probability = scores(hidden, (Step((9, 13)),), align_corners=False)
    np.testing.assert_allclose(probability[:, 4, 4], [0, 0.5, 0.5])


def test_an_undefined_cell_wins_as_in_torch() -> None:
    logits = np.random.default_rng(0).standard_normal((4, 5, 5)).astype(np.float32)
    logits[2, 2, 3] = np.nan
    found = labels(logits, (Step((10, 10)),), align_corners=False)
    expected = with_torch(logits, (Step((10, 10)),), align_corners=False).argmax(0).numpy()
    np.testing.assert_array_equal(found, expected)
    assert (found[3:7, 5:9] == 2).all()


def test_a_cell_of_weight_zero_has_no_say_even_when_undefined() -> None:
    logits = np.array([[[0, 1, np.nan]], [[2, 0, 0]]], np.float32)
    assert labels(logits, (Step((1, 3)),), align_corners=False).tolist() == [[1, 0, 0]]
    assert labels(logits, (Step((1, 5)),), align_corners=True).tolist() == [[1, 1, 0, 0, 0]]


@pytest.mark.parametrize("align_corners", [False, True])
def test_noise_of_many_classes_is_right_and_needs_little_memory(
    align_corners: bool, monkeypatch: pytest.MonkeyPatch, implementation: str
) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    logits = np.random.default_rng(0).standard_normal((150, 64, 64)).astype(np.float32)
    used = []
    resize = dense.labels
    monkeypatch.setattr(dense, "labels", lambda *args: used.append(True) or resize(*args))
    tracemalloc.start()
    found = labels(logits, (Step((512, 512)),), align_corners=align_corners)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bool(used) == (implementation == "numpy")
    assert peak < 64e6
    resized = with_torch(logits, (Step((512, 512)),), align_corners=align_corners)
    wrong = (found != resized.argmax(0).numpy()) & ~in_doubt(resized, 5)
    assert not wrong.any()


def test_inputs_are_left_alone_and_may_be_views() -> None:
    whole = np.random.default_rng(0).standard_normal((10, 12, 3)).astype(np.float32)
    view = whole.transpose(2, 0, 1)[:, ::2]
    steps = (Step((40, 48)),)
    kept = view.copy()
    np.testing.assert_array_equal(labels(view, steps, align_corners=False), labels(kept, steps, align_corners=False))
    np.testing.assert_array_equal(scores(view, steps, align_corners=False), scores(kept, steps, align_corners=False))
    np.testing.assert_array_equal(view, kept)


def test_half_precision_logits_are_taken() -> None:
    logits = np.random.default_rng(0).standard_normal((3, 4, 4)).astype(np.float16)
    steps = (Step((16, 16)),)
    np.testing.assert_array_equal(
        labels(logits, steps, align_corners=False), labels(logits.astype(np.float32), steps, align_corners=False)
    )


def test_operators_are_kept_for_the_next_image() -> None:
    steps = (Step((40, 48)),)
    assert operators((5, 6), steps, align_corners=False) is operators((5, 6), steps, align_corners=False)
