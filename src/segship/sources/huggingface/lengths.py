"""Layers of the library that take lengths for numbers, told again so that a graph keeps height and width free.

transformers asks Python of its lengths (``if height % patch != 0``, ``int(height / patch)``), which fixes what a graph
does at the size it was traced at. Each function here is what a method of the library computes, without such a question.
That the results are the library's own is compared with recorded ones, at several sizes.
"""

from __future__ import annotations

import math
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from segship.capture.antialiasing import cubic, resized, triangle

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["free_lengths"]


def _pair(sides: Any) -> tuple[int, int]:
    return (sides[0], sides[1]) if isinstance(sides, (list, tuple)) else (sides, sides)


def _pad_to_patches(self: Any, pixel_values: Tensor, height: int, width: int) -> Tensor:
    """Swin, FocalNet: the image, padded to whole patches."""
    down, right = self.patch_size
    return F.pad(pixel_values, (0, -width % right, 0, -height % down))


def _pad_to_windows(self: Any, hidden_states: Tensor, height: int, width: int) -> tuple[Tensor, tuple[int, ...]]:
    """Swin: a map padded to whole windows, and the padding: of one at least, so that it is always cut off again."""
    padded = F.pad(hidden_states, (0, 0, 0, -width % self.window_size, 0, -height % self.window_size))
    return padded, (0, 0, 0, 1, 0, 1)


def _pad_to_pairs(_: Any, input_feature: Tensor, height: int, width: int) -> Tensor:
    """Swin: a map padded to even lengths."""
    return F.pad(input_feature, (0, 0, 0, width % 2, 0, height % 2))


