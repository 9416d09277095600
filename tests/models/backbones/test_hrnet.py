from __future__ import annotations

from typing import Any

import pytest
import torch

from segship.core.errors import ConfigError
from segship.models.backbones.hrnet import HRNet


def stage(branches: int, block: str = "BASIC") -> dict[str, Any]:
    return {
        "num_modules": 1,
        "num_branches": branches,
        "block": block,
        "num_blocks": (1,) * branches,
        "num_channels": tuple(2 * 2**i for i in range(branches)),
    }


def extra() -> dict[str, Any]:
    return {"stage1": stage(1, "BOTTLENECK"), "stage2": stage(2), "stage3": stage(3), "stage4": stage(4)}


def test_odd_sizes_give_maps_of_strides_4_to_32() -> None:
    maps = HRNet(extra()).eval()(torch.zeros(1, 3, 71, 90))
    assert [tuple(x.shape) for x in maps] == [(1, 2, 18, 23), (1, 4, 9, 12), (1, 8, 5, 6), (1, 16, 3, 3)]


def test_without_multiscale_output_only_the_largest_map_is_returned() -> None:
    maps = HRNet(extra(), multiscale_output=False).eval()(torch.zeros(1, 3, 64, 64))
    assert [tuple(x.shape) for x in maps] == [(1, 2, 16, 16)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage3": None}, "stage3"),
        ({"stage2": {**stage(2), "num_channels": (2,)}}, "stage2 has 2 branches"),
        ({"stage4": {**stage(4), "block": "RESIDUAL"}}, "BASIC or BOTTLENECK"),
    ],
)
def test_incomplete_descriptions_are_refused(change: dict[str, Any], message: str) -> None:
    described = {key: value for key, value in {**extra(), **change}.items() if value is not None}
    with pytest.raises(ConfigError, match=message):
        HRNet(described)
