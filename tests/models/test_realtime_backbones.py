from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from segship.core.errors import ConfigError, UnsupportedError
from segship.core.spec import SizeRule
from segship.models.backbones.erfnet import ERFNet
from segship.models.backbones.icnet import ICNet
from segship.models.backbones.stdc import STDCNet
from segship.models.backbones.unet import UNet
from segship.models.layers.aggregation_pooling import DAPPM

RESNET: dict[str, Any] = {
    "type": "ResNetV1c",
    "depth": 18,
    "strides": (1, 2, 1, 1),
    "dilations": (1, 1, 2, 4),
    "norm_cfg": {"type": "BN"},
}


def icnet(*, align_corners: bool = False, **backbone: object) -> ICNet:
    return ICNet(RESNET | backbone, layer_channels=(128, 512), psp_out_channels=8, align_corners=align_corners).eval()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (45, 64)])
def test_icnet_halves_as_a_resize_by_one_half_does(size: tuple[int, int], align_corners: bool) -> None:
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=align_corners)
    torch.testing.assert_close(icnet(align_corners=align_corners)._halve(x), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(8, 8), (9, 7), (10, 13)])
def test_a_margin_of_zeros_makes_a_max_pool_round_up(size: tuple[int, int]) -> None:
    x = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    up = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)
    assert torch.equal(F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, stride=2, padding=1), up)


def test_icnet_refuses_a_backbone_without_deep_stem() -> None:
    with pytest.raises(ConfigError, match="deep stem"):
        icnet(type="ResNet")


@pytest.mark.parametrize(
    ("options", "multiple"),
    [
        ({}, 16),
        ({"downsamples": (True, False, True, True)}, 8),
        ({"strides": (1, 2, 1, 1, 1), "downsamples": (False,) * 4}, 2),
    ],
)
def test_a_unets_sides_are_multiples_of_its_whole_reduction(options: dict[str, Any], multiple: int) -> None:
    unet = UNet(base_channels=2, **options).eval()
    assert unet.sizes == SizeRule(multiple_of=multiple)
    maps = unet(torch.zeros(1, 3, multiple, 2 * multiple))
    assert maps[-1].shape == (1, 2, multiple, 2 * multiple)
    assert len(maps) == 5


def test_a_unet_refuses_settings_that_fit_no_stage() -> None:
    with pytest.raises(ConfigError, match="dec_num_convs needs 4 entries"):
        UNet(dec_num_convs=(2, 2, 2, 2, 2))


def test_a_unet_names_the_ways_of_upsampling_it_knows() -> None:
    with pytest.raises(UnsupportedError, match="InterpConv, DeconvModule"):
        UNet(upsample_cfg={"type": "carafe"})


def test_a_unets_default_upsampling_is_bilinear_and_a_named_one_nearest() -> None:
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    plain = UNet(base_channels=2).eval()
    torch.manual_seed(0)
    nearest = UNet(base_channels=2, upsample_cfg={"type": "InterpConv", "upsample_cfg": {"scale_factor": 2}}).eval()
    assert not torch.equal(plain(x)[-1], nearest(x)[-1])


def test_an_adding_stdc_block_holds_its_downsampling_under_both_keys() -> None:
    net = STDCNet("STDCNet1", 3, (4, 4, 8, 8, 8), "add", {"type": "BN"}, {"type": "ReLU"})
    state = net.state_dict()
    first, second = (state[f"stages.2.0.{name}.conv.weight"] for name in ("downsample", "layers.0.1"))
    assert first.data_ptr() == second.data_ptr()


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (5, 2)])
def test_the_widest_pools_take_maps_smaller_than_their_windows(size: tuple[int, int]) -> None:
    pooled = DAPPM(4, 2, 3).eval()(torch.ones(1, 4, *size))
    assert pooled.shape == (1, 3, *size)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_the_least_size_of_an_erfnet_is_the_one_below_which_a_pool_is_empty(steps: int) -> None:
    widths = tuple(range(4, 4 + 2 * steps, 2))
    network = ERFNet(
        enc_downsample_channels=widths,
        enc_stage_non_bottlenecks=(1,) * (steps - 1),
        enc_non_bottleneck_dilations=(1,),
        enc_non_bottleneck_channels=widths[1:],
        dec_upsample_channels=widths[-2::-1],
        dec_stages_non_bottleneck=(1,) * (steps - 1),
        dec_non_bottleneck_channels=widths[-2::-1],
    ).eval()
    (least, _) = network.sizes.minimum
    with torch.inference_mode():
        network(torch.zeros(1, 3, least, least))
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 3, least, least - 1))
