"""A network that comes as a model of OpenVINO: run by OpenVINO, and captured by writing it down again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from segship.core.errors import MissingExtraError, UnsupportedError, engine_errors, one_line
from segship.networks.graph import GraphNetwork, bearable_bytes
from segship.networks.openvino_ranges import output_range

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.spec import SizeRule
    from segship.networks.arrangement import Arrangement
    from segship.onnxgraph.ranges import Range

__all__ = ["OpenvinoNetwork"]

_EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # left to itself, OpenVINO computes in bfloat16 where the processor has it
_LABELS = 3
_REPEATED = frozenset({"Loop", "TensorIterator"})
_LARGEST_ELEMENT = 4  # bytes


class OpenvinoNetwork(GraphNetwork):
    """A model of OpenVINO with one image as input, of which one output counts.

    Args:
        path: The model's ``.xml``, whose text has been looked through.
        output: Which of its outputs.
        sizes: Which input sizes it takes.
        last: Whether the channels of its image are the last axis: a transpose is put before it.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        BackendError: It cannot be read.
    """

    graph_format = "openvino_ir"

    def __init__(self, path: Path, output: int, *, sizes: SizeRule, last: bool = False) -> None:
        super().__init__(sizes)
        try:
            import openvino
        except ImportError as error:
            raise MissingExtraError("Reading OpenVINO's models", "openvino", "openvino") from error
        self._openvino = openvino
        with engine_errors(f"OpenVINO cannot open {path}", last=True):
            model = openvino.Core().read_model(str(path))
            chosen = model.outputs[output].node.input_value(0)
            images = [_channels_first(each) for each in model.get_parameters()] if last else model.get_parameters()
            self._model = openvino.Model([chosen], images, model.get_friendly_name())
        self._compiled: Any = None

    @property
    def quantized(self) -> int:
        """The number of operations that round to a few levels: an int8 model has many."""
        return sum(node.get_type_name() == "FakeQuantize" for node in self._model.get_ops())

    def logits(self, x: Tensor) -> Tensor:
        """float32 (N, C, H, W) -> scores (N, K, h, w).

        Raises:
            UnsupportedError: The network is being captured for another engine, or does not run.
        """
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            raise UnsupportedError(
                "the network comes as a model of OpenVINO, which no other engine reads: choose --target "
                "openvino_dynamic, or bring the ONNX file or the network that it was made of"
            )
        try:
            if self._compiled is None:
                self._compiled = self._openvino.Core().compile_model(self._model, "CPU", _EXACT)
            scores = self._compiled([x.contiguous().numpy()])[0]
        except Exception as error:
            raise UnsupportedError(
                f"the model does not run on an input of {tuple(x.shape)}: {one_line(error, last=True)}"
            ) from error
        return torch.from_numpy(scores.copy())

    def first_logits(self, x: Tensor) -> Tensor:
        """As `logits`, after it is clear that no real network's bounds are passed.

        Raises:
            UnsupportedError: A part is repeated, an array is larger than any real network's, or it does not run.
        """
        with engine_errors(f"the model does not take an input of {tuple(x.shape)}", last=True):
            model = self._model.clone()
            model.reshape(list(x.shape))
        for node in model.get_ops():
            if node.get_type_name() in _REPEATED:
                raise UnsupportedError(f"the model has a {node.get_type_name()}: bring one without loops")
            for port in node.outputs():
                shape = port.partial_shape
                if shape.is_static and _LARGEST_ELEMENT * math.prod(shape.to_shape()) > bearable_bytes(x):
                    raise UnsupportedError(f"the model makes an array of {shape} for an input of {tuple(x.shape)}")
        return self.logits(x)

    def observe(self, image: NDArray[np.float32]) -> tuple[NDArray[Any], Range]:
        """Return the output for an image (N, C, H, W) as it leaves the model, and which values it can have.

        Args:
            image: float32, normalised.

        Raises:
            UnsupportedError: It does not run.
        """
        return self.first_logits(torch.from_numpy(image)).numpy(), output_range(self._model)

    def arrange(self, arrangement: Arrangement) -> None:
        """Let the model return scores (N, K, h, w).

        Args:
            arrangement: What lies between its output and them.
        """
        from openvino import opset8

        with engine_errors("OpenVINO cannot rearrange the model's output", last=True):
            chosen = self._model.outputs[0].node.input_value(0)
            if arrangement.last:
                chosen = opset8.transpose(chosen, opset8.constant([0, 3, 1, 2])).output(0)
            if arrangement.labels is not None:
                chosen = _one_hot(chosen, arrangement.labels)
            self._model = self._openvino.Model([chosen], self._model.get_parameters(), self._model.get_friendly_name())
        self._compiled = None

    def openvino_model(self, shape: tuple[int, ...] | None) -> Any:
        """The model with its input called ``image`` and its output called ``logits``.

        Args:
            shape: (N, C, H, W) that its input shall have alone; None: what it has.
        """
        with engine_errors("OpenVINO cannot give the model one size", last=True):
            model = self._model.clone()
            model.inputs[0].get_tensor().set_names({"image"})
            model.outputs[0].get_tensor().set_names({"logits"})
            if shape is not None and model.inputs[0].partial_shape.is_dynamic:
                model.reshape(list(shape))
        return model


def _channels_first(image: Any) -> Any:
    """A parameter (N, C, H, W) that takes the place of one (N, H, W, C)."""
    from openvino import PartialShape, opset8

    batch, height, width, channels = image.get_output_partial_shape(0)
    first = opset8.parameter(PartialShape([batch, channels, height, width]), image.get_element_type())
    transpose = opset8.transpose(first, opset8.constant([0, 2, 3, 1]))
    for reader in image.output(0).get_target_inputs():
        reader.replace_source_output(transpose.output(0))
    return first


def _one_hot(output: Any, count: int) -> Any:
    """1 for the label's class and 0 for all others, float32 (N, count, H, W), in place of labels."""
    from openvino import opset8

    labels = opset8.convert(output, "i64")
    if len(output.partial_shape) > _LABELS:
        labels = opset8.squeeze(labels, opset8.constant([1]))
    on, off = (opset8.constant(np.float32(value)) for value in (1, 0))
    return opset8.one_hot(labels, opset8.constant(count), on, off, axis=1).output(0)