def _position_grid(self: Any, height: int, width: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Positions before the patches' (1, p, C), the patches' (1, C, s, s), and how many patches an image has."""
    table: Tensor = self.position_embeddings
    down, right = _pair(self.config.patch_size if hasattr(self, "config") else self.patch_size)
    side = math.isqrt(table.shape[1])
    before = table.shape[1] - side * side
    grid = table[:, before:].reshape(1, side, side, table.shape[2]).permute(0, 3, 1, 2)
    return table[:, :before], grid, (height // down, width // right)


def _interpolated_positions(self: Any, _: Tensor, height: int, width: int) -> Tensor:
    """BEiT, DINOv2: positions resized bicubically, which at their own size leaves them as they are."""
    before, grid, size = _position_grid(self, height, width)
    grid = F.interpolate(grid, size, mode="bicubic", align_corners=False)
    return torch.cat((before, grid.flatten(2).transpose(1, 2)), 1)


def _smoothed_positions(kernel: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """TIPSv2, DINOv2 with registers: positions resized with antialiasing, a product with the weights of each axis."""

    def interpolate(self: Any, _: Tensor, height: int, width: int) -> Tensor:
        before, grid, size = _position_grid(self, height, width)
        grid = resized(grid, *size, kernel)
        return torch.cat((before, grid.flatten(2).transpose(1, 2)), 1)

    return interpolate


def _relative_bias(
    self: Any, window_size: tuple[int, int], interpolate_pos_encoding: bool = False, dim_size: Any = None
) -> Tensor:
    """BEiT: the bias of attention (1, heads, tokens, tokens) between patches, and between them and the class token.

    The library resizes the result to ``dim_size`` tokens where it is told to interpolate: it has as many already.
    """
    del interpolate_pos_encoding, dim_size
    old_height, old_width = (2 * side - 1 for side in self.window_size)
    height, width = window_size
    table: Tensor = self.relative_position_bias_table
    heads = table.shape[1]
    grid = table[:-3].reshape(1, old_width, old_height, heads).permute(0, 3, 1, 2)  # the library's order of sides
    grid = F.interpolate(grid, (2 * height - 1, 2 * width - 1), mode="bilinear")
    grid = grid.flatten(2).transpose(1, 2)[0]
    rows = torch.arange(height)[:, None].expand(height, width).reshape(-1)
    columns = torch.arange(width)[None, :].expand(height, width).reshape(-1)
    down = rows[:, None] - rows[None, :] + (height - 1)
    right = columns[:, None] - columns[None, :] + (width - 1)
    between = grid[down * (2 * width - 1) + right]
    patches = height * width
    to_class, from_class, itself = (table[at].reshape(1, 1, heads) for at in (-3, -2, -1))
    first = torch.cat((itself, to_class.expand(1, patches, heads)), 1)
    others = torch.cat((from_class.expand(patches, 1, heads), between), 1)
    return torch.cat((first, others), 0).permute(2, 0, 1).unsqueeze(0)


def _fuse(self: Any, hidden_state: Tensor, residual: Tensor | None = None) -> Tensor:
    """DPT: a map and the next finer one, which is brought to the map's size whether it has it or not."""
    if residual is not None:
        residual = F.interpolate(residual, hidden_state.shape[2:], mode="bilinear", align_corners=False)
        hidden_state = hidden_state + self.residual_layer1(residual)
    hidden_state = self.residual_layer2(hidden_state)
    wider = F.interpolate(hidden_state, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
    projected: Tensor = self.projection(wider)
    return projected


def _unfold(self: Any, features: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """MobileViT: patches (batch * pixels of a patch, patches, channels) of a map resized to whole patches."""
    batch, channels, height, width = features.shape
    down, right = self.patch_height, self.patch_width
    rows, columns = (height + down - 1) // down, (width + right - 1) // right
    features = F.interpolate(features, (rows * down, columns * right), mode="bilinear", align_corners=False)
    patches = features.reshape(batch * channels * rows, down, columns, right).transpose(1, 2)
    patches = patches.reshape(batch, channels, rows * columns, down * right).transpose(1, 3)
    patches = patches.reshape(batch * down * right, rows * columns, channels)
    return patches, {
        "orig_size": (height, width),
        "batch_size": batch,
        "channels": channels,
        "interpolate": True,
        "num_patches": rows * columns,
        "num_patches_width": columns,
        "num_patches_height": rows,
    }


def _unfold_separably(self: Any, feature_map: Tensor) -> tuple[Tensor, tuple[int, int]]:
    """MobileViTV2: the whole patches (batch, channels, pixels of a patch, patches) of a map, and its size."""
    batch, channels, height, width = feature_map.shape
    down, right = self.patch_height, self.patch_width
    rows, columns = height // down, width // right
    whole = feature_map[:, :, : rows * down, : columns * right]
    patches = whole.reshape(batch * channels, rows, down, columns, right).permute(0, 2, 4, 1, 3)
    return patches.reshape(batch, channels, down * right, rows * columns), (height, width)


def _fold_separably(self: Any, patches: Tensor, output_size: tuple[int, int]) -> Tensor:
    """MobileViTV2: a map of patches again, zero where a patch would not be whole."""
    batch, channels = patches.shape[:2]
    down, right = self.patch_height, self.patch_width
    height, width = output_size
    rows, columns = height // down, width // right
    whole = patches.reshape(batch * channels, down, right, rows, columns).permute(0, 3, 1, 4, 2)
    whole = whole.reshape(batch, channels, rows * down, columns * right)
    return F.pad(whole, (0, width % right, 0, height % down))


def _same_convolution(self: Any, features: Tensor) -> Tensor:
    """MobileNetV2: a convolution padded as TensorFlow does, so that its result has length / stride, rounded up."""
    layer = self.convolution
    if self.config.tf_padding:
        sides: list[int] = []
        for axis in (1, 0):  # the last axis first, as F.pad takes them
            kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
            length = features.shape[2 + axis]
            missing = max(kernel - 1, 0)
            if stride > 1:
                missing = torch.sym_max(kernel - ((length - 1) % stride + 1), 0)  # type: ignore[no-untyped-call]
            sides += [missing // 2 * dilation, (missing - missing // 2) * dilation]
        features = F.pad(features, sides)
    features = layer(features)
    for each in (self.normalization, self.activation):
        features = features if each is None else each(features)
    return features


def _reference_points(_: Any, spatial_shapes_list: Any, valid_ratios: Tensor, device: Any) -> Tensor:
    """Mask2Former: the middle of each pixel of each level, as shares (1, pixels, levels, 2): no image is padded."""
    del valid_ratios, device
    points = []
    for height, width in spatial_shapes_list:
        down = ((torch.arange(height).float() + 0.5) / height)[:, None].expand(height, width).reshape(-1)
        right = ((torch.arange(width).float() + 0.5) / width)[None, :].expand(height, width).reshape(-1)
        points.append(torch.stack((right, down), -1))
    levels = len(points)
    return torch.cat(points, 0)[None, :, None].expand(1, -1, levels, 2)


def _masked_layer(
    self: Any,
    index: int,
    output: Tensor,
    multi_stage_features: list[Tensor],
    multi_stage_positional_embeddings: list[Tensor],
    attention_mask: Tensor,
    query_embeddings: Tensor | None = None,
    output_attentions: bool | None = False,
) -> tuple[Tensor, ...]:
    """OneFormer: a query that would see nothing sees all."""
    del output_attentions
    level = index % self.num_feature_levels
    seen = attention_mask.sum(-1, keepdim=True) != attention_mask.shape[-1]
    output, _ = self.cross_attn(
        output,
        multi_stage_features[level],
        memory_mask=attention_mask & seen,
        memory_key_padding_mask=None,
        pos=multi_stage_positional_embeddings[level],
        query_pos=query_embeddings,
    )
    output, _ = self.self_attn(output, output_mask=None, output_key_padding_mask=None, query_pos=query_embeddings)
    return (self.ffn(output),)


def _patch_angles(self: Any, pixel_values: Tensor) -> tuple[Tensor, Tensor]:
    """DINOv3: cosines and sines (patches, width of a head) of the middle of each patch, in -1 to 1."""
    down, right = _pair(self.config.patch_size)
    height, width = pixel_values.shape[2] // down, pixel_values.shape[3] // right
    middles = [(torch.arange(0, length).float() + 0.5) / length for length in (height, width)]
    rows, columns = middles[0][:, None].expand(height, width), middles[1][None, :].expand(height, width)
    places = 2.0 * torch.stack((rows, columns), -1).flatten(0, 1) - 1.0
    angles = (2 * math.pi * places[:, :, None] * self.inv_freq[None, None, :]).flatten(1, 2)
    angles = torch.cat((angles, angles), 1)
    return angles.cos(), angles.sin()


def _sines(self: Any, shape: Any, device: Any, dtype: Any, mask: Tensor | None = None) -> Tensor:
    """MaskFormer: positions of an image without padding."""
    del mask
    return _masked_sines(self, shape, device, dtype)


def _masked_sines(self: Any, shape: Any, device: Any, dtype: Any, mask: Tensor | None = None) -> Tensor:
    """DETR: positions within what the mask says is seen, made anew: the library keeps what it made last."""
    make = self.build_sine_position_embedding.__wrapped__
    found: Tensor = make(
        shape, device, dtype, self.num_position_features, self.normalize, self.scale, self.temperature, mask
    )
    return found


def _learned(self: Any, shape: Any, device: Any, dtype: Any, mask: Tensor | None = None) -> Tensor:
    """DETR: learned positions, made anew."""
    found: Tensor = type(self).forward.__wrapped__(self, shape, device, dtype, mask)
    return found


def _each(names: str, **methods: Callable[..., Any]) -> dict[str, dict[str, Callable[..., Any]]]:
    return dict.fromkeys(names.split(), methods)


_METHODS: dict[str, dict[str, Callable[..., Any]]] = {
    **_each(
        "SwinPatchEmbeddings Swinv2PatchEmbeddings MaskFormerSwinPatchEmbeddings FocalNetPatchEmbeddings",
        maybe_pad=_pad_to_patches,
    ),
    **_each("SwinPatchMerging Swinv2PatchMerging MaskFormerSwinPatchMerging", maybe_pad=_pad_to_pairs),
    **_each("SwinLayer Swinv2Layer MaskFormerSwinLayer", maybe_pad=_pad_to_windows),
    **_each("BeitEmbeddings Dinov2Embeddings", interpolate_pos_encoding=_interpolated_positions),
    **_each("Dinov2WithRegistersEmbeddings", interpolate_pos_encoding=_smoothed_positions(cubic)),
    **_each("Tipsv2VisionEmbeddings", interpolate_pos_encoding=_smoothed_positions(triangle)),
    **_each("BeitRelativePositionBias", forward=_relative_bias),
    **_each("DPTFeatureFusionLayer Tipsv2DptFeatureFusionLayer", forward=_fuse),
    **_each("MobileViTLayer", unfolding=_unfold),
    **_each("MobileViTV2Layer", unfolding=_unfold_separably, folding=_fold_separably),
    **_each("MobileNetV2ConvLayer", forward=_same_convolution),
    **_each(
        "Mask2FormerPixelDecoderEncoderOnly OneFormerPixelDecoderEncoderOnly", get_reference_points=_reference_points
    ),
    **_each("OneFormerTransformerDecoderLayer", forward=_masked_layer),
    **_each("DINOv3ViTRopePositionEmbedding Sapiens2RopePositionEmbedding", forward=_patch_angles),
    **_each(
        "MaskFormerSinePositionEmbedding Mask2FormerSinePositionEmbedding OneFormerSinePositionEmbedding",
        forward=_sines,
    ),
    **_each("DetrSinePositionEmbedding", forward=_masked_sines),
    **_each("DetrLearnedPositionEmbedding", forward=_learned),
}
"""What is told again: the library's class, its methods."""


def free_lengths(model: nn.Module) -> None:
    """Let the layers of ``model`` compute with lengths that a graph may leave free.

    Args:
        model: A network of transformers; its layers are changed in place.
    """
    for module in model.modules():
        for method, function in _METHODS.get(type(module).__name__, {}).items():
            setattr(module, method, MethodType(function, module))
