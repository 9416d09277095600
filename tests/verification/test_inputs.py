from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segship.core.errors import InputError
from segship.core.plan import Plan
from segship.core.spec import ModelSpec, Resize, SizeRule, Slide
from segship.core.target import Shape, Target
from segship.verification.inputs import BUDGET, TRACED, Input, references, verification_inputs
from segship.vision.draw import write_png

SPEC = ModelSpec(source="test", architecture="any", classes=("a", "b"), palette=((0, 0, 0), (1, 1, 1)))
DYNAMIC = Target(backend="onnxruntime")


def inputs(spec: ModelSpec, sizes: SizeRule, *images: Path, target: Target = DYNAMIC, **more: Any) -> list[Input]:
    return list(verification_inputs(Plan(spec=spec, sizes=sizes, target=target, **more), images, batch=True))


def shapes(spec: ModelSpec, sizes: SizeRule) -> list[tuple[int, ...]]:
    return [each.tensor.shape for each in inputs(spec, sizes)]


@pytest.mark.parametrize(
    "rule", [SizeRule(), SizeRule(multiple_of=32), SizeRule(minimum=(512, 300)), SizeRule(multiple_of=64)]
)
def test_a_free_network_is_verified_at_sizes_it_was_not_traced_at(rule: SizeRule) -> None:
    found = shapes(SPEC, rule)
    traced = rule.nearest(*TRACED)
    assert {shape[0] for shape in found} == {1, 2}
    assert any(shape[0] == 2 and shape[2:] != traced for shape in found)
    assert all(rule.allows(*shape[2:]) for shape in found)


def test_a_network_of_one_size_is_verified_at_it() -> None:
    assert set(shapes(SPEC, SizeRule(fixed=(64, 96)))) == {(1, 3, 64, 96), (2, 3, 64, 96)}


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        ((150, 300), SizeRule(), (150, 300)),
        ((256, 256), SizeRule(multiple_of=32), (256, 256)),
        ((2048, 4096), SizeRule(multiple_of=32), None),
        ((1111, 3333), SizeRule(), None),
    ],
)
def test_the_size_of_the_networks_own_preprocessing_is_verified_within_the_budget(
    size: tuple[int, int], rule: SizeRule, expected: tuple[int, int] | None
) -> None:
    spec = SPEC.model_copy(update={"geometry": (Resize(height=size[0], width=size[1]),)})
    *_, (batch, _, height, width) = shapes(spec, rule)
    assert batch == 1
    if expected is not None:
        assert (height, width) == expected
        return
    step = rule.multiple_of
    assert height * width <= BUDGET < (height + step) * (width + step)
    assert math.isclose(height / width, size[0] / size[1], abs_tol=2 * step / width)


def test_a_network_that_slides_is_verified_at_its_window() -> None:
    spec = SPEC.model_copy(update={"slide": Slide(crop=(200, 310), stride=(100, 150))})
    assert shapes(spec, SizeRule())[-1] == (1, 3, 200, 310)


def test_a_users_image_is_compared_at_its_own_size(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((700, 900, 3), np.uint8))
    spec = SPEC.model_copy(update={"geometry": (Resize(height=1000, width=2000),)})  # above the budget
    found = inputs(spec, SizeRule(), tmp_path / "a.png")[-1]
    assert found.name == "a.png"
    assert found.tensor.shape == (1, 3, 1000, 2000)
    assert found.steps[-1].size == (700, 900)


def test_an_image_that_the_engine_cannot_take_is_named(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.zeros((70, 90, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png becomes 70x90, this network takes exactly 64x96"):
        inputs(SPEC, SizeRule(fixed=(64, 96)), tmp_path / "a.png")


def test_engines_that_prepare_images_are_given_whole_ones() -> None:
    spec = SPEC.model_copy(update={"geometry": (Resize(height=64, width=96),)})
    for each in inputs(spec, SizeRule(), embed=("pre", "post")):
        assert each.image.dtype == np.uint8
        assert each.steps[-1].size == each.image.shape[:2]
        assert each.tensor.shape == (1, 3, 64, 96)
    for each in inputs(spec, SizeRule(), embed=("post",)):
        assert each.image is each.tensor
        assert each.steps[-1].size == (64, 96)


class Mean:
    """A network whose logits are the first two channels."""

    def run(self, feeds: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        return {"logits": feeds["image"][:, :2]}


def test_references_hold_the_networks_own_logits() -> None:
    plan = Plan(spec=SPEC, sizes=SizeRule(), target=Target(backend="onnxruntime", shape=Shape.only(64, 96)))
    for each in references(Mean(), plan, [], batch=False):
        assert np.array_equal(each.logits, each.image[:, :2])
        assert each.input == each.image.shape
