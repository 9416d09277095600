"""A module of somebody else's as a network: its scores found in whatever it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from segship.core.errors import UnsupportedError
from segship.core.spec import SizeRule
from segship.networks.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

__all__ = ["WrappedNetwork", "scores_of"]

_NAMES = ("logits", "out", "pred", "seg", "output")
_DIMENSIONS = 4  # (N, K, h, w)


class WrappedNetwork(Network):
    """A module that knows nothing of this package.

    Args:
        module: float32 (N, C, H, W) in, scores (N, K, h, w) somewhere in what it returns.
        num_classes: Number of classes.
        out_channels: Channels of its scores; None: ``num_classes``.
        align_corners: How its scores are resized.
        sizes: Which input sizes it takes.
        select: Finds the scores in what the module returns, or makes them of it.
    """

    def __init__(
        self,
        module: nn.Module,
        num_classes: int,
        *,
        out_channels: int | None = None,
        align_corners: bool = False,
        sizes: SizeRule | None = None,
        select: Callable[[Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.module = module
        self.num_classes = num_classes
        self.out_channels = num_classes if out_channels is None else out_channels
        self.align_corners = align_corners
        self.threshold = None
        self._sizes = sizes or SizeRule()
        self._select = select or scores_of

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return self._sizes

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> scores (N, K, h, w) as the module returns them."""
        return self._select(self.module(x))


def scores_of(output: Any) -> Tensor:
    """The scores in what a module returned: a tensor, the first of a sequence, or a well-known name of a mapping.

    Raises:
        UnsupportedError: There is no tensor of four dimensions; the message says what there is.
    """
    if isinstance(output, Tensor):
        if output.ndim != _DIMENSIONS:
            raise UnsupportedError(
                f"the network returns a tensor of shape {tuple(output.shape)}, expected scores (N, classes, h, w)"
            )
        return output
    if isinstance(output, Mapping):
        for name in _NAMES:
            if isinstance(output.get(name), Tensor):
                return scores_of(output[name])
        raise UnsupportedError(
            f"the network returns a dictionary of {', '.join(map(repr, output))}, expected scores (N, classes, h, w) "
            f"under one of {', '.join(map(repr, _NAMES))}"
        )
    if isinstance(output, (list, tuple)) and output:
        return scores_of(output[0])
    raise UnsupportedError(f"the network returns a {type(output).__name__}, expected scores (N, classes, h, w)")
