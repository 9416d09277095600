from __future__ import annotations

from typing import Any

import pytest
import torch

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.heads.maskformer import MaskFormerHead
from segship.models.layers.mask_classification import MaskClassificationHead


def options(**changes: Any) -> dict[str, Any]:
    attention = {"embed_dims": 8, "num_heads": 2}
    layer = {"self_attn_cfg": attention, "cross_attn_cfg": attention, "ffn_cfg": {"embed_dims": 8}}
    return {
        "in_channels": [4, 8],
        "feat_channels": 8,
        "out_channels": 8,
        "num_classes": 3,
        "pixel_decoder": {"type": "mmdet.PixelDecoder", "norm_cfg": None},
        "positional_encoding": {"num_feats": 4},
        "transformer_decoder": {"num_layers": 1, "layer_cfg": layer},
        **changes,
    }


def test_each_image_of_a_batch_is_computed_alone() -> None:
    torch.manual_seed(0)
    head = MaskFormerHead(**options()).eval()
    features = [torch.randn(2, 4, 8, 6), torch.randn(2, 8, 4, 3)]
    with torch.inference_mode():
        together = head(features, size=(15, 11))
        alone = [head([x[i : i + 1] for x in features], size=(15, 11)) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-5, atol=1e-6)


def test_an_unknown_pixel_decoder_is_named() -> None:
    with pytest.raises(UnsupportedError, match="Did you mean 'PixelDecoder'"):
        MaskFormerHead(**options(pixel_decoder={"type": "mmdet.PixelDecodr"}))


def test_an_unknown_option_of_a_nested_part_is_named() -> None:
    with pytest.raises(ConfigError, match=r"SinePositionalEncoding has no option 'num_feat'\. Did you mean"):
        MaskFormerHead(**options(positional_encoding={"num_feat": 4}))


def test_a_missing_option_of_a_nested_part_is_named() -> None:
    with pytest.raises(ConfigError, match="DetrDecoder: missing a required argument: 'num_layers'"):
        MaskFormerHead(**options(transformer_decoder={"layer_cfg": {}}))


def test_masks_far_below_zero_still_tell_classes_apart() -> None:
    torch.manual_seed(0)
    head = MaskClassificationHead(4, 4, num_classes=3, align_corners=False)
    queries, masks = torch.randn(1, 2, 4), torch.full((1, 2, 2, 2), -60.0)
    with torch.inference_mode():
        logits = head.semantic(queries, masks, (2, 2))
        classes = head.cls_embed(queries).softmax(-1)[..., :3].sum(1)
    torch.testing.assert_close(logits[..., 0, 0], classes * torch.tensor(-60.0).sigmoid(), rtol=1e-5, atol=0)
