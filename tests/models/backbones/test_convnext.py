from __future__ import annotations

import pytest
import torch

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.backbones.convnext import ConvNeXt

SMALL = {"depths": [1, 1, 1], "channels": [4, 8, 12]}


def test_maps_that_are_averaged_away_are_refused() -> None:
    with pytest.raises(ConfigError, match="gap_before_final_norm=False"):
        ConvNeXt(arch="tiny")


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(UnsupportedError, match=r"'larg'\. Did you mean 'large'"):
        ConvNeXt(arch="larg", gap_before_final_norm=False)


def test_an_architecture_spelt_out_needs_both_lists() -> None:
    with pytest.raises(ConfigError, match="channels missing"):
        ConvNeXt(arch={"depths": [1]}, gap_before_final_norm=False)


def test_other_normalisations_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="LN2d, not 'BN'"):
        ConvNeXt(arch=SMALL, norm_cfg={"type": "BN"}, gap_before_final_norm=False)


def test_negative_stages_count_from_the_end() -> None:
    network = ConvNeXt(arch=SMALL, out_indices=[0, -1], gap_before_final_norm=False).eval()
    with torch.inference_mode():
        maps = network(torch.zeros(1, 3, 40, 56))
    assert [tuple(x.shape) for x in maps] == [(1, 4, 10, 14), (1, 12, 2, 3)]


def test_each_returned_map_is_normalised_over_its_channels() -> None:
    torch.manual_seed(0)
    network = ConvNeXt(arch=SMALL, out_indices=[0, 2], gap_before_final_norm=False).eval()
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, 32, 32))
    for x in maps:
        torch.testing.assert_close(x.mean(1), torch.zeros_like(x[:, 0]), rtol=0, atol=1e-5)


def test_weights_as_matrices_and_as_convolutions_compute_the_same() -> None:
    torch.manual_seed(0)
    one = ConvNeXt(arch=SMALL, use_grn=True, gap_before_final_norm=False).eval()
    other = ConvNeXt(arch=SMALL, use_grn=True, gap_before_final_norm=False, linear_pw_conv=False).eval()
    for name, value in other.state_dict().items():
        value.copy_(one.state_dict()[name].reshape(value.shape))
    x = torch.randn(1, 3, 32, 40)
    with torch.inference_mode():
        torch.testing.assert_close(one(x)[0], other(x)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stem", [2, 4])
def test_the_least_size_is_the_one_below_which_no_map_is_left(stem: int) -> None:
    network = ConvNeXt(arch=SMALL, stem_patch_size=stem, gap_before_final_norm=False).eval()
    assert network.sizes.minimum == (4 * stem, 4 * stem)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, *network.sizes.minimum))[0].shape == (1, 12, 1, 1)
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 3, 4 * stem, 4 * stem - 1))
