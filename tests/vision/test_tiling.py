from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from segship.core.errors import InputError, SizeError
from segship.core.spec import SizeRule, Slide
from segship.vision import tiling
from segship.vision.upsample import Step


def slide(crop: tuple[int, int], stride: tuple[int, int]) -> Slide:
    return Slide(crop=crop, stride=stride)


@pytest.mark.parametrize(
    ("length", "crop", "stride", "starts"),
    [
        (100, 100, 50, (0,)),
        (60, 100, 50, (0,)),
        (101, 100, 50, (0, 1)),
        (150, 100, 50, (0, 50)),
        (151, 100, 50, (0, 50, 51)),
        (1024, 512, 341, (0, 341, 512)),
        (200, 100, 100, (0, 100)),
    ],
)
def test_windows_start_at_multiples_of_the_stride_and_the_last_is_moved_inside(
    length: int, crop: int, stride: int, starts: tuple[int, ...]
) -> None:
    planned = tiling.plan((length, 30), slide((crop, 30), (stride, 30)))
    assert planned.tops == starts
    assert planned.lefts == (0,)
    assert planned.window == (min(length, crop), 30)


def test_batches_go_line_by_line_and_hold_at_most_so_many() -> None:
    tensor = np.arange(5 * 7, dtype=np.float32).reshape(1, 1, 5, 7)
    planned = tiling.plan((5, 7), slide((3, 3), (2, 2)))
    assert len(planned) == 6
    batches = list(planned.batches(tensor, 4))
    assert [len(batch) for batch in batches] == [4, 2]
    assert all(batch.flags.c_contiguous for batch in batches)
    assert [float(window[0, 0, 0]) for batch in batches for window in batch] == [0, 2, 4, 14, 16, 18]
    np.testing.assert_array_equal(batches[0][1], tensor[0, :, 0:3, 2:5])


def test_a_stride_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(InputError, match="leaves gaps"):
        tiling.plan((100, 100), slide((10, 10), (11, 10)))


def test_an_engine_of_one_size_needs_images_of_at_least_that_size() -> None:
    fixed = SizeRule(fixed=(64, 64))
    assert tiling.plan((64, 200), slide((64, 64), (32, 32)), fixed).window == (64, 64)
    with pytest.raises(SizeError, match="50x200 pixels, so its windows are 50x64; this package takes exactly 64x64"):
        tiling.plan((50, 200), slide((64, 64), (32, 32)), fixed)


def slide_with_torch(low: Any, tensor: Any, step: Slide, *, align_corners: bool) -> Any:
    """The published procedure: pad each window's logits to the input's size, add up, divide by the count."""
    torch = pytest.importorskip("torch")
    height, width = tensor.shape[2:]
    total = count = torch.zeros(())
    for top in range(max(height - step.crop[0] + step.stride[0] - 1, 0) // step.stride[0] + 1):
        for left in range(max(width - step.crop[1] + step.stride[1] - 1, 0) // step.stride[1] + 1):
            bottom = min(top * step.stride[0] + step.crop[0], height)
            right = min(left * step.stride[1] + step.crop[1], width)
            y, x = max(bottom - step.crop[0], 0), max(right - step.crop[1], 0)
            logits = low(tensor[:, :, y:bottom, x:right])
            whole = torch.nn.functional.interpolate(
                logits, (bottom - y, right - x), mode="bilinear", align_corners=align_corners
            )
            margin = (x, width - right, y, height - bottom)
            total = total + torch.nn.functional.pad(whole, margin)
            count = count + torch.nn.functional.pad(torch.ones_like(whole[:, :1]), margin)
    return total / count


@dataclass
class Drawn:
    """A random input, a small random network and a random slide over it."""

    seed: int

    def __post_init__(self) -> None:
        torch = pytest.importorskip("torch")
        random = np.random.default_rng(self.seed)
        self.size, self.crop = random.integers(5, 80, 2).tolist(), random.integers(4, 50, 2).tolist()
        self.stride = [int(random.integers(-(-side // 4), side + 1)) for side in self.crop]
        self.classes, self.shrink = int(random.choice([1, 2, 19])), int(random.choice([1, 2, 8]))
        self.align_corners = bool(self.seed % 2)
        self.tensor = random.standard_normal((1, 3, *self.size)).astype(np.float32)
        self.kernel = torch.from_numpy(random.standard_normal((self.classes, 3, 3, 3)).astype(np.float32))
        self.kept = tuple(int(random.integers(1, side + 1)) for side in self.size)
        self.image = tuple(random.integers(3, 100, 2).tolist())

    @property
    def slide(self) -> Slide:
        return Slide(crop=tuple(self.crop), stride=tuple(self.stride))

    def network(self, window: Any) -> Any:
        torch = pytest.importorskip("torch")
        features = torch.nn.functional.conv2d(window, self.kernel, padding=1)
        reduced = [max(1, side // self.shrink) for side in window.shape[2:]]
        return torch.nn.functional.adaptive_avg_pool2d(features, reduced)

    def expected(self) -> Any:
        torch = pytest.importorskip("torch")
        tensor = torch.from_numpy(self.tensor)
        averaged = slide_with_torch(self.network, tensor, self.slide, align_corners=self.align_corners)
        averaged = averaged[:, :, : self.kept[0], : self.kept[1]]
        return torch.nn.functional.interpolate(averaged, self.image, mode="bilinear", align_corners=self.align_corners)[
            0
        ]


@pytest.mark.parametrize("seed", range(40))
def test_the_average_of_windows_is_that_of_slide_inference(seed: int) -> None:
    torch = pytest.importorskip("torch")
    drawn = Drawn(seed)
    planned = tiling.plan(tuple(drawn.size), drawn.slide)
    logits = np.concatenate(
        [drawn.network(torch.from_numpy(batch)).numpy() for batch in planned.batches(drawn.tensor, 3)]
    )
    steps, binary = (Step(tuple(drawn.size), crop=drawn.kept), Step(drawn.image)), drawn.classes == 1
    expected = drawn.expected()
    if binary:
        probability = expected.sigmoid().numpy()
        decided, gap = probability[0] > 0.4, np.abs(probability[0] - 0.4)
    else:
        probability, best = expected.softmax(0).numpy(), expected.topk(2, dim=0).values.numpy()
        decided, gap = expected.argmax(0).numpy(), best[0] - best[1]
    found = tiling.labels(logits, planned, steps, align_corners=drawn.align_corners, threshold=0.4 if binary else None)
    sure = gap > 1e-5 * np.abs(logits).max()
    assert found.shape == drawn.image
    np.testing.assert_array_equal(found[sure], decided[sure])
    scored = tiling.scores(logits, planned, steps, align_corners=drawn.align_corners, sigmoid=binary)
    np.testing.assert_allclose(scored, probability, atol=5e-6)
