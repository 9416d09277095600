from __future__ import annotations

import pytest
from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.parts import build_part
from segship.models.registry import backbones, heads

STDC = {
    "type": "STDCNet",
    "stdc_type": "STDCNet1",
    "in_channels": 3,
    "channels": (8, 8, 16, 16, 16),
    "bottleneck_type": "cat",
    "norm_cfg": {"type": "BN"},
    "act_cfg": {"type": "ReLU"},
}


@pytest.mark.parametrize("name", ["STDCNet", "mmseg.STDCNet"])
def test_a_part_is_built_by_its_upstream_name_with_or_without_scope(name: str) -> None:
    part = build_part(backbones, {**STDC, "type": name})
    assert type(part).__name__ == "STDCNet"
    assert isinstance(part, nn.Module)


def test_options_of_training_and_marks_of_inheritance_are_dropped() -> None:
    part = build_part(backbones, {**STDC, "init_cfg": {"type": "Pretrained"}, "norm_eval": True, "_scope_": "mmseg"})
    assert type(part).__name__ == "STDCNet"


@pytest.mark.parametrize("name", ["DDRHead", "PIDHead"])
def test_any_part_may_be_told_to_use_plain_convolutions(name: str) -> None:
    cfg = {"type": name, "in_channels": 4, "channels": 4, "num_classes": 2}
    for conv_cfg in (None, {"type": "Conv2d"}):
        assert type(build_part(heads, {**cfg, "conv_cfg": conv_cfg})).__name__ == name
    with pytest.raises(ConfigError, match="conv_cfg"):
        build_part(heads, {**cfg, "conv_cfg": {"type": "DCNv2"}})


def test_all_unknown_and_missing_options_are_named_at_once() -> None:
    cfg = {key: value for key, value in STDC.items() if key not in {"channels", "act_cfg"}}
    with pytest.raises(ConfigError, match=r"(?s)no option 'bottleneck_typ'.*bottleneck_type.*'channels'.*'act_cfg'"):
        build_part(backbones, {**cfg, "bottleneck_typ": "cat"})


def test_a_value_of_the_wrong_kind_is_a_mistake_of_the_config() -> None:
    with pytest.raises(ConfigError, match="STDCNet cannot be built"):
        build_part(backbones, {**STDC, "channels": 64})


@pytest.mark.parametrize("cfg", [None, [STDC], {"depth": 50}, {"type": 3}])
def test_what_is_no_part_is_refused(cfg: object) -> None:
    with pytest.raises(ConfigError, match="type of a backbone"):
        build_part(backbones, cfg)


def test_an_unknown_name_suggests_a_near_one() -> None:
    with pytest.raises(UnsupportedError, match="STDCNet"):
        build_part(backbones, {"type": "STDCNett"})


def test_mistakes_in_a_nested_backbone_are_told_as_they_are() -> None:
    with pytest.raises(ConfigError, match="STDCNet has no option 'colour'"):
        build_part(backbones, {"type": "STDCContextPathNet", "backbone_cfg": {**STDC, "colour": 1}})
