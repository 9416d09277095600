"""The networks that nnU-Net plans, in two dimensions: a U-Net of plain or residual stages, and several as one.

The names of the layers are those of dynamic_network_architectures, as far as a checkpoint needs them.
Sources: dynamic_network_architectures.architectures.unet: PlainConvUNet, ResidualEncoderUNet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from segship.networks.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from segship.core.spec import SizeRule

__all__ = ["Layers", "Stages", "UNet", "UNets", "own_keys"]


class Layers(NamedTuple):
    """What all layers of a network have in common.

    Attributes:
        bias: Whether convolutions have one.
        norm: Makes a normalisation of so many channels; None: none.
        activation: Makes an activation; None: none.
        dropout: Whether the places of layers that only training uses are counted in the names.
        activation_first: Whether the activation comes before the normalisation.
    """

    bias: bool
    norm: Callable[[int], nn.Module] | None
    activation: Callable[[], nn.Module] | None
    dropout: bool = False
    activation_first: bool = False


class Stages(NamedTuple):
    """The stages of a U-Net, from the image down.

    Attributes:
        widths: Channels of each.
        kernels: (height, width) of the convolutions of each.
        strides: (height, width) of the first convolution of each.
        depths: Convolutions, or residual blocks, of each.
        up: Convolutions of each stage of the way back, from the bottom.
        residual: Whether the stages have residual blocks.
        bottlenecks: Inner channels of each stage's blocks; None: blocks of two convolutions.
        stem: Channels of the stem of residual stages.
    """

    widths: Sequence[int]
    kernels: Sequence[tuple[int, int]]
    strides: Sequence[tuple[int, int]]
    depths: Sequence[int]
    up: Sequence[int]
    residual: bool = False
    bottlenecks: Sequence[int] | None = None
    stem: int | None = None


class _Unit(nn.Module):
    """A convolution, its normalisation and its activation (``ConvDropoutNormReLU``)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        layers: Layers,
        *,
        active: bool = True,
    ) -> None:
        super().__init__()
        padding = ((kernel[0] - 1) // 2, (kernel[1] - 1) // 2)
        parts: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=layers.bias)]
        if layers.dropout and active:
            parts.append(nn.Identity())
        after = [] if layers.norm is None else [layers.norm(outputs)]
        if active and layers.activation is not None:
            after.insert(0 if layers.activation_first else len(after), layers.activation())
        self.all_modules = nn.Sequential(*parts, *after)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.all_modules(x)
        return found


class _Units(nn.Module):
    """Convolutions in a row (``StackedConvBlocks``)."""

    def __init__(
        self, count: int, inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int], layers: Layers
    ) -> None:
        super().__init__()
        first = _Unit(inputs, outputs, kernel, stride, layers)
        self.convs = nn.Sequential(first, *(_Unit(outputs, outputs, kernel, (1, 1), layers) for _ in range(1, count)))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.convs(x)
        return found


