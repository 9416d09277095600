from __future__ import annotations

from typing import Any

import pytest
import torch

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.backbones.resnest import ResNeSt
from segship.models.backbones.resnet import ResNet
from segship.models.backbones.resnext import ResNeXt


def rates(stage: torch.nn.Module, name: str) -> list[Any]:
    return [block.get_submodule(name).dilation for block in stage.children()]


def test_contracting_halves_the_first_blocks_dilation_only() -> None:
    network = ResNet(50, base_channels=4, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True)
    assert rates(network.get_submodule("layer3"), "conv2") == [(1, 1)] + [(2, 2)] * 5
    assert rates(network.get_submodule("layer4"), "conv2") == [(2, 2), (4, 4), (4, 4)]


def test_multi_grid_sets_every_dilation_of_the_last_stage_that_is_built() -> None:
    network = ResNet(
        18, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 2), out_indices=(2,), multi_grid=(3, 5), base_channels=4
    )
    assert rates(network.get_submodule("layer3"), "conv1") == [(3, 3), (5, 5)]
    assert rates(network.get_submodule("layer2"), "conv1") == [(1, 1), (1, 1)]


def test_caffe_style_strides_in_the_first_convolution() -> None:
    block = ResNet(50, base_channels=4, style="caffe").get_submodule("layer2.0")
    assert block.get_submodule("conv1").stride == (2, 2)
    assert block.get_submodule("conv2").stride == (1, 1)


def test_maps_have_strides_4_to_32_and_only_the_wanted_ones_are_returned() -> None:
    network = ResNet(18, base_channels=4, out_indices=(0, 3)).eval()
    first, last = network(torch.zeros(2, 3, 65, 97))
    assert first.shape == (2, 4, 17, 25)
    assert last.shape == (2, 32, 3, 4)


def test_grouped_width_follows_base_width() -> None:
    conv = ResNeXt(50, groups=32, base_width=8).get_submodule("layer1.0.conv2")
    assert conv.groups == 32
    assert conv.out_channels == 256


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"depth": 20}, ConfigError),
        ({"depth": 18, "num_stages": 5}, ConfigError),
        ({"depth": 18, "strides": (1, 2, 2)}, ConfigError),
        ({"depth": 18, "num_stages": 3, "strides": (1, 2, 2), "dilations": (1, 1, 1)}, ConfigError),
        ({"depth": 50, "style": "torch"}, ConfigError),
        ({"depth": 50, "plugins": [{"cfg": {"type": "ContextBlock"}}]}, UnsupportedError),
        ({"depth": 50, "dcn": {"type": "DCNv2"}, "stage_with_dcn": (False, True, True, True)}, UnsupportedError),
    ],
)
def test_settings_that_cannot_be_built_are_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ResNet(**options)


def test_resnext_and_resnest_have_no_basic_blocks() -> None:
    for variant in (ResNeXt, ResNeSt):
        with pytest.raises(ConfigError, match="50"):
            variant(18)


def test_split_attention_weighs_the_versions_of_each_channel_by_a_softmax() -> None:
    torch.manual_seed(0)
    radix, groups, channels = 3, 2, 12
    options: dict[str, Any] = {
        "groups": groups,
        "base_width": channels // groups,
        "base_channels": channels,
        "radix": radix,
    }
    network = ResNeSt(50, **options).eval()
    split = network.get_submodule("layer1.0.conv2")
    x = torch.randn(2, channels, 5, 7)
    with torch.inference_mode():
        versions = torch.relu(split.get_submodule("bn0")(split.get_submodule("conv")(x)))
        parts = versions.reshape(2, radix, channels, 5, 7)
        hidden = torch.relu(
            split.get_submodule("bn1")(split.get_submodule("fc1")(parts.sum(1).mean((2, 3))[..., None, None]))
        )
        scores = split.get_submodule("fc2")(hidden).reshape(2, groups, radix, channels // groups)
        expected = torch.zeros(2, channels, 5, 7)
        for g in range(groups):
            for c in range(channels // groups):
                weights = scores[:, g, :, c].softmax(1)
                channel = g * (channels // groups) + c
                expected[:, channel] = (weights[:, :, None, None] * parts[:, :, channel]).sum(1)
        torch.testing.assert_close(split(x), expected)
