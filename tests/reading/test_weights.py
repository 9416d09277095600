from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from segship.core.errors import CheckpointError, SegshipWarning
from segship.reading.weights import load_strict


class Backbone(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(depth))
        self.norm = nn.BatchNorm2d(width)
        self.register_buffer("relative_position_index", torch.arange(4))


class Head(nn.Module):
    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.conv_seg = nn.Conv2d(width, classes, 1)


class Network(nn.Module):
    def __init__(self, width: int = 4, depth: int = 2, classes: int = 3) -> None:
        super().__init__()
        self.backbone = Backbone(width, depth)
        self.decode_head = Head(width, classes)


def test_weights_are_copied_and_half_precision_widened() -> None:
    network = Network()
    state = {key: torch.randn_like(value.float()).half() for key, value in network.state_dict().items()}
    state["backbone.norm.num_batches_tracked"] = torch.tensor(5)
    state["backbone.relative_position_index"] = torch.arange(4) + 1
    assert load_strict(network, state) == 0
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key].to(value.dtype))


def test_what_only_training_needs_is_passed_over() -> None:
    network = Network()
    state = dict(network.state_dict())
    del state["backbone.norm.num_batches_tracked"], state["backbone.relative_position_index"]
    extra = """auxiliary_head.conv_seg.weight decode_head.loss_decode.weight data_preprocessor.mean
        decode_head.more.conv_seg.bias backbone.other.num_batches_tracked backbone.relative_coords_table"""
    load_strict(network, state | {key: torch.ones(1) for key in extra.split()})


def test_denormal_weights_become_zero_and_are_counted() -> None:
    network = Network()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    smallest = torch.finfo(torch.float32).tiny
    weight = torch.ones(16)
    weight[:5] = torch.tensor([smallest, smallest / 2, -smallest / 4, 0.0, 1e-45])
    state["backbone.layers.0.weight"] = weight.reshape(4, 4, 1, 1)
    assert load_strict(network, state) == 3
    expected = torch.ones(16)
    expected[:5] = torch.tensor([smallest, 0.0, 0.0, 0.0, 0.0])
    assert torch.equal(network.backbone.layers[0].weight.flatten(), expected)
    assert torch.equal(state["backbone.layers.0.weight"].flatten(), weight)


def message(network: Network, state: dict[str, torch.Tensor]) -> str:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_strict(network, state, what="a.pth")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("a.pth is not of this network: ")
    return str(caught.value)


def test_other_number_of_classes_is_told() -> None:
    text = message(Network(classes=3), Network(classes=19).state_dict())
    assert "2 misshapen (decode_head.conv_seg.weight 19x4x1x1, expected 3x4x1x1; decode_head.conv_seg.bias 19, " in text
    assert "number of classes differs: the checkpoint has 19, the config 3" in text
    assert "model.decode_head.num_classes=19" in text


def test_other_depth_is_told_and_ten_keys_shown() -> None:
    text = message(Network(depth=2), Network(depth=10).state_dict())
    assert "16 unexpected (backbone.layers.2.weight; " in text
    assert "and 6 more)" in text
    assert text.count("backbone.layers.") == 10
    assert "another depth" in text
    assert "16 missing" in message(Network(depth=10), Network(depth=2).state_dict())


def test_other_width_is_told() -> None:
    assert "other widths" in message(Network(width=4), Network(width=8).state_dict())


@pytest.mark.parametrize("prefix", ["backbone.", ""])
def test_weights_of_a_backbone_only_are_told(prefix: str) -> None:
    state = {prefix + key: value for key, value in Network().backbone.state_dict().items()}
    assert "backbone only" in message(Network(), state)


def test_weights_of_something_else_are_told() -> None:
    text = message(Network(), {"encoder.weight": torch.ones(1)})
    assert "1 unexpected (encoder.weight)" in text
    assert "No key is the same" in text


@pytest.mark.parametrize("prefix", ["model.", "net.", "segmentor.", "student.model."])
def test_a_prefix_that_all_keys_share_is_cut_off_and_told(prefix: str) -> None:
    network, trained = Network(), Network()
    state = {f"{prefix}{key}": value for key, value in trained.state_dict().items()}
    with pytest.warns(SegshipWarning, match=rf"begin with '{re.escape(prefix)}', is of this network without"):
        load_strict(network, state)
    assert torch.equal(network.decode_head.conv_seg.weight, trained.decode_head.conv_seg.weight)


def test_what_is_wrong_is_told_without_the_prefix_that_all_keys_share() -> None:
    state = {f"model.{key}": value for key, value in Network(classes=5).state_dict().items()}
    with pytest.raises(
        CheckpointError, match=r"begin with 'model\.', is not of this.*2 misshapen.*num_classes=5"
    ) as caught:
        load_strict(Network(), state)
    assert "missing" not in str(caught.value)


def test_names_of_the_network_are_no_prefix() -> None:
    state = {key: value for key, value in Network().state_dict().items() if key.startswith("backbone.")}
    with pytest.raises(CheckpointError, match=r"2 missing .decode_head.conv_seg.weight") as caught:
        load_strict(Network(), state)
    assert "begin with" not in str(caught.value)
