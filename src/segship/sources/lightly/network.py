"""EoMT on a vision transformer of DINOv2 or DINOv3, with the keys of lightly-train's weights.

Sources: lightly_train's DINOv2EoMTSemanticSegmentation and DINOv3EoMTSemanticSegmentation; "Your ViT is Secretly an
Image Segmentation Model" (Kerssies et al., 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segship.networks.network import Network
from segship.networks.probability import sigmoid

if TYPE_CHECKING:
    from segship.core.spec import SizeRule

__all__ = ["Eomt", "Shape"]

_UPSCALE = 2


@dataclass(frozen=True)
class Shape:
    """Sizes of a network.

    Attributes:
        rotary: Whether positions turn queries and keys (DINOv3); else they are added to patches (DINOv2).
        channels: Of the image.
        dim: Length of a token.
        depth: Number of blocks.
        heads: Of attention.
        patch: Side of a patch.
        positions: Patches of the table of positions (DINOv2).
        registers: Tokens without a place.
        feed: Width of each layer between the tokens, by its name: ``fc1``, ``w12``, or ``w1`` and ``w2``.
        hidden: Width inside a block's feed-forward part.
        bias: Whether queries, keys and values have a bias.
        queries: Number of masks.
        classes: Number of classes, without that of no object.
        joint: Blocks that see masks and patches together.
        upscale: How often the patches' features are enlarged to twice their size.
        side: Height and width of the input.
        offset: What is added to the number of patches where positions are interpolated (DINOv2).
    """

    rotary: bool
    channels: int
    dim: int
    depth: int
    heads: int
    patch: int
    positions: int
    registers: int
    feed: str
    hidden: int
    bias: bool
    queries: int
    classes: int
    joint: int
    upscale: int
    side: int
    offset: float

    @property
    def grid(self) -> int:
        """Patches along a side: DINOv2 enlarges the input to whole patches, DINOv3 leaves out what is no whole one."""
        return self.side // self.patch if self.rotary else math.ceil(self.side / self.patch)


class _Attention(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.dim, 3 * shape.dim, bias=shape.bias)
        self.proj = nn.Linear(shape.dim, shape.dim)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor] | None) -> Tensor:
        batch, tokens, dim = x.shape
        parts = self.qkv(x).reshape(batch, tokens, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = parts[0], parts[1], parts[2]
        if turns is not None:
            q, k = _turned(q, *turns), _turned(k, *turns)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, dim)
        found: Tensor = self.proj(mixed)
        return found


def _turned(x: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    """The last tokens of ``x``, which have a place, turned by it."""
    first = x.shape[2] - sin.shape[0]
    placed = x[:, :, first:]
    half = placed.shape[-1] // 2
    across = torch.cat((-placed[..., half:], placed[..., :half]), -1)
    return torch.cat((x[:, :, :first], placed * cos + across * sin), 2)


class _Scale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Feed(nn.Module):
    """Two layers with GELU between them, or SwiGLU with its two first layers in one or apart."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.kind, dim, hidden = shape.feed, shape.dim, shape.hidden
        if shape.feed == "fc1":
            self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)
            return
        if shape.feed == "w12":
            self.w12 = nn.Linear(dim, 2 * hidden)
        else:
            self.w1, self.w2 = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.w3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "fc1":
            found: Tensor = self.fc2(F.gelu(self.fc1(x)))
        elif self.kind == "w12":
            gate, value = self.w12(x).chunk(2, -1)
            found = self.w3(F.silu(gate) * value)
        else:
            found = self.w3(F.silu(self.w1(x)) * self.w2(x))
        return found


class _Block(nn.Module):
    def __init__(self, shape: Shape, eps: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(shape.dim, eps), nn.LayerNorm(shape.dim, eps)
        self.attn, self.mlp = _Attention(shape), _Feed(shape)
        self.ls1, self.ls2 = _Scale(shape.dim), _Scale(shape.dim)

    def forward(self, x: Tensor, turns: tuple[Tensor, Tensor] | None) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x), turns))
        found: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return found


