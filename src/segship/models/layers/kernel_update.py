"""K-Net's update of kernels by what each of them found in the map.

Source: K-Net (arXiv:2106.14855); upstream ``KernelUpdator`` and ``KernelUpdateHead`` in
``mmseg/models/decode_heads/knet_head.py`` (Apache-2.0), whose attribute names are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from segship.core.errors import ConfigError, UnsupportedError
from segship.models.layers.activation import build_activation
from segship.models.layers.attention import SelfAttention
from segship.models.layers.conv import RELU, Cfg, ConvModule, build_norm
from segship.models.layers.map_attention import as_map
from segship.models.layers.nested import build_nested
from segship.models.layers.transformer import FFN, LAYER_NORM

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KernelUpdateHead", "KernelUpdator"]


class KernelUpdator(nn.Module):
    """Mixes each kernel with the features it gathered, by gates made from their product.

    Args:
        in_channels: Channels of kernels and features; wider ones are cut in pieces that are updated on their own.
        feat_channels: Channels inside.
        out_channels: Channels of the result; None: ``in_channels``.
        gate_sigmoid: Whether gates are squashed.
        gate_norm_act: Whether the product is normalised and activated first.
        activate_out: Whether the mixed parts are activated.
        norm_cfg, act_cfg: The normalisation and the activation.
    """

    def __init__(
        self,
        in_channels: int = 256,
        feat_channels: int = 64,
        out_channels: int | None = None,
        *,
        gate_sigmoid: bool = True,
        gate_norm_act: bool = False,
        activate_out: bool = False,
        norm_cfg: Cfg = LAYER_NORM,
        act_cfg: Cfg = RELU,
    ) -> None:
        super().__init__()
        out_channels = out_channels or in_channels

        def norm(channels: int = feat_channels) -> nn.Module:
            return build_norm(norm_cfg, channels)[1]

        self.in_channels = in_channels
        self.gate_sigmoid = gate_sigmoid
        self.activate_out = activate_out
        self.dynamic_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_layer = nn.Linear(in_channels, 2 * feat_channels)
        self.input_gate = nn.Linear(in_channels, feat_channels)
        self.update_gate = nn.Linear(in_channels, feat_channels)
        self.gate_norm = norm() if gate_norm_act else None
        self.norm_in, self.norm_out = norm(), norm()
        self.input_norm_in, self.input_norm_out = norm(), norm()
        self.activation = build_activation(act_cfg)
        self.fc_layer = nn.Linear(feat_channels, out_channels)
        self.fc_norm = norm(out_channels)

    def forward(self, features: Tensor, kernels: Tensor) -> Tensor:
        """(N, K, C), (N, K, C) -> the updated kernels, (N, K, C)."""
        batch, count, channels = kernels.shape
        pieces = (batch, count * channels // self.in_channels, self.in_channels)
        update_gate, update = self.dynamic_layer(features.reshape(pieces)).chunk(2, dim=2)
        kernel_gate, kernel = self.input_layer(kernels.reshape(pieces)).chunk(2, dim=2)
        gate = kernel_gate * update_gate
        if self.gate_norm is not None:
            gate = self.activation(self.gate_norm(gate))
        kernel_gate = self.input_norm_in(self.input_gate(gate))
        update_gate = self.norm_in(self.update_gate(gate))
        if self.gate_sigmoid:
            kernel_gate, update_gate = kernel_gate.sigmoid(), update_gate.sigmoid()
        update, kernel = self.norm_out(update), self.input_norm_out(kernel)
        if self.activate_out:
            update, kernel = self.activation(update), self.activation(kernel)
        mixed = self.fc_norm(self.fc_layer(update_gate * update + kernel_gate * kernel))
        return self.activation(mixed).reshape(batch, count, channels)


class KernelUpdateHead(nn.Module):
    """One round: kernels gather by their masks, are updated, see each other, and make new masks.

    Args:
        kernel_updator_cfg: ``type`` and keywords of `KernelUpdator`.
        num_ffn_fcs, feedforward_channels, ffn_act_cfg: Linear layers, width and activation of the feed-forward network.
        num_heads: Attention heads.
        num_mask_fcs: Linear layers between kernels and masks.
        in_channels: Channels of map and kernels.
        out_channels: The same number.
        act_cfg: Activation between the linear layers for masks.
        conv_kernel_size, feat_gather_stride, mask_transform_stride: 1, the only value that is provided.
        feat_transform_cfg: Keywords of a 1x1 `ConvModule` that the map goes through first; None: it does not.
        with_ffn: Whether there is a feed-forward network.
        num_classes, kernel_init: Only training uses them.

    Raises:
        ConfigError: ``out_channels`` is another number, or the type of the updator is.
        UnsupportedError: Kernels are not 1x1, or the map is resized.
    """

    def __init__(
        self,
        kernel_updator_cfg: Cfg,
        *,
        num_ffn_fcs: int = 2,
        num_heads: int = 8,
        num_mask_fcs: int = 3,
        feedforward_channels: int = 2048,
        in_channels: int = 256,
        out_channels: int = 256,
        act_cfg: Cfg = RELU,
        ffn_act_cfg: Cfg = RELU,
        conv_kernel_size: int = 1,
        feat_transform_cfg: Cfg | None = None,
        with_ffn: bool = True,
        feat_gather_stride: int = 1,
        mask_transform_stride: int = 1,
        num_classes: int = 150,
        kernel_init: bool = False,
    ) -> None:
        super().__init__()
        transform = dict(feat_transform_cfg or {})
        if {conv_kernel_size, feat_gather_stride, mask_transform_stride, transform.pop("kernel_size", 1)} != {1}:
            raise UnsupportedError("K-Net with kernels, strides or a feature transformation of another size than 1")
        if out_channels != in_channels or kernel_updator_cfg.get("type") != "KernelUpdator":
            raise ConfigError(
                f"a KernelUpdateHead has as many out_channels as in_channels and a KernelUpdator, not {in_channels}, "
                f"{out_channels} and {kernel_updator_cfg.get('type')}"
            )
        self.attention = SelfAttention(in_channels, num_heads, fused=False)  # the masks magnify rounding
        self.attention_norm = nn.LayerNorm(in_channels)
        self.kernel_update_conv = build_nested(KernelUpdator, kernel_updator_cfg)
        self.feat_transform = (
            None if feat_transform_cfg is None else ConvModule(in_channels, in_channels, 1, **transform)
        )
        self.ffn = (
            FFN(in_channels, feedforward_channels, num_fcs=num_ffn_fcs, act_cfg=ffn_act_cfg) if with_ffn else None
        )
        self.ffn_norm = nn.LayerNorm(in_channels) if with_ffn else None
        layers: list[nn.Module] = []
        for _ in range(num_mask_fcs):
            linear = nn.Linear(in_channels, in_channels, bias=False)
            layers += [linear, nn.LayerNorm(in_channels), build_activation(act_cfg)]
        self.mask_fcs = nn.Sequential(*layers)
        self.fc_mask = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, kernels: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """One round.

        Args:
            x: (N, C, H, W).
            kernels: (N, K, C), one for each class.
            masks: (N, K, H, W), the logits so far.

        Returns:
            New masks (N, K, H, W) and kernels (N, K, C).
        """
        if self.feat_transform is not None:
            x = self.feat_transform(x)
        cells = x.flatten(2)
        gathered = masks.softmax(1).flatten(2) @ cells.transpose(1, 2)
        kernels = self.kernel_update_conv(gathered, kernels)
        kernels = self.attention_norm(kernels + self.attention(kernels))
        if self.ffn is not None and self.ffn_norm is not None:
            kernels = self.ffn_norm(kernels + self.ffn(kernels))
        return as_map(self.fc_mask(self.mask_fcs(kernels)) @ cells, x), kernels
