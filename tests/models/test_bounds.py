"""Plain but absurd values in a config: refused before anything is allocated."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest
import torch
from torch import nn

from segship.core.errors import SegshipError
from segship.models.parts import build_part
from segship.models.registry import backbones, heads, necks
from segship.networks.bounds import TooLargeError, build_within_bounds, number_beyond
from segship.sources.mmseg.build import build_network
from support.parts import PARTS, PartCase

SECONDS, MEGABYTES = 10, 500
REGISTRIES: dict[str, Any] = {"backbone": backbones, "neck": necks, "head": heads}
VIT: dict[str, Any] = {"type": "VisionTransformer"}
HEAD: dict[str, Any] = {"type": "FCNHead", "in_channels": 768, "channels": 64, "num_classes": 19}
ABSURD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("layers", VIT | {"num_layers": 10**7}, HEAD),
    ("width", VIT | {"embed_dims": 3 * 2**18}, HEAD),
    ("image", VIT | {"img_size": 10**6}, HEAD),
    ("window", {"type": "SwinTransformer", "window_size": 1000}, HEAD),
    ("blocks", {"type": "CGNet", "num_blocks": (10**5, 1)}, HEAD),
    ("base width", {"type": "ResNetV1c", "depth": 50, "base_channels": 10**6}, HEAD),
    ("a fraction without bound", VIT | {"mlp_ratio": 1e300}, HEAD),
    ("convolutions", VIT, HEAD | {"num_convs": 10**6}),
    ("classes", VIT, HEAD | {"num_classes": 10**9}),
]


@pytest.mark.parametrize(("backbone", "head"), [case[1:] for case in ABSURD], ids=[case[0] for case in ABSURD])
def test_absurd_sizes_are_refused_in_no_time_and_no_memory(backbone: dict[str, Any], head: dict[str, Any]) -> None:
    begin, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SegshipError, match="more than") as caught:
        build_network({"type": "EncoderDecoder", "backbone": backbone, "decode_head": head})
    assert "\n" not in str(caught.value)
    assert time.process_time() - begin < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024 < MEGABYTES


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_part_can_be_counted_before_it_is_made(part: PartCase) -> None:
    with torch.device("meta"):
        network = build_part(REGISTRIES[part.kind], {"type": part.type, **part.options})
    assert all(tensor.is_meta for tensor in network.state_dict().values())


def test_bounds_end_with_the_block_and_leave_other_networks_alone() -> None:
    with pytest.raises(TooLargeError):
        build_within_bounds(lambda: nn.Linear(10**6, 10**6))
    assert nn.Linear(3, 4).weight.device.type == "cpu"
    assert build_within_bounds(lambda: nn.Linear(3, 4)).weight.device.type == "cpu"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (5, None),
        ({"a": [1, (2**20,)]}, None),
        ([[-(10**9)]], -(10**9)),
        ({"a": float("inf")}, float("inf")),
        ("9" * 9, None),
    ],
)
def test_a_number_is_found_wherever_it_lies(value: Any, found: float | None) -> None:
    assert number_beyond(value) == found
