"""Reduced precisions: one module for each tool, and the search for the layers that must stay in floating point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target

__all__ = ["Inputs", "Ranked", "Reduced", "ReducedGraph", "quantize"]

Ranked: TypeAlias = "list[tuple[str, float]]"
"""Names of layers, and the damage that each does alone; the worst first."""


class Inputs(Protocol):
    """The network's inputs that calibration looks at: float32 (1, C, H, W) each, gone through several times."""

    def __iter__(self) -> Iterator[NDArray[Any]]: ...

    def __len__(self) -> int: ...


class Reduced(Protocol):
    """A network in a reduced precision, any of whose layers can be given back to floating point.

    Attributes:
        layers: Names of the layers that compute in that precision, in the order of the graph.
        kinds: What each of them is, in words: layers of one kind take about as much time, and are timed together.
    """

    layers: tuple[str, ...]

    @property
    def kinds(self) -> Mapping[str, str]:
        """As above."""

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        """Write an engine.

        Args:
            kept: Layers that stay in floating point.
            directory: Where its files go.
            finish: Changes the graph at last, where the engine is made of a graph that is quantised already.

        Raises:
            BackendError: The engine cannot be built.
        """

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> Ranked:
        """Return the layers and what each costs alone, those that suffer most from the precision first.

        Args:
            inputs: Images to rank on, float32 (1, C, H, W) each; a few are enough.
            progress: Called with (done, all) after each layer.
        """


@runtime_checkable
class ReducedGraph(Reduced, Protocol):
    """A `Reduced` whose engines are built of a graph that has the precision already."""

    def graph(self, kept: tuple[str, ...]) -> Graph:
        """Return this graph.

        Args:
            kept: Layers that stay in floating point.
        """


def quantize(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate a network for int8 with the tool that the engine wants (``INFO.quantizer``).

    Args:
        graph: float32; other files are written beside it.
        target: Engine, precision and shape.
        backend: The engine's module.
        inputs: The images to calibrate on.

    Raises:
        MissingExtraError: The tool is not installed.
        BackendError: It refuses the network.
    """
    match backend.INFO.quantizer:
        case "nncf":
            from segship.quantize.nncf import quantize_onnx

            return quantize_onnx(graph, target, backend, inputs)
        case "ai_edge":
            from segship.quantize.ai_edge import quantize_tflite

            return quantize_tflite(graph, target, backend, inputs)
        case "rknn_toolkit":
            from segship.quantize.rknn_toolkit import quantize_rknn

            return quantize_rknn(graph, target, backend, inputs)
        case "qnn_qdq":
            from segship.quantize.qnn_qdq import quantize_qnn

            return quantize_qnn(graph, target, backend, inputs)
        case "torchao":
            from segship.quantize.torchao import quantize_program

            return quantize_program(graph, target, backend, inputs)
