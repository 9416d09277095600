"""From a network to ONNX by running it once on tensors that hold no numbers.

Every function of torch that the network calls on such a tensor becomes operators (`functions`). What it computes of
weights alone is computed, and becomes a constant. Two examples of different size go through the network side by side: a
length in which they agree is a number, any other is computed from the input's when the graph runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from segship.capture.trace.functions import FUNCTIONS, VIEWS
from segship.capture.trace.meta_shapes import EXAMPLES
from segship.capture.trace.tensors import Length, Record, Recorded, UnrecordedError, example
from segship.core.artifacts import TensorInfo
from segship.onnxgraph.build import Value
from segship.onnxgraph.conventions import INPUT, OPSET, OUTPUT
from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.passes.fold_batch_norm import fold_batch_norm
from segship.onnxgraph.passes.name_layers import name_layers
from segship.onnxgraph.passes.rename_values import rename_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import onnx

    from segship.capture.options import CaptureOptions
    from segship.networks.network import Network
    from segship.onnxgraph.weights import Weights

__all__ = ["record"]

_LARGE = 2**20  # bytes; more is not picked from a table ahead: a file holds the table, which is far smaller
_BATCHES = (2, 3)
# The second example is larger by a multiple of 128 and one: odd, and odd again when halved and rounded up, so that what
# is rounded up differs in it from what is rounded down.
_LARGER = (897, 1345)
_ALIASES = {
    "radd": "add", "rmul": "mul", "truediv": "div", "rtruediv": "rdiv", "true_divide": "div", "rand": "and",
    "ror": "or", "rxor": "xor", "subtract": "sub", "multiply": "mul", "divide": "div", "absolute": "abs",
    "swapaxes": "transpose", "clip": "clamp", "logical_and": "and", "logical_or": "or", "logical_not": "invert",
}  # fmt: skip


def record(network: Network, options: CaptureOptions) -> tuple[onnx.ModelProto, Weights]:
    """Record ``network`` as a model of standard operators that returns low-resolution logits.

    Args:
        network: In eval mode, on the CPU.
        options: The size of the first example, what stays free, the version of the operators.

    Returns:
        The model without its weights, and the weights by name.

    Raises:
        UnrecordedError: The network calls what is not known here.
    """
    names: dict[int, str] = {}
    for kind in (network.named_parameters, network.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            names.setdefault(id(tensor), name)
    graph = Record(names, options.opset)
    recorder = _Recorder(graph)
    size = options.size
    larger = network.sizes.nearest(size[0] + _LARGER[0], size[1] + _LARGER[1])
    shapes = [(batch, options.channels, *sides) for batch, sides in zip(_BATCHES, (size, larger), strict=True)]
    if not options.dynamic:
        shapes = [(1, options.channels, *size)] * 2
    examples = tuple(torch.empty(shape, device="meta") for shape in shapes)
    image = Recorded(graph, Value(graph, INPUT, "float32"), examples, recorder.call)  # type: ignore[arg-type]
    with torch.no_grad(), recorder:
        logits = network.logits(image)  # type: ignore[arg-type]
    if not isinstance(logits, Recorded):
        raise UnrecordedError(f"the network returns {type(logits).__name__}")
    return _model(graph, image, logits), graph.weights


class _Recorder(TorchFunctionMode):
    """While it is entered, functions of torch on recorded tensors and lengths are recorded, others are computed."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record
        self._metas: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The recorded result, or the computed one where nothing depends on the input."""
        kwargs = kwargs or {}
        grows = (
            function.__name__ == "index_select" and args[2].numel() * args[0].nbytes > args[0].shape[args[1]] * _LARGE
        )
        return self.call(function, args, kwargs) if grows or _depends((args, kwargs)) else function(*args, **kwargs)

    def call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Record one call."""
        name, in_place = _name(function)
        if name in _EXTREMES:
            return _extreme(_EXTREMES[name], *args)
        if name not in FUNCTIONS:
            raise UnrecordedError(f"torch's function {name} is not known")
        options = {key: value for key, value in kwargs.items() if key != "inplace"}
        try:
            outs = [self._example(EXAMPLES.get(name, function), args, options, at) for at in (0, 1)]
            found = FUNCTIONS[name](self._record, outs[0], *args, **options)
        except TypeError as error:
            raise UnrecordedError(f"torch's function {name} is called otherwise: {error}") from error
        if in_place or kwargs.get("inplace"):
            return self._replaced(args[0], found, outs)
        results = self._results(found, outs)
        if name in VIEWS:
            for each in (args[0], *(results if isinstance(results, (list, tuple)) else [results])):
                if isinstance(each, Recorded):
                    each.shared = True
        return results

    def _results(self, found: Value | Sequence[Value], outs: Sequence[Any]) -> Any:
        """One recorded tensor, or several in what torch returns them in."""
        if isinstance(found, Value):
            return self._result(found, *outs)
        return type(outs[0])([self._result(*parts) for parts in zip(found, *outs, strict=True)])

    def _result(self, value: Value, first: torch.Tensor, second: torch.Tensor) -> Recorded:
        value = Value(self._record, value.name, str(first.dtype).removeprefix("torch."))
        return Recorded(self._record, value, (first, second), self.call)

    def _replaced(self, target: Any, found: Value, outs: Sequence[torch.Tensor]) -> Recorded:
        """``target`` with new numbers."""
        if not isinstance(target, Recorded) or target.shared or outs[0].shape != target.examples[0].shape:
            raise UnrecordedError("a tensor is changed in place that others may share")
        target.value = found
        return target

    def _example(self, function: Callable[..., Any], args: Any, kwargs: Any, at: int) -> Any:
        out = function(*self._given(args, at), **self._given(kwargs, at))
        return out.to("meta") if isinstance(out, torch.Tensor) else out

    def _given(self, of: Any, at: int) -> Any:
        """Arguments as they are in the first or second example."""
        if isinstance(of, slice):
            return slice(*(self._given(part, at) for part in (of.start, of.stop, of.step)))
        if isinstance(of, (list, tuple)):
            return type(of)([self._given(part, at) for part in of])
        if isinstance(of, dict):
            return {key: self._given(part, at) for key, part in of.items()}
        if isinstance(of, torch.Tensor):
            return self._metas.setdefault(id(of), (of, of.to("meta")))[1]
        if isinstance(of, torch.device):
            return torch.device("meta")
        return of.examples[at] if isinstance(of, Recorded) else example(of, at)


