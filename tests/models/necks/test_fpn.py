from __future__ import annotations

from typing import Any

import pytest
import torch

from segship.core.errors import ConfigError
from segship.models.necks.fpn import FPN

MAPS = [torch.ones(1, 2 * 2**i, 24 // 2**i, 40 // 2**i) for i in range(4)]
WIDTHS = [2, 4, 8, 16]


@pytest.mark.parametrize("source", [False, True, "on_input", "on_lateral", "on_output"])
def test_extra_levels_halve_the_size_again_whatever_they_are_made_from(source: bool | str) -> None:
    levels = FPN(WIDTHS, 6, 6, add_extra_convs=source)(MAPS)
    assert [tuple(x.shape[2:]) for x in levels] == [(24, 40), (12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]


def test_pooled_extra_levels_keep_every_other_cell() -> None:
    torch.manual_seed(0)
    *_, last, fifth, sixth = FPN(WIDTHS, 6, 6)([torch.randn_like(x) for x in MAPS])
    torch.testing.assert_close(fifth, last[..., ::2, ::2])
    torch.testing.assert_close(sixth, last[..., ::4, ::4])


def test_each_level_is_the_sum_of_its_own_and_all_smaller_maps() -> None:
    neck = FPN([1, 1, 1], 1, 3)
    for name, value in neck.state_dict().items():
        value.zero_()
        if name.endswith("conv.weight"):
            value[..., value.shape[2] // 2, value.shape[3] // 2] = 1
    with torch.inference_mode():
        levels = neck([torch.full((1, 1, 4 // 2**i, 8 // 2**i), 10.0**i) for i in range(3)])
    assert [x.mean().item() for x in levels] == [111, 110, 100]


@pytest.mark.parametrize(
    "options", [{"num_outs": 3}, {"num_outs": 3, "end_level": 2}, {"num_outs": 5, "add_extra_convs": "on_image"}]
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FPN(WIDTHS, 6, **options)
