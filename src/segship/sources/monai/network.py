"""MONAI's two-dimensional U-Net; the names of its layers are those of the original.

Source: monai.networks.nets.UNet, monai.networks.blocks: Convolution, ResidualUnit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from torch import Tensor, nn

from segship.core.errors import ConfigError, UnsupportedError, did_you_mean
from segship.core.frozen import Frozen, Positive
from segship.core.validation import Bound

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNet", "UNetArguments", "WidthFirst"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leakyrelu": nn.LeakyReLU,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "swish": nn.SiLU,
    "tanh": nn.Tanh,
}
_NORMS: dict[str, Callable[..., nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "group": lambda channels, **options: nn.GroupNorm(num_channels=channels, **options),
    "instance": nn.InstanceNorm2d,
}
_Pair = int | tuple[Positive, ...]


class UNetArguments(Frozen):
    """Arguments of ``monai.networks.nets.UNet`` by its own names and defaults."""

    spatial_dims: Literal[2]
    in_channels: Positive
    out_channels: Positive
    channels: Annotated[tuple[Positive, ...], Bound(least=2, most=16)]
    strides: Annotated[tuple[_Pair, ...], Bound(least=1, most=16)]
    kernel_size: _Pair = 3
    up_kernel_size: _Pair = 3
    num_res_units: Annotated[int, Bound(ge=0, le=32)] = 0
    act: Any = "PRELU"
    norm: Any = "INSTANCE"
    dropout: Any = 0.0
    bias: bool = True
    adn_ordering: str = "NDA"

    def _require_consistent(self) -> None:
        if len(self.strides) < len(self.channels) - 1:
            raise ValueError(f"{len(self.channels)} channels need {len(self.channels) - 1} strides")
        if set(self.adn_ordering.upper()) - set("NDA"):
            raise ValueError(f"adn_ordering is {self.adn_ordering!r:.20}, expected letters of NDA")


def _pair(value: _Pair) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2:  # noqa: PLR2004
        raise ConfigError(f"{value!r:.40} is not of two dimensions")
    return pair[0], pair[1]


def _made(said: Any, known: dict[str, Any], what: str, *arguments: int) -> nn.Module:
    """A layer by its name, or by its name and its options, as MONAI's factories have it."""
    name, options = (said[0], said[1]) if isinstance(said, (list, tuple)) and len(said) == 2 else (said, {})  # noqa: PLR2004
    key = str(name).lower()
    if key not in known or not isinstance(options, dict):
        raise UnsupportedError(
            f"{what} {said!r:.80} is not known, known are {', '.join(known)}.{did_you_mean(key, known)}"
        )
    options = {name: value for name, value in options.items() if name != "inplace"}
    try:
        found: nn.Module = known[key](*arguments, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what} {said!r:.80} cannot be made: {error}") from None
    return found


class _Convolution(nn.Sequential):
    """A convolution, or a transposed one, and what follows it."""

    def __init__(
        self, said: UNetArguments, inputs: int, outputs: int, stride: _Pair, *, up: bool = False, bare: bool = False
    ) -> None:
        super().__init__()
        kernel, steps = _pair(said.up_kernel_size if up else said.kernel_size), _pair(stride)
        padding = (kernel[0] // 2, kernel[1] // 2)
        if any(side % 2 == 0 for side in kernel):
            raise UnsupportedError(f"the kernel {kernel} has an even side, which MONAI's padding does not provide")
        conv: nn.Module = (
            nn.ConvTranspose2d(inputs, outputs, kernel, steps, padding, (steps[0] - 1, steps[1] - 1), bias=said.bias)
            if up
            else nn.Conv2d(inputs, outputs, kernel, steps, padding, bias=said.bias)
        )
        self.add_module("conv", conv)
        after = nn.Sequential()
        for letter in "" if bare else said.adn_ordering.upper():
            if letter == "N" and said.norm is not None:
                after.add_module("N", _made(said.norm, _NORMS, "normalisation", outputs))
            if letter == "A" and said.act is not None:
                after.add_module("A", _made(said.act, _ACTIVATIONS, "activation"))
        if len(after):
            self.add_module("adn", after)


class _Residual(nn.Module):
    """Convolutions, and the input added to what they make."""

    def __init__(
        self, said: UNetArguments, inputs: int, outputs: int, stride: _Pair, units: int, *, bare: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        width, step = inputs, stride
        for place in range(units):
            last = bare and place == units - 1
            self.conv.add_module(f"unit{place}", _Convolution(said, width, outputs, step, bare=last))
            width, step = outputs, 1
        self.residual: nn.Module = nn.Identity()
        steps = _pair(stride)
        if steps != (1, 1):
            kernel = _pair(said.kernel_size)
            self.residual = nn.Conv2d(inputs, outputs, kernel, steps, (kernel[0] // 2, kernel[1] // 2), bias=said.bias)
        elif inputs != outputs:
            self.residual = nn.Conv2d(inputs, outputs, 1, bias=said.bias)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.conv(x) + self.residual(x)
        return found


class _Skip(nn.Module):
    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.submodule(x)), 1)


class UNet(nn.Module):
    """MONAI's U-Net.

    Args:
        said: Its arguments.
    """

    def __init__(self, said: UNetArguments) -> None:
        super().__init__()
        self.model = self._level(said, said.in_channels, said.out_channels, 0)

    def _level(self, said: UNetArguments, inputs: int, outputs: int, level: int) -> nn.Module:
        width, stride, top = said.channels[level], said.strides[level], level == 0
        if level + 2 < len(said.channels):
            inner, wide = self._level(said, width, width, level + 1), 2 * width
        else:
            inner, wide = self._down(said, width, said.channels[level + 1], 1), width + said.channels[level + 1]
        up: nn.Module = _Convolution(said, wide, outputs, stride, up=True, bare=top and said.num_res_units == 0)
        if said.num_res_units:
            up = nn.Sequential(up, _Residual(said, outputs, outputs, 1, 1, bare=top))
        return nn.Sequential(self._down(said, inputs, width, stride), _Skip(inner), up)

    @staticmethod
    def _down(said: UNetArguments, inputs: int, outputs: int, stride: _Pair) -> nn.Module:
        if said.num_res_units:
            return _Residual(said, inputs, outputs, stride, said.num_res_units)
        return _Convolution(said, inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, classes, H, W)."""
        found: Tensor = self.model(x)
        return found


class WidthFirst(nn.Module):
    """A network that sees an image with its width before its height, as MONAI reads pictures.

    Args:
        network: What sees it.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, classes, H, W)."""
        found: Tensor = self.network(x.transpose(2, 3))
        return found.transpose(2, 3)
