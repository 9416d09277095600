"""What a network computes, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT", "NOT_COUNTED", "Complexity", "Cost"]

DEFAULT = (512, 1024)
"""(height, width) where none is asked for."""

NOT_COUNTED = (
    "resizing, softmax, sums and products of feature maps, concatenation, comparison, sorting and gathering are not "
    "counted; weights of auxiliary heads, which only training runs, are among the parameters"
)
"""What the figures leave out, to print below them."""


@dataclass(frozen=True)
class Cost:
    """The operations of one module, with all modules inside it, on one image.

    Attributes:
        name: Dotted name, as in the state dict; empty for the whole network.
        type: Class of the module.
        params: Number of weights.
        macs: Multiply-accumulates, with the cheap work counted as MMSegmentation's counter does.
        products: Multiply-accumulates of convolutions and matrix products alone.
        activations: Number of elements that convolutions and matrix products put out.
    """

    name: str
    type: str
    params: int
    macs: int
    products: int
    activations: int


@dataclass(frozen=True)
class Complexity:
    """The operations and parameters of a network on one image.

    Attributes:
        shape: (height, width) of the image.
        total: The whole network.
        modules: Every module that has weights or computes something, parents before children.
        by_operator: ``products`` of each kind of operator.
        inference_params: Number of weights without auxiliary heads.
    """

    shape: tuple[int, int]
    total: Cost
    modules: tuple[Cost, ...]
    by_operator: Mapping[str, int] = field(default_factory=dict)
    inference_params: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the whole network."""
        return self.total.macs

    @property
    def params(self) -> int:
        """Number of weights, auxiliary heads included."""
        return self.total.params

    @property
    def flops(self) -> int:
        """Floating-point operations of convolutions and matrix products, two for each multiply-accumulate."""
        return 2 * self.total.products

    def as_dict(self) -> dict[str, Any]:
        """Plain values, to be written as JSON."""
        return {
            "shape": list(self.shape),
            "macs": self.macs,
            "params": self.params,
            "inference_params": self.inference_params,
            "flops": self.flops,
            "products": self.total.products,
            "activations": self.total.activations,
            "by_operator": dict(self.by_operator),
            "modules": [vars(cost) for cost in self.modules],
            "not_counted": NOT_COUNTED,
        }
