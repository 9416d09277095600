"""A network in int8, whoever quantises it: what the search for its sensitive layers needs to know of it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target

__all__ = ["Quantized", "quantize"]


class Quantized(Protocol):
    """A calibrated network, any of whose layers can be given back to floating point.

    Attributes:
        layers: Names of the layers that compute in integers, in the order of the graph.
    """

    layers: tuple[str, ...]

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        """Write an engine.

        Args:
            kept: Layers that stay in floating point.
            directory: Where its files go.
            finish: Changes the graph at last, where the engine is made of a graph that is quantised already.

        Raises:
            BackendError: The engine cannot be built.
        """

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> list[str]:
        """The layers, those that suffer most from quantisation first.

        Args:
            inputs: What to look at, float32 (1, C, H, W) each; a few are enough.
            progress: Called with (done, all) after each layer.
        """


class _Quantize(Protocol):
    def __call__(
        self,
        graph: Graph,
        target: Target,
        backend: Backend,
        samples: Sequence[Any],
        feed: Callable[[Any], NDArray[Any]],
    ) -> Quantized: ...


def quantize(
    graph: Graph, target: Target, backend: Backend, samples: Sequence[Any], feed: Callable[[Any], NDArray[Any]]
) -> Quantized:
    """Calibrate a network for int8, in the way that the backend's engine wants (``INFO.quantizer``).

    Args:
        graph: float32; other files are written beside it.
        target: Engine, precision and shape.
        backend: The engine's module.
        samples: What calibration looks at, each one anything.
        feed: Makes the network's input float32 (1, C, H, W) of a sample.

    Raises:
        MissingExtraError: The tool that quantises is not installed.
        BackendError: It refuses the network.
    """
    module = importlib.import_module(f"segship.quantize.{backend.INFO.quantizer}")
    return cast("_Quantize", module.quantize)(graph, target, backend, samples, feed)
