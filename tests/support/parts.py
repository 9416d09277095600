"""Parts with options that no config of MMSegmentation uses: what to build and what to feed.

Read by ``oracles/record_parts.py``, which records what the real parts compute, and by the test that compares.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from support import fill

Shape = tuple[int, ...]


@dataclass(frozen=True)
class PartCase:
    """One part with its options.

    Attributes:
        kind: ``"backbone"``, ``"neck"`` or ``"head"``.
        type: Upstream name.
        options: Its keywords.
        inputs: Image sizes (height, width) for a backbone; else one set of shapes of the maps it takes. A pair of
            shapes is a map and a class token.
    """

    kind: str
    type: str
    options: dict[str, Any]
    inputs: tuple[Any, ...]

    @property
    def name(self) -> str:
        """Stable while type, options and inputs stay."""
        text = repr((self.type, sorted(self.options.items()), self.inputs))
        return f"{self.type}-{zlib.crc32(text.encode()):08x}"

    def feeds(self) -> list[Any]:
        """The inputs, one after the other; each is what ``forward`` takes."""
        if self.kind == "backbone":
            channels = self.options.get("in_channels", 3)
            return [_image(size, channels) for size in self.inputs]
        return [[_maps(shape, i) for i, shape in enumerate(self.inputs)]]


def _image(size: tuple[int, int], channels: int) -> torch.Tensor:
    images = [fill.image(size[0], size[1], batch=1) for _ in range(-(-channels // 3))]
    return torch.from_numpy(np.concatenate(images, axis=1)[:, :channels].copy())


def _maps(shape: Any, index: int) -> Any:
    if isinstance(shape[0], tuple):
        return [_maps(part, 10 * index + i) for i, part in enumerate(shape)]
    random = np.random.RandomState(sum(shape) + 1000 * index)
    return torch.from_numpy(random.randn(*shape).astype(np.float32))


def fingerprint(network: torch.nn.Module) -> str:
    """SHA-256 of the state dict's keys and shapes, as in the record of the whole zoo."""
    lines = sorted(f"{key} {'x'.join(map(str, value.shape))}" for key, value in network.state_dict().items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def flat(output: Any) -> list[torch.Tensor]:
    """All tensors of a nested output, in order."""
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in flat(part)]


