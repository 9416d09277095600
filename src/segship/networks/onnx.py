"""A network that comes as an ONNX graph: run by ONNX Runtime, and captured by writing it down again."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from segship.core.errors import UnsupportedError
from segship.networks.graph import GraphNetwork, bearable_bytes
from segship.onnxgraph.conventions import INPUT, OUTPUT
from segship.onnxgraph.operators import operators_of
from segship.onnxgraph.passes.channels_first import channels_first
from segship.onnxgraph.passes.one_hot_labels import one_hot_labels
from segship.onnxgraph.passes.rename_values import rename_values
from segship.onnxgraph.passes.unsigned_activations import unsigned_activations
from segship.onnxgraph.ports import outputs_of
from segship.onnxgraph.ranges import output_range
from segship.onnxgraph.session import open_model, open_within, runtime_reason

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

    from segship.core.spec import SizeRule
    from segship.networks.arrangement import Arrangement
    from segship.onnxgraph.ranges import Range

__all__ = ["OnnxNetwork"]


class OnnxNetwork(GraphNetwork):
    """An ONNX model of one input and one output.

    Args:
        model: Float32 image (N, C, H, W) in, scores (N, K, h, w) out.
        image: Name of its input.
        sizes: Which input sizes it takes.
    """

    def __init__(self, model: onnx.ModelProto, image: str, *, sizes: SizeRule) -> None:
        super().__init__(sizes)
        self.model = model
        self._image = image
        self._session: Any = None

    def logits(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, K, h, w).

        Raises:
            UnsupportedError: The network is being captured for an engine that takes torch programs.
        """
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise UnsupportedError(
                "the network comes as an ONNX file: engines that are built from torch programs cannot take it, choose "
                "one that is built from ONNX"
            )
        return torch.from_numpy(self._run(x.numpy()))

    def first_logits(self, x: Tensor) -> Tensor:
        """As `logits`, in no more memory than any real network takes for an input of this size.

        Raises:
            UnsupportedError: It takes more, or does not run.
        """
        memory = bearable_bytes(x) + 2 * self.model.ByteSize()
        return torch.from_numpy(self._run_in(_open(self.model, memory), x.numpy()))

    def observe(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], Range]:
        """Return the output for an image (N, C, H, W) as it leaves the graph, and which values it can have.

        Args:
            image: float32, normalised.

        Raises:
            UnsupportedError: It does not run.
        """
        output = outputs_of(self.model)[0].name
        return self.first_logits(torch.from_numpy(image)).numpy(), output_range(self.model, output)

    def arrange(self, arrangement: Arrangement) -> None:
        """Let the model return scores (N, K, h, w).

        Args:
            arrangement: What lies between its output and them.
        """
        if arrangement.last:
            channels_first(self.model, outputs_of(self.model)[0].name)
        if arrangement.labels is not None:
            one_hot_labels(self.model, outputs_of(self.model)[0], arrangement.labels)
        self._session = None

    def onnx_model(self) -> onnx.ModelProto:
        """The model with its input called ``image`` and its output called ``logits``."""
        model = copy.deepcopy(self.model)
        rename_values(model, {self._image: INPUT, outputs_of(model)[0].name: OUTPUT})
        return model

    def _run(self, image: NDArray[Any]) -> NDArray[np.float32]:
        if self._session is None:
            self._session = _open(self.model)
        return self._run_in(self._session, image)

    def _run_in(self, session: Any, image: NDArray[Any]) -> NDArray[np.float32]:
        try:
            scores: NDArray[np.float32] = session.run(None, {self._image: image})[0]
        except Exception as error:
            raise UnsupportedError(
                f"the file does not run on an input of {'x'.join(map(str, image.shape))}: {runtime_reason(error)}; "
                "where it takes other sizes alone, a description says which: sizes: {fixed: [512, 512]} or "
                "{multiple_of: 32}"
            ) from error
        return scores


def _open(model: onnx.ModelProto, memory: int | None = None) -> Any:
    try:
        if "QuantizeLinear" in operators_of(model):
            model = copy.deepcopy(model)
            unsigned_activations(model)
        return open_model(model) if memory is None else open_within(model, memory)
    except Exception as error:
        raise UnsupportedError(f"ONNX Runtime refuses the file: {runtime_reason(error)}") from error