def _depends(of: Any) -> bool:
    """Whether arguments hold what the input decides."""
    if isinstance(of, (list, tuple)):
        return any(map(_depends, of))
    if isinstance(of, dict):
        return any(map(_depends, of.values()))
    if isinstance(of, slice):
        return _depends((of.start, of.stop, of.step))
    return isinstance(of, (Recorded, Length))


def _name(function: Callable[..., Any]) -> tuple[str, bool]:
    """Name of a function of torch, and whether it changes its argument."""
    whole: str = function.__name__
    name = whole.strip("_")
    in_place = whole.endswith("_") and not whole.startswith("_")
    if whole.startswith("__i") and name not in {"invert", "index"}:
        name, in_place = name[1:], True
    return _ALIASES.get(name, name), in_place


def _least(left: Any, right: Any) -> Any:
    one, other = (right, left) if isinstance(right, Value) else (left, right)
    return one.minimum(other) if isinstance(one, Value) else min(one, other)


def _greatest(left: Any, right: Any) -> Any:
    one, other = (right, left) if isinstance(right, Value) else (left, right)
    return one.maximum(other) if isinstance(one, Value) else max(one, other)


_EXTREMES = {"sym_min": _least, "sym_max": _greatest}


def _extreme(function: Callable[[Any, Any], Any], left: Any, right: Any) -> int:
    return left.combined(function, right) if isinstance(left, Length) else right.combined(function, left)


def _model(graph: Record, image: Recorded, logits: Recorded) -> onnx.ModelProto:
    """The model of what was recorded, less what nothing depends on."""
    result = logits.value.name
    if not any(result in node.output for node in graph.nodes):  # it is the input or a weight
        result = graph.add("Identity", logits.value).name
    given, returned = (
        [TensorInfo(name=name, dtype="float32", shape=tuple(_dim(*pair) for pair in tensor.pairs()))]
        for name, tensor in ((INPUT, image), (result, logits))
    )
    model = graph.model(given, returned, graph.opset or OPSET)
    drop_unused(model, graph.weights)  # first: a layer whose result goes nowhere else takes up its normalisation
    fold_batch_norm(model, graph.weights)
    drop_unused(model, graph.weights)
    name_layers(model, graph.weights)
    rename_values(model, {result: OUTPUT})
    return model


def _dim(first: int, second: int) -> int | str:
    return first if first == second else f"{first} or {second}"
