from __future__ import annotations

from typing import Any

import pytest
import torch

from segship.core.errors import ConfigError, UnsupportedError
from segship.sources.mmseg.build import build_network

BN = {"type": "SyncBN", "requires_grad": True}


def model(**changes: Any) -> dict[str, Any]:
    head = {
        "type": "FCNHead",
        "in_channels": 256,
        "channels": 16,
        "num_classes": 5,
        "num_convs": 1,
        "norm_cfg": BN,
        "dropout_ratio": 0.1,
        "loss_decode": {"type": "CrossEntropyLoss"},
    }
    backbone = {"type": "CGNet", "norm_cfg": BN, "num_channels": (8, 16, 32), "num_blocks": (2, 2), "norm_eval": False}
    return {
        "type": "EncoderDecoder",
        "pretrained": "open-mmlab://somewhere",
        "data_preprocessor": {"type": "SegDataPreProcessor"},
        "backbone": backbone,
        "decode_head": head | {"in_channels": 64, "in_index": 2},
        "auxiliary_head": [head | {"in_channels": 35, "in_index": 0}],
        "train_cfg": {"sampler": None},
        "test_cfg": {"mode": "whole"},
    } | changes


def test_classes_of_torch_and_mmcv_are_known_by_the_names_they_are_registered_under() -> None:
    named = model(type="mmseg.models.segmentors.EncoderDecoder")
    named["backbone"] |= {
        "norm_cfg": {"type": "torch.nn.modules.batchnorm.SyncBatchNorm"},
        "act_cfg": {"type": "torch.nn.modules.activation.PReLU"},
    }
    named["decode_head"] |= {
        "norm_cfg": {"type": "torch.nn.GroupNorm", "num_groups": 4},
        "act_cfg": {"type": "torch.nn.Hardswish"},
        "conv_cfg": {"type": "torch.nn.Conv2d"},
    }
    network = build_network(named)
    kinds = {type(part) for part in network.modules()}
    assert {torch.nn.GroupNorm, torch.nn.Hardswish, torch.nn.PReLU, torch.nn.BatchNorm2d} <= kinds


def test_network_is_built_ready_to_be_used() -> None:
    network = build_network(model())
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 5, 64, 96)
    assert not any(key.startswith("auxiliary_head") for key in network.state_dict())


def test_auxiliary_heads_are_built_on_request() -> None:
    keys = build_network(model(), with_auxiliary=True).state_dict().keys()
    assert any(key.startswith("auxiliary_head.0.") for key in keys)
    alone = model(auxiliary_head=model()["auxiliary_head"][0])
    assert "auxiliary_head.conv_seg.weight" in build_network(alone, with_auxiliary=True).state_dict()


def test_scopes_and_marks_of_the_config_are_passed_over() -> None:
    changed = model(type="mmseg.EncoderDecoder")
    changed["backbone"] |= {"type": "mmseg.models.CGNet", "_scope_": "mmseg", "_delete_": True}
    network, expected = build_network(changed), build_network(model())
    assert [type(part) for part in network.modules()] == [type(part) for part in expected.modules()]
    assert network.state_dict().keys() == expected.state_dict().keys()


def test_all_mistakes_are_told_at_once() -> None:
    changed = model()
    changed["backbone"] |= {"num_blcks": 3, "colour": 1}
    changed["decode_head"] = {"type": "FCNHead", "channels": 16, "num_clases": 5}
    changed["neck"] = {"type": "FNP", "in_channels": [1]}
    with pytest.raises(ConfigError) as caught:
        build_network(changed)
    text = str(caught.value)
    assert "model.backbone: CGNet has no option 'num_blcks'. Did you mean 'num_blocks'" in text
    assert "CGNet has no option 'colour'" in text
    assert "model.decode_head: FCNHead has no option 'num_clases'. Did you mean 'num_classes'" in text
    assert "FCNHead needs the option 'in_channels'" in text
    assert "model.neck: no neck is called 'FNP'" in text
    assert "\n" not in text


def test_only_missing_parts_are_unsupported_rather_than_wrong() -> None:
    with pytest.raises(UnsupportedError, match=r"model.backbone: no backbone is called 'CGNett'.*'CGNet'"):
        build_network(model(backbone={"type": "CGNett"}))


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("DepthEstimator", "diffusion"),
        ("SegTTAModel", "augmentation"),
        ("EncoderDecodr", "Did you mean 'EncoderDecoder'"),
        (None, "no model is of type 'None'"),
    ],
)
def test_other_kinds_of_model_are_refused_with_the_reason(kind: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        build_network(model(type=kind))


@pytest.mark.parametrize(
    "changed",
    [
        None,
        "text",
        [],
        model(backbone=None),
        model(backbone="CGNet"),
        model(backbone={"depth": 5}),
        model(backbone={"type": 5}),
        model(decode_head=None),
        model(decode_head=[model()["decode_head"]]),
        model(type="CascadeEncoderDecoder"),
        model(type="CascadeEncoderDecoder", decode_head=[]),
        model(decode_head=[]),
        model(bakcbone=5),
        model(backbone={"type": "CGNet", "num_channels": "many"}),
        model(backbone={"type": "CGNet", "num_channels": (-1, 2, 3)}),
        model(backbone={"type": "CGNet", "num_channels": 5}),
        model(backbone={"type": "CGNet", "norm_cfg": {}}),
    ],
)
def test_configs_that_describe_no_network_are_refused(changed: Any) -> None:
    with pytest.raises((ConfigError, UnsupportedError)) as caught:
        build_network(changed)
    assert "\n" not in str(caught.value)


def test_a_heads_settings_may_stand_in_the_test_cfg() -> None:
    coarse = model()["decode_head"]
    point = {"type": "PointHead", "in_channels": [64], "in_index": [2], "channels": 8, "num_classes": 5}
    cascade = {"type": "CascadeEncoderDecoder", "num_stages": 2, "decode_head": [coarse, point]}
    settings = {"mode": "whole", "subdivision_steps": 1, "subdivision_num_points": 7, "scale_factor": 3}
    network = build_network(model(**cascade, test_cfg=settings))
    with torch.inference_mode():
        assert network.logits(torch.zeros(1, 3, 64, 48)).shape[2:] == (24, 18)
