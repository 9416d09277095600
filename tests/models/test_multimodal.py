from __future__ import annotations

import pytest
import torch
from torch import nn

from segship.core.errors import UnsupportedError
from segship.models.heads.san import SideAdapterCLIPHead
from segship.models.multimodal import MultimodalEncoderDecoder
from segship.models.text_encoders.clip import CLIPTextEncoder


def test_running_it_says_why_that_is_impossible() -> None:
    side = {
        "embed_dims": 8,
        "cfg_encoder": {"num_encode_layer": 1, "num_heads": 2, "mlp_ratio": 2},
        "cfg_decoder": {"num_heads": 2},
    }
    with torch.device("meta"):
        head = SideAdapterCLIPHead(5, san_cfg=side, maskgen_cfg={"embed_dims": 8, "num_heads": 2})
        network = MultimodalEncoderDecoder(nn.Identity(), CLIPTextEncoder(embed_dims=8, num_heads=2), head)
    assert network.num_classes == 5
    with pytest.raises(UnsupportedError, match="vocabulary"):
        network(torch.zeros(1, 3, 32, 32))


def test_other_mask_tokens_than_the_class_token_are_refused() -> None:
    with torch.device("meta"), pytest.raises(UnsupportedError, match="'cls_token' only"):
        SideAdapterCLIPHead(
            5,
            san_cfg={"cfg_encoder": {"num_encode_layer": 1, "num_heads": 2, "mlp_ratio": 2}, "cfg_decoder": {}},
            maskgen_cfg={"sos_token_format": "learnable_token"},
        )
