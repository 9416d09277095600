from __future__ import annotations

import pytest
import torch

from segship.core.errors import ConfigError
from segship.core.spec import SizeRule
from segship.models.backbones.mit import MixVisionTransformer
from segship.models.backbones.swin import SwinTransformer
from segship.models.backbones.twins import SVT


def test_an_absolute_position_embedding_fixes_the_size() -> None:
    network = SwinTransformer(use_abs_pos_embed=True, pretrain_img_size=64, depths=(2, 2), num_heads=(3, 6))
    assert network.sizes == SizeRule(fixed=(64, 64))


def test_the_first_stride_must_be_the_patchs_side() -> None:
    with pytest.raises(ConfigError, match="patch_size"):
        SwinTransformer(strides=(2, 2, 2, 2))


def test_half_a_window_of_map_is_as_good_as_any() -> None:
    network = SwinTransformer(embed_dims=6, depths=(2, 2), num_heads=(1, 2), out_indices=(0, 1), strides=(4, 2)).eval()
    assert [tuple(x.shape) for x in network(torch.zeros(1, 3, 5, 9))] == [(1, 6, 2, 3), (1, 12, 1, 2)]


@pytest.mark.parametrize("network", [MixVisionTransformer, SVT])
def test_the_least_size_is_the_first_one_that_every_reduction_fits(network: type[torch.nn.Module]) -> None:
    narrow = {"embed_dims": 4} if network is MixVisionTransformer else {"embed_dims": (4, 8, 16)}
    built = network(**narrow).eval()
    assert isinstance(built.sizes, SizeRule)
    height, width = built.sizes.minimum
    built(torch.zeros(1, 3, height, width))
    with pytest.raises(RuntimeError, match="Kernel size"):
        built(torch.zeros(1, 3, height - 1, width))