class _Patches(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(shape.channels, shape.dim, shape.patch, shape.patch)


class _Rotary(nn.Module):
    periods: Tensor

    def __init__(self, length: int) -> None:
        super().__init__()
        self.register_buffer("periods", torch.ones(length))

    def turns(self, grid: int) -> tuple[Tensor, Tensor]:
        """Sine and cosine (patches, length of a head) of a square grid."""
        places = 2.0 * (torch.arange(0.5, grid) / grid) - 1.0
        each = torch.stack(torch.meshgrid(places, places, indexing="ij"), -1).flatten(0, 1)
        angles = (2 * math.pi * each[:, :, None] / self.periods[None, None, :]).flatten(1, 2)
        angles = torch.cat((angles, angles), -1)
        return angles.sin(), angles.cos()


class _Backbone(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.patch_embed = _Patches(shape)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, shape.dim))
        if shape.rotary:
            self.rope_embed = _Rotary(shape.dim // shape.heads // 4)
        else:
            self.pos_embed = nn.Parameter(torch.zeros(1, shape.positions + 1, shape.dim))
        if shape.registers:
            name = "storage_tokens" if shape.rotary else "register_tokens"
            self.register_parameter(name, nn.Parameter(torch.zeros(1, shape.registers, shape.dim)))
        eps = 1e-5 if shape.rotary else 1e-6
        self.blocks = nn.ModuleList([_Block(shape, eps) for _ in range(shape.depth)])
        self.norm = nn.LayerNorm(shape.dim, eps)

    def tokens(self, x: Tensor, shape: Shape) -> Tensor:
        """(N, C, side, side) -> (N, 1 + registers + patches, dim)."""
        whole = shape.grid * shape.patch
        if not shape.rotary and whole != shape.side:
            x = F.interpolate(x, (whole, whole), mode="bicubic", align_corners=False)
        patches = self.patch_embed.proj(x).flatten(2).transpose(1, 2)
        registers = getattr(self, "storage_tokens", getattr(self, "register_tokens", None))
        first: Tensor = self.cls_token
        if not shape.rotary:
            first, patches = first + self.pos_embed[:, :1], patches + self.pos_embed[:, 1:]
        parts = [first] if registers is None else [first, registers]
        return torch.cat([*(part.expand(x.shape[0], -1, -1) for part in parts), patches], 1)

    def places(self, shape: Shape) -> Tensor:
        """The table of positions (1, 1 + patches, dim) at the grid's size."""
        if shape.grid**2 == shape.positions:
            return self.pos_embed
        side = math.isqrt(shape.positions)
        square = self.pos_embed[:, 1:].reshape(1, side, side, shape.dim).permute(0, 3, 1, 2)
        if shape.offset:
            factor = (shape.grid + shape.offset) / side
            square = F.interpolate(square, scale_factor=(factor, factor), mode="bicubic")
        else:
            square = F.interpolate(square, (shape.grid, shape.grid), mode="bicubic", antialias=True)
        return torch.cat((self.pos_embed[:, :1], square.permute(0, 2, 3, 1).flatten(1, 2)), 1)


class _LayerNorm2d(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Upscale(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(dim, dim, _UPSCALE, _UPSCALE)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
        self.norm = _LayerNorm2d(dim)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.conv2(F.gelu(self.conv1(x))))
        return found


class Eomt(Network):
    """EoMT: masks are tokens of the vision transformer's last blocks.

    Args:
        shape: Its sizes.
        sizes: The only size that it takes.
    """

    sin: Tensor
    cos: Tensor

    def __init__(self, shape: Shape, sizes: SizeRule) -> None:
        super().__init__()
        dim = shape.dim
        self.shape, self._sizes = shape, sizes
        self.num_classes = self.out_channels = shape.classes
        self.align_corners = False
        self.threshold = None
        self.patch = shape.patch
        self.backbone = _Backbone(shape)
        self.queries = nn.Embedding(shape.queries, dim)
        self.class_head = nn.Linear(dim, shape.classes + 1)
        layers = [nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, dim)]
        self.mask_head = nn.Sequential(*layers)
        self.upscale = nn.Sequential(*(_Upscale(dim) for _ in range(shape.upscale)))
        for name in ("sin", "cos") if shape.rotary else ():
            self.register_buffer(name, torch.zeros(0), persistent=False)

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return self._sizes

    def settle(self) -> None:
        """Compute what follows from the weights and the only size alone; to be called once they are loaded."""
        with torch.no_grad():
            if self.shape.rotary:
                self.sin, self.cos = self.backbone.rope_embed.turns(self.shape.grid)
            else:
                self.backbone.pos_embed = nn.Parameter(self.backbone.places(self.shape))

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, side, side) -> scores (N, classes, side, side): those of the masks, weighted by their class."""
        shape, backbone = self.shape, self.backbone
        tokens = backbone.tokens(x, shape)
        turns = (self.sin, self.cos) if shape.rotary else None
        for number, block in enumerate(backbone.blocks):
            if number == shape.depth - shape.joint:
                tokens = torch.cat((self.queries.weight[None].expand(x.shape[0], -1, -1), tokens), 1)
            tokens = block(tokens, turns)
        tokens = backbone.norm(tokens)
        queries, patches = tokens[:, : shape.queries], tokens[:, shape.queries + 1 + shape.registers :]
        grid = patches.transpose(1, 2).reshape(x.shape[0], shape.dim, shape.grid, shape.grid)
        features = self.upscale(grid)
        masks = self.mask_head(queries) @ features.flatten(2)
        masks = masks.reshape(x.shape[0], shape.queries, features.shape[2], features.shape[3])
        masks = F.interpolate(masks, (shape.side, shape.side), mode="bilinear", align_corners=False)
        classes = self.class_head(queries).softmax(-1)[..., :-1]
        scores: Tensor = classes.transpose(1, 2) @ sigmoid(masks).flatten(2)
        return scores.reshape(x.shape[0], shape.classes, shape.side, shape.side)