class _Block(nn.Module):
    """A residual block of two convolutions, or of three around a bottleneck (``BasicBlockD``, ``BottleneckD``)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        layers: Layers,
        inner: int | None,
    ) -> None:
        super().__init__()
        one, bare = (1, 1), layers._replace(dropout=False)
        if inner is None:
            self.conv1 = _Unit(inputs, outputs, kernel, stride, layers)
            self.conv2 = _Unit(outputs, outputs, kernel, one, layers, active=False)
        else:
            self.conv1 = _Unit(inputs, inner, one, one, bare)
            self.conv2 = _Unit(inner, inner, kernel, stride, layers)
            self.conv3 = _Unit(inner, outputs, one, one, layers, active=False)
        self.last = nn.Identity() if layers.activation is None else layers.activation()
        skip: list[nn.Module] = [] if stride == one else [nn.AvgPool2d(stride, stride)]
        if inputs != outputs:
            skip.append(_Unit(inputs, outputs, one, one, layers._replace(bias=False), active=False))
        self.skip = nn.Sequential(*skip)

    def forward(self, x: Tensor) -> Tensor:
        found = self.conv2(self.conv1(x))
        if hasattr(self, "conv3"):
            found = self.conv3(found)
        active: Tensor = self.last(found + self.skip(x))
        return active


class _Blocks(nn.Module):
    """Residual blocks in a row (``StackedResidualBlocks``)."""

    def __init__(
        self,
        count: int,
        inputs: int,
        outputs: int,
        kernel: tuple[int, int],
        stride: tuple[int, int],
        layers: Layers,
        inner: int | None,
    ) -> None:
        super().__init__()
        first = _Block(inputs, outputs, kernel, stride, layers, inner)
        more = (_Block(outputs, outputs, kernel, (1, 1), layers, inner) for _ in range(1, count))
        self.blocks = nn.Sequential(first, *more)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.blocks(x)
        return found


class _Encoder(nn.Module):
    def __init__(self, channels: int, stages: Stages, layers: Layers) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Identity()
        if stages.residual:
            stem = stages.stem or stages.widths[0]
            self.stem, channels = _Units(1, channels, stem, stages.kernels[0], (1, 1), layers), stem
        made: list[nn.Module] = []
        for place, width in enumerate(stages.widths):
            depth, kernel, stride = stages.depths[place], stages.kernels[place], stages.strides[place]
            if stages.residual:
                inner = stages.bottlenecks[place] if stages.bottlenecks else None
                made.append(_Blocks(depth, channels, width, kernel, stride, layers, inner))
            else:
                made.append(nn.Sequential(_Units(depth, channels, width, kernel, stride, layers)))
            channels = width
        self.stages = nn.Sequential(*made)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found


class _Decoder(nn.Module):
    def __init__(self, stages: Stages, layers: Layers, classes: int) -> None:
        super().__init__()
        widths, count = stages.widths, len(stages.widths)
        ups, convs = [], []
        for depth, place in zip(stages.up, range(count - 1, 0, -1), strict=True):
            below, width, stride = widths[place], widths[place - 1], stages.strides[place]
            ups.append(nn.ConvTranspose2d(below, width, stride, stride, bias=layers.bias))
            convs.append(_Units(depth, 2 * width, width, stages.kernels[place - 1], (1, 1), layers))
        self.transpconvs, self.stages = nn.ModuleList(ups), nn.ModuleList(convs)
        self.seg_layer = nn.Conv2d(widths[0], classes, 1)

    def forward(self, skips: list[Tensor]) -> Tensor:
        x = skips[-1]
        for up, stage, skip in zip(self.transpconvs, self.stages, skips[-2::-1], strict=True):
            x = stage(torch.cat((up(x), skip), 1))
        found: Tensor = self.seg_layer(x)
        return found


class UNet(nn.Module):
    """A U-Net whose stages are plain or residual.

    Args:
        channels: Of the image.
        classes: Of the scores.
        stages: The stages from the image down, and those back up.
        layers: What all layers have in common.
    """

    def __init__(self, channels: int, classes: int, stages: Stages, layers: Layers) -> None:
        super().__init__()
        self.encoder = _Encoder(channels, stages, layers)
        self.decoder = _Decoder(stages, layers, classes)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, classes, H, W)."""
        found: Tensor = self.decoder(self.encoder(x))
        return found


class UNets(Network):
    """Networks that were trained on several folds; their scores lie one behind another in the channels.

    Args:
        members: The networks.
        classes: Number of classes.
        sizes: The inputs that all take.
    """

    def __init__(self, members: Sequence[nn.Module], classes: int, sizes: SizeRule) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.num_classes, self.out_channels = classes, classes * len(members)
        self.align_corners, self.threshold = False, None
        self._sizes = sizes

    @property
    def sizes(self) -> SizeRule:
        """As given."""
        return self._sizes

    def logits(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, members * classes, H, W)."""
        return torch.cat([member(x) for member in self.members], 1)


def own_keys(state: dict[str, Any], stages: int) -> dict[str, Any]:
    """Return a checkpoint's weights without those that it holds twice, or that only training uses.

    Args:
        state: By the names of dynamic_network_architectures; ``module.`` and ``_orig_mod.`` before them are taken off.
        stages: Number of stages of the network.
    """
    own: dict[str, Any] = {}
    last = f"decoder.seg_layers.{stages - 2}."
    for name, value in state.items():
        key = name.removeprefix("module.").removeprefix("_orig_mod.")
        parts = key.split(".")
        twice = key.startswith("decoder.encoder.") or (len(parts) > 1 and parts[-2] in {"conv", "norm"})
        if key.startswith(last):
            own[key.replace(last, "decoder.seg_layer.")] = value
        elif not twice and not key.startswith("decoder.seg_layers."):
            own[key] = value
    return own
