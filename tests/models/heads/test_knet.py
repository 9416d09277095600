from __future__ import annotations

from typing import Any

import pytest

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.heads.knet import IterativeDecodeHead

GENERATOR: dict[str, Any] = {"type": "FCNHead", "in_channels": 8, "channels": 8, "num_classes": 3, "dropout_ratio": 0.1}
UPDATE: dict[str, Any] = {
    "type": "KernelUpdateHead",
    "in_channels": 8,
    "out_channels": 8,
    "num_heads": 2,
    "feedforward_channels": 8,
    "dropout": 0.0,
    "kernel_updator_cfg": {"type": "KernelUpdator", "in_channels": 4, "feat_channels": 4},
}


def test_every_round_needs_its_head() -> None:
    with pytest.raises(ConfigError, match="num_stages is 2"):
        IterativeDecodeHead(2, GENERATOR, [UPDATE])


@pytest.mark.parametrize(
    "option", [{"conv_kernel_size": 3}, {"feat_gather_stride": 2}, {"feat_transform_cfg": {"kernel_size": 3}}]
)
def test_kernels_and_maps_of_another_size_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="K-Net"):
        IterativeDecodeHead(1, GENERATOR, [{**UPDATE, **option}])


@pytest.mark.parametrize("wrong", [{"out_channels": 4}, {"kernel_updator_cfg": {"type": "DynamicConv"}}])
def test_parts_that_do_not_fit_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="KernelUpdateHead"):
        IterativeDecodeHead(1, GENERATOR, [{**UPDATE, **wrong}])


def test_only_heads_with_a_classifier_can_start() -> None:
    nested = {"type": "IterativeDecodeHead", "num_stages": 0, "kernel_generate_head": GENERATOR}
    with pytest.raises(ConfigError, match="cannot start from"):
        IterativeDecodeHead(1, {**nested, "kernel_update_head": []}, [UPDATE])


def test_heads_of_which_the_framework_would_use_a_part_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot start from a NLHead, only from FCNHead"):
        IterativeDecodeHead(1, {**GENERATOR, "type": "NLHead"}, [UPDATE])
