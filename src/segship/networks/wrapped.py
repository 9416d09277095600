"""A module of somebody else's as a network: its scores found in whatever it returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from segship.core.errors import SegshipError, UnsupportedError, one_line
from segship.core.spec import SizeRule
from segship.networks.arrangement import Arrangement
from segship.networks.network import Network
from segship.networks.observed import observe

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from segship.onnxgraph.ranges import Range

__all__ = ["WrappedNetwork", "scores_among_others", "scores_of"]

_NAMES = ("logits", "out", "pred", "seg", "output")
_SCORES = 4  # dimensions of (N, K, h, w)


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
        self._arrangement = Arrangement()

    @property
    def sizes(self) -> SizeRule:
        """The input sizes that the network takes."""
        return self._sizes

    def logits(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> scores (N, K, h, w).

        Raises:
            UnsupportedError: The module cannot take an input of this size, or returns no scores.
        """
        return self._arrangement.scores(self._output(x))

    def observe(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], Range]:
        """Return the output for an image (N, C, H, W) as it leaves the module, and which values it can have.

        Args:
            image: float32, normalised.

        Raises:
            UnsupportedError: The module cannot take an input of this size, or returns no scores.
        """
        found, range_of = observe(self._output, torch.from_numpy(image))
        return found.numpy(), range_of(found)

    def arrange(self, arrangement: Arrangement) -> None:
        """Let the network return scores (N, K, h, w).

        Args:
            arrangement: What lies between the module's output and them.
        """
        self._arrangement = arrangement

    def _output(self, x: Tensor) -> Tensor:
        if type(x) is not Tensor or torch.compiler.is_exporting():  # being captured: that is for the tracer to say
            return self._select(self.module(x))
        try:
            return self._select(self.module(x))
        except SegshipError:
            raise
        except Exception as error:
            raise UnsupportedError(
                f"the module cannot take an input of {'x'.join(map(str, x.shape))}: {type(error).__name__}: "
                f"{one_line(error):.200}. A description says which sizes it takes: sizes: {{minimum: [256, 256]}}, "
                "{multiple_of: 32} or {fixed: [512, 512]}; and a mean and std for each of its channels"
            ) from error


def scores_of(output: Any, *, least: int = _SCORES) -> Tensor:
    """The scores in what a module returned: a tensor, the first of a sequence, or a well-known name of a mapping.

    Args:
        output: Whatever it returned.
        least: How many dimensions a tensor must have; 3 lets labels (N, H, W) pass, too.

    Raises:
        UnsupportedError: There is no tensor of four dimensions; the message says what there is.
    """
    if isinstance(output, Tensor):
        if not least <= output.ndim <= _SCORES:
            raise UnsupportedError(
                f"the network returns a tensor of shape {tuple(output.shape)}, expected scores (N, classes, h, w)"
            )
        return output
    if isinstance(output, Mapping):
        for name in _NAMES:
            if isinstance(output.get(name), Tensor):
                return scores_of(output[name], least=least)
        raise UnsupportedError(
            f"the network returns a dictionary of {', '.join(map(repr, output))}, expected scores (N, classes, h, w) "
            f"under one of {', '.join(map(repr, _NAMES))}"
        )
    if isinstance(output, (list, tuple)) and output:
        return scores_of(output[0], least=least)
    raise UnsupportedError(f"the network returns a {type(output).__name__}, expected scores (N, classes, h, w)")


def scores_among_others(output: Any) -> str | None:
    """Return a note on which value `scores_of` takes, or None where a module returns one value alone.

    Args:
        output: Whatever the module returned.
    """
    if isinstance(output, Mapping):
        taken = next((name for name in _NAMES if isinstance(output.get(name), Tensor)), None)
        if taken is None or len(output) == 1:
            return None
        return f"The network returns {', '.join(map(repr, output))}: {taken!r} is taken as its scores."
    if isinstance(output, (list, tuple)) and output:
        count = sum(value is not None for value in output)
        if count == 1:
            return scores_among_others(output[0])
        return f"The network returns {count} values: the first is taken as its scores."
    return None
