"""Activations by the names configs give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from segship.core.errors import UnsupportedError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = ["HSigmoid", "QuickGELU", "build_activation"]


class HSigmoid(nn.Module):
    """``clamp((x + bias) / divisor, low, high)`` (mmcv; MobileNetV3 in MMSegmentation uses bias 3, divisor 6).

    Args:
        bias, divisor: Slope and offset of the linear part.
        min_value, max_value: Bounds.
    """

    def __init__(self, bias: float = 3.0, divisor: float = 6.0, min_value: float = 0.0, max_value: float = 1.0) -> None:
        super().__init__()
        self.bias, self.divisor, self.low, self.high = bias, divisor, min_value, max_value

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; any shape."""
        return ((x + self.bias) / self.divisor).clamp(self.low, self.high)


class QuickGELU(nn.Module):
    """``x * sigmoid(1.702 x)`` (CLIP)."""

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise; any shape."""
        return x * (1.702 * x).sigmoid()


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "ReLU": nn.ReLU,
    "LeakyReLU": nn.LeakyReLU,
    "PReLU": nn.PReLU,
    "ReLU6": nn.ReLU6,
    "ELU": nn.ELU,
    "GELU": nn.GELU,
    "SiLU": nn.SiLU,
    "Swish": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HSwish": nn.Hardswish,
    "HSigmoid": HSigmoid,
    "QuickGELU": QuickGELU,
}


def build_activation(act_cfg: Mapping[str, Any]) -> nn.Module:
    """The activation ``act_cfg["type"]`` with the other entries as keywords.

    Raises:
        UnsupportedError: The type is unknown.
    """
    kind = act_cfg["type"]
    if kind not in _ACTIVATIONS:
        raise UnsupportedError(f"no activation is called {kind!r}.{did_you_mean(kind, _ACTIVATIONS)}")
    return _ACTIVATIONS[kind](**{key: value for key, value in act_cfg.items() if key not in {"type", "inplace"}})
