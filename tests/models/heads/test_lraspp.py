from __future__ import annotations

import pytest
import torch

from segship.core.errors import ConfigError, SizeError
from segship.models.backbones.mobilenet_v3 import MobileNetV3
from segship.models.heads.lraspp import LRASPPHead
from segship.models.segmentor import EncoderDecoder


def test_the_smallest_image_is_the_one_whose_deep_map_fills_the_pooling_window() -> None:
    head = LRASPPHead([16, 16, 576], 4, num_classes=3, in_index=[0, 1, 2])
    network = EncoderDecoder(MobileNetV3("small"), head).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 385, 385)).shape == (1, 3, 385, 385)
        with pytest.raises(RuntimeError, match="too small"):
            network.logits(torch.zeros(1, 3, 385, 384))
    with pytest.raises(SizeError, match="at least 385x385"):
        network(torch.zeros(1, 3, 385, 384))


def test_options_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(ConfigError, match="branch_channels"):
        LRASPPHead([4, 4, 4, 8], 4, num_classes=3, in_index=[0, 1, 2, 3])
    with pytest.raises(ConfigError, match="multiple_select"):
        LRASPPHead([4, 4, 8], 4, num_classes=3, in_index=[0, 1, 2], input_transform="resize_concat")