def sample(tensor: torch.Tensor, count: int = 96) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Values spread over a tensor; the step is odd, so that they lie in many columns."""
    values = tensor.detach().flatten()
    return values[:: max(1, len(values) // count) | 1].numpy().copy()


_VIT: dict[str, Any] = {"embed_dims": 24, "num_layers": 3, "num_heads": 3}
_BEIT: dict[str, Any] = {**_VIT, "img_size": (64, 96), "patch_size": 8}
_MIT: dict[str, Any] = {"embed_dims": 8, "num_layers": (1, 2, 1, 1)}
_SWIN: dict[str, Any] = {"embed_dims": 12, "depths": (2, 2, 3, 1), "num_heads": (1, 2, 3, 4)}
_PCPVT: dict[str, Any] = {"embed_dims": (8, 16, 24, 32), "depths": (2, 1, 2, 1), "num_heads": (1, 2, 3, 4)}
_SVT: dict[str, Any] = {
    **_PCPVT,
    "mlp_ratios": (4, 4, 4, 4),
    "sr_ratios": (8, 4, 2, 1),
    "windiow_sizes": (7, 7, 7, 7),
}
_LN3: dict[str, Any] = {"norm_cfg": {"type": "LN", "eps": 1e-3}}
_BN: dict[str, Any] = {"norm_cfg": {"type": "BN"}}
_GELU: dict[str, Any] = {"act_cfg": {"type": "GELU"}}
_ODD = ((97, 130),)

# 112x448 has as many patches as 224x224, the size the embedding was made for, in another shape.
_VIT_OPTIONS: tuple[tuple[dict[str, Any], tuple[Shape, ...]], ...] = (
    ({}, ((224, 224), (112, 448), (97, 130))),
    ({"img_size": (64, 96), "patch_size": 8, "interpolate_mode": "bilinear"}, _ODD),
    ({"with_cls_token": False, "out_indices": (0, 2)}, _ODD),
    ({"output_cls_token": True, "out_indices": (1, 2)}, _ODD),
    ({"final_norm": True, "qkv_bias": False, "mlp_ratio": 2, "num_fcs": 3}, _ODD),
    ({"pre_norm": True, "patch_norm": True, "patch_bias": True, "out_origin": True, "out_indices": (1,)}, _ODD),
    ({"patch_pad": 0, **_LN3}, _ODD),
    ({"patch_pad": "same", "patch_size": 14}, _ODD),
)
_SWIN_OPTIONS: tuple[tuple[dict[str, Any], tuple[Shape, ...]], ...] = (
    ({}, ((32, 57), (145, 211))),
    ({"patch_norm": False, "out_indices": (1, 3), "qkv_bias": False}, _ODD),
    ({"use_abs_pos_embed": True, "pretrain_img_size": (64, 96)}, ((64, 96),)),
    ({"qk_scale": 0.3, "mlp_ratio": 2.5, "window_size": 4, **_LN3}, _ODD),
    ({"strides": (4, 2, 1, 2)}, _ODD),
    ({"strides": (4, 4, 3, 2)}, _ODD),
    ({"in_channels": 6, "strides": (2, 2, 2, 2), "patch_size": 2}, _ODD),
)
_BEIT_OPTIONS: tuple[dict[str, Any], ...] = ({}, {"final_norm": True, "patch_norm": True, "out_indices": (0, 2)})
# With windows of 7 tokens of 4 pixels: both sides padded, neither, height only, width only.
_SVT_SIZES = ((97, 130), (224, 224), (112, 196), (200, 112), (112, 200))

PARTS = [
    *(PartCase("backbone", "VisionTransformer", {**_VIT, **options}, sizes) for options, sizes in _VIT_OPTIONS),
    *(PartCase("backbone", "SwinTransformer", {**_SWIN, **options}, sizes) for options, sizes in _SWIN_OPTIONS),
    *(PartCase("backbone", "BEiT", {**_BEIT, **options}, ((64, 96),)) for options in _BEIT_OPTIONS),
    *(PartCase("backbone", "MAE", {**_BEIT, **options}, ((64, 96),)) for options in _BEIT_OPTIONS),
    PartCase("backbone", "BEiT", {**_BEIT, "qv_bias": False}, ((64, 96),)),
    PartCase("backbone", "MixVisionTransformer", _MIT, ((29, 57), (97, 130))),
    PartCase("backbone", "MixVisionTransformer", {**_MIT, "qkv_bias": False, "out_indices": (0, 3), **_LN3}, _ODD),
    PartCase("backbone", "MixVisionTransformer", {**_MIT, "patch_sizes": (4, 2, 2, 2), "mlp_ratio": 2}, _ODD),
    PartCase("backbone", "PCPVT", _PCPVT, ((29, 57), (97, 130))),
    PartCase("backbone", "PCPVT", {**_PCPVT, "norm_after_stage": True, "out_indices": (1, 2), **_LN3}, _ODD),
    PartCase("backbone", "SVT", _SVT, _SVT_SIZES),
    PartCase("backbone", "SVT", {**_SVT, "windiow_sizes": (5, 7, 3, 4), "norm_after_stage": False}, _ODD),
    PartCase("neck", "MultiLevelNeck", {"in_channels": [8] * 4, "out_channels": 6}, ((1, 8, 9, 13),) * 4),
    PartCase(
        "neck",
        "MultiLevelNeck",
        {"in_channels": [8], "out_channels": 6, "scales": [0.5, 1.5, 0.7, 3], **_BN},
        ((1, 8, 9, 13),),
    ),
    PartCase("neck", "MLANeck", {"in_channels": [8] * 4, "out_channels": 6, **_BN, **_GELU}, ((1, 8, 9, 13),) * 4),
    PartCase("neck", "Feature2Pyramid", {"embed_dim": 8, **_BN}, ((1, 8, 9, 13),) * 4),
    PartCase("neck", "Feature2Pyramid", {"embed_dim": 8, "rescales": [2, 1, 0.5, 0.25]}, ((1, 8, 9, 13),) * 4),
]

_PYRAMID = ((1, 4, 25, 37), (1, 8, 13, 19), (1, 12, 7, 10), (1, 16, 4, 5))
_PLAIN = ((1, 8, 9, 13),) * 4
_HEAD: dict[str, Any] = {"channels": 12, "num_classes": 5}
_SEGFORMER: dict[str, Any] = {**_HEAD, "in_channels": [4, 8, 12, 16], "in_index": [0, 1, 2, 3]}
_SEGMENTER: dict[str, Any] = {**_HEAD, "in_channels": 8, "num_layers": 2, "num_heads": 4, "embed_dims": 16}
_DPT: dict[str, Any] = {
    **_HEAD,
    "in_channels": [8] * 4,
    "in_index": [0, 1, 2, 3],
    "input_transform": "multiple_select",
    "embed_dims": 8,
    "post_process_channels": [6, 8, 10, 12],
}
_PAIRS = (((1, 8, 9, 13), (1, 8)),) * 4

PARTS += [
    *(
        PartCase("head", "SegformerHead", {**_SEGFORMER, **options}, _PYRAMID)
        for options in (
            {},
            {"align_corners": True, **_BN},
            {"interpolate_mode": "bicubic", **_GELU},
            {"in_channels": [8, 16], "in_index": [1, 3]},
            {"num_classes": 2, "out_channels": 1},
        )
    ),
    PartCase("head", "SETRUPHead", {**_HEAD, "in_channels": 8}, _PLAIN),
    PartCase(
        "head",
        "SETRUPHead",
        {**_HEAD, "in_channels": 8, "num_convs": 3, "up_scale": 2, "kernel_size": 1, "align_corners": True, **_BN},
        _PLAIN,
    ),
    PartCase(
        "head",
        "SETRMLAHead",
        {**_HEAD, "in_channels": [8] * 4, "in_index": [0, 1, 2, 3], "mla_channels": 3, "align_corners": True, **_BN},
        _PLAIN,
    ),
    *(
        PartCase("head", "SegmenterMaskTransformerHead", {**_SEGMENTER, **options}, _PLAIN)
        for options in ({}, {"num_fcs": 3, "qkv_bias": False, "mlp_ratio": 2, "in_index": 1, **_LN3})
    ),
    *(
        PartCase("head", "DPTHead", {**_DPT, **options}, _PAIRS)
        for options in ({}, {"readout_type": "add", **_GELU}, {"readout_type": "project", "align_corners": True})
    ),
]

_MAP = ((2, 16, 13, 19),)
_ATTENTION: dict[str, Any] = {"in_channels": 16, "channels": 8, "num_classes": 5}
_PSA: dict[str, Any] = {**_ATTENTION, "mask_size": (5, 7)}
_PSA_TYPES = ("collect", "distribute", "bi-direction")
# Both sides odd, both even, one of each: the attention's map is rounded in another way.
_PSA_SIZES = (((2, 16, 13, 19),), ((2, 16, 12, 18),), ((2, 16, 12, 17),))
_ATTENTION_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("NLHead", {"mode": "gaussian", "reduction": 1}),
    ("NLHead", {"mode": "dot_product", "concat_input": False}),
    ("NLHead", {"mode": "concatenation", "dilation": 2, **_BN}),
    ("NLHead", {"use_scale": False, "num_classes": 2, "out_channels": 1}),
    ("DNLHead", {"mode": "dot_product"}),
    ("DNLHead", {"mode": "concatenation", "concat_input": False}),
    ("DNLHead", {"temperature": 1.0, "use_scale": False, "kernel_size": 1}),
    ("GCHead", {"pooling_type": "avg", "fusion_types": ("channel_add", "channel_mul")}),
    ("GCHead", {"fusion_types": ("channel_mul",), "ratio": 0.5}),
    ("CCHead", {"recurrence": 3}),
    ("EMAHead", {"ema_channels": 12, "num_bases": 4, "num_stages": 1, "concat_input": False}),
    ("DMHead", {"filter_sizes": (1, 2, 4, 5), "fusion": True, **_BN}),
    ("APCHead", {"pool_scales": (1, 4), "fusion": False}),
    ("ISAHead", {"isa_channels": 4, "down_factor": (3, 5), **_BN}),
    ("EncHead", {"in_channels": [16], "in_index": [0], "use_se_loss": False, "norm_cfg": {"type": "IN"}}),
    ("DepthwiseSeparableFCNHead", {"dilation": 2, "conv_cfg": None, **_BN, **_GELU}),  # none of them changes anything
    ("DepthwiseSeparableFCNHead", {"dw_act_cfg": {"type": "ReLU"}, "kernel_size": 5, "num_convs": 3, **_BN}),
)

PARTS += [
    *(PartCase("head", name, {**_ATTENTION, **options}, _MAP) for name, options in _ATTENTION_OPTIONS),
    PartCase(
        "head",
        "ANNHead",
        {
            **_ATTENTION,
            "in_channels": [12, 16],
            "in_index": [0, 1],
            "project_channels": 4,
            "query_scales": (1, 1),
            "key_pool_scales": (1, 2),
        },
        ((2, 12, 13, 19), (2, 16, 7, 10)),
    ),
    PartCase(
        "head",
        "LRASPPHead",
        {
            **_ATTENTION,
            "in_channels": (6, 12, 16),
            "in_index": (0, 1, 2),
            "branch_channels": (3, 5),
            "input_transform": "multiple_select",
        },
        ((2, 6, 110, 121), (2, 12, 58, 69), (2, 16, 55, 60)),
    ),
    *(PartCase("head", "PSAHead", {**_PSA, "psa_type": kind}, size) for kind in _PSA_TYPES for size in _PSA_SIZES),
    *(
        PartCase("head", "PSAHead", {**_PSA, **options}, _MAP)
        for options in (
            {"psa_softmax": False, "normalization_factor": None},
            {"shrink_factor": 1, "align_corners": True},
            {"shrink_factor": 3},
            {"mask_size": (4, 6)},
        )
    ),
    *(
        PartCase("head", "PSAHead", {**_PSA, "mask_size": (6, 9), "compact": True, "psa_type": kind}, _PSA_SIZES[1])
        for kind in _PSA_TYPES
    ),
    PartCase("backbone", "MobileNetV2", {"widen_factor": 0.35, "out_indices": (0, 3, 6)}, ((64, 96), (67, 85))),
    PartCase("backbone", "MobileNetV2", {"widen_factor": 1.4, "strides": (1, 2, 1, 2, 1, 1, 1)}, ((67, 85),)),
    PartCase("backbone", "MobileNetV3", {"arch": "large", "reduction_factor": 2, "out_indices": (1, 3, 16)}, _ODD),
    PartCase("backbone", "MobileNetV3", {"arch": "small", "reduction_factor": 2}, ((64, 96), (67, 85))),
]
