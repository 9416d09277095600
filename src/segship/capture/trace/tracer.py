"""From a network to ONNX by running it once on tensors that hold no numbers.

Every function of torch that the network calls on such a tensor becomes operators (`functions`). What it computes of
weights alone is computed, and becomes a constant. Two examples of different size go through the network side by side: a
length in which they agree is a number, any other is computed from the input's when the graph runs.

A network may still make a Python number of a length (``range(height)``), which is that of the first example. So a
network with modules of others is run again with the examples exchanged; where the two graphs differ, it is refused.
"""

from __future__ import annotations

import copy
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from segship.capture.trace.dims import SymbolicDim, UntraceableError, in_example
from segship.capture.trace.functions import FUNCTIONS
from segship.capture.trace.graph import TracedGraph
from segship.capture.trace.tensors import TracedTensor
from segship.core.artifacts import TensorInfo
from segship.onnxgraph.build import Value
from segship.onnxgraph.conventions import INPUT, OPSET, OUTPUT
from segship.onnxgraph.passes.drop_unused import drop_unused
from segship.onnxgraph.passes.fold_batch_norm import fold_batch_norm
from segship.onnxgraph.passes.name_layers import name_layers
from segship.onnxgraph.passes.rename_values import rename_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import onnx

    from segship.capture.options import CaptureOptions
    from segship.capture.trace.registry import Function
    from segship.networks.network import Network
    from segship.onnxgraph.weights import Weights

__all__ = ["trace"]

_LARGE = 2**20  # bytes; more is not picked from a table ahead: a file holds the table, which is far smaller
_BATCHES = (2, 3)
# The second example is larger by a multiple of 128 and one: odd, and odd again when halved and rounded up, so that what
# is rounded up differs in it from what is rounded down.
_LARGER = (897, 1345)

# Functions that tell of a tensor what is no number in it.
_QUESTIONS = {"get", "dim", "element_size", "is_complex", "is_floating_point", "is_contiguous", "is_signed"}


def trace(network: Network, options: CaptureOptions) -> tuple[onnx.ModelProto, Weights]:
    """Trace ``network`` as a model of standard operators that returns low-resolution logits.

    The network is left as it was.

    Args:
        network: In eval mode, on the CPU.
        options: The size of the first example, what stays free, the version of the operators.

    Returns:
        The model without its weights, and the weights by name.

    Raises:
        UntraceableError: The network calls a function that is not known here, does something else at another size, or
            raises an exception on tensors that hold no numbers.
    """
    size = options.size
    larger = network.sizes.nearest(
        *(side + _further(more, network.patch) for side, more in zip(size, _LARGER, strict=True))
    )
    shapes = [(batch, options.channels, *sides) for batch, sides in zip(_BATCHES, (size, larger), strict=True)]
    if not options.dynamic:
        shapes = [(options.batch, options.channels, *size)] * 2
    with _as_it_was(network):
        graph, image, logits = _run(network, shapes, options)
        if options.dynamic and _has_foreign_modules(network):
            again, _, exchanged = _run(network, shapes[::-1], options)
            if logits.value.name != exchanged.value.name or not graph.equals(again):
                raise UntraceableError("the network makes a number of a length")
    return _model(graph, image, logits), graph.weights


def _further(more: int, patch: int) -> int:
    """By how much the second example is larger: by an odd number of patches and one, where a network has patches."""
    return more if patch == 1 else (more // patch | 1) * patch + 1


def _run(
    network: Network, shapes: Sequence[Sequence[int]], options: CaptureOptions
) -> tuple[TracedGraph, TracedTensor, TracedTensor]:
    """Run the network; returns the graph, its input and its output."""
    names: dict[int, str] = {}
    for kind in (network.named_parameters, network.named_buffers):
        for name, tensor in kind(remove_duplicate=False):
            names.setdefault(id(tensor), name)
    graph = TracedGraph(names, options.opset)
    first, second = (torch.empty(tuple(shape), device="meta") for shape in shapes)
    image = TracedTensor.of(graph, Value(graph, INPUT, "float32"), (first, second))
    state = torch.random.get_rng_state()
    try:
        with torch.no_grad(), warnings.catch_warnings(), _Tracer(graph, names):
            warnings.simplefilter("ignore")  # what a module says of its input, it says again when it is run
            logits = network.logits(image)
    except UntraceableError:
        raise
    except Exception as error:  # a module of others may raise anything on what is no tensor of its own
        raise UntraceableError(f"{type(error).__name__}: {error}") from error
    if not torch.equal(state, torch.random.get_rng_state()):
        torch.random.set_rng_state(state)
        raise UntraceableError("the network draws random numbers")
    if not isinstance(logits, TracedTensor):
        raise UntraceableError(f"the network returns {type(logits).__name__}")
    return graph, image, logits


def _has_foreign_modules(network: Network) -> bool:
    """Whether others wrote some of the modules; that ours make no numbers of lengths is tested."""
    return any(not type(module).__module__.startswith(("segship.", "torch.")) for module in network.modules())


@contextmanager
def _as_it_was(network: Network) -> Iterator[None]:
    """Give the modules of ``network`` back the attributes, and the lists and mappings in them, that they have now."""
    kept: list[tuple[Any, Any]] = []
    for module in network.modules():
        kept.append((vars(module), dict(vars(module))))
        kept += [(each, copy.copy(each)) for each in vars(module).values() if isinstance(each, (dict, list, set))]
    try:
        yield
    finally:
        for each, before in kept:
            each.clear()
            each.extend(before) if isinstance(each, list) else each.update(before)


class _Tracer(TorchFunctionMode):
    """While it is entered, functions of torch on traced tensors and lengths are traced, others are computed."""

    def __init__(self, graph: TracedGraph, names: Mapping[int, str]) -> None:
        super().__init__()
        self._graph, self._names = graph, names
        self._metas: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """The traced result, or the computed one where nothing depends on the input."""
        kwargs = kwargs or {}
        if _grows(function, args) or _depends((args, kwargs)):
            return self._call(function, args, kwargs)
        if self._is_weight(kwargs.get("out")) or (_name(function)[1] and self._is_weight(args[0])):
            raise UntraceableError("the network changes its own weights")
        return function(*args, **kwargs)

    def _is_weight(self, of: Any) -> bool:
        """Whether something is a weight of the network, or a part of one."""
        return id(of) in self._names or id(getattr(of, "_base", None)) in self._names

    def _call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Trace one call."""
        name, in_place = _name(function)
        if name in _EXTREMES:
            return _extreme(_EXTREMES[name], *args)
        if name in _QUESTIONS:
            return self._answer(function, args, kwargs)
        if name not in FUNCTIONS:
            raise UntraceableError(f"torch's function {name} is not known")
        entry = FUNCTIONS[name]
        other = self._told_otherwise(entry, args, kwargs)
        if entry.composite or other is not None:
            return other
        outs, written = self._written(name, function, args, kwargs)
        if in_place or kwargs.get("inplace"):
            return self._replaced(args[0], written, outs)
        results = self._results(written, outs)
        if entry.view:
            _share(args[0], results)
        return results

    def _told_otherwise(self, entry: Function, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What other functions make of the call, where it is told by them."""
        told = entry.write if entry.composite else entry.instead
        if told is None:
            return None
        with self:
            return told(*args, **kwargs)

    def _written(
        self, name: str, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], Any]:
        """What both examples become, and the values of the graph."""
        options = {key: value for key, value in kwargs.items() if key != "inplace"}
        try:
            outs = [self._example(FUNCTIONS[name].shape or function, args, options, at) for at in (0, 1)]
            return outs, FUNCTIONS[name].write(self._graph, outs[0], *args, **options)
        except TypeError as error:
            raise UntraceableError(f"torch's function {name} is called otherwise: {error}") from error

    def _answer(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What torch says of a tensor, where it is the same in both examples."""
        first, second = (function(*self._given(args, at), **self._given(kwargs, at)) for at in (0, 1))
        if isinstance(first, torch.Tensor) or first != second:
            raise UntraceableError(f"{function} is asked of a tensor")
        return first

    def _results(self, written: Value | Sequence[Value], outs: Sequence[Any]) -> Any:
        """One traced tensor, or several in what torch returns them in."""
        if isinstance(written, Value):
            return self._result(written, *outs)
        return type(outs[0])([self._result(*parts) for parts in zip(written, *outs, strict=True)])

    def _result(self, value: Value, first: torch.Tensor, second: torch.Tensor) -> TracedTensor:
        value = Value(self._graph, value.name, str(first.dtype).removeprefix("torch."))
        return TracedTensor.of(self._graph, value, (first, second))

    def _replaced(self, target: Any, written: Value, outs: Sequence[torch.Tensor]) -> TracedTensor:
        """``target`` with new numbers."""
        if not isinstance(target, TracedTensor) or target.shared or outs[0].shape != target.examples[0].shape:
            raise UntraceableError("a tensor is changed in place that others may share")
        target.value = written.to(str(target.dtype).removeprefix("torch."))
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
        if isinstance(of, TracedTensor):
            return of.examples[at]
        if isinstance(of, torch.Tensor):
            return self._metas.setdefault(id(of), (of, of.to("meta")))[1]
        return torch.device("meta") if isinstance(of, torch.device) else in_example(of, at)


def _share(source: Any, results: Any) -> None:
    """Note that a tensor and what was made of it may be the same memory."""
    for each in (source, *(results if isinstance(results, (list, tuple)) else [results])):
        if isinstance(each, TracedTensor):
            each.shared = True


def _grows(function: Callable[..., Any], args: Sequence[Any]) -> bool:
    """Whether a small table becomes a large constant."""
    return function.__name__ == "index_select" and (args[2].numel() * args[0].nbytes > args[0].shape[args[1]] * _LARGE)


def _depends(of: Any) -> bool:
    """Whether arguments hold what the input decides."""
    if isinstance(of, (list, tuple)):
        return any(map(_depends, of))
    if isinstance(of, dict):
        return any(map(_depends, of.values()))
    if isinstance(of, slice):
        return _depends((of.start, of.stop, of.step))
    return isinstance(of, (TracedTensor, SymbolicDim))


def _name(function: Callable[..., Any]) -> tuple[str, bool]:
    """Name of a function of torch, and whether it changes its argument."""
    whole: str = function.__name__
    name = whole.strip("_")
    in_place = whole.partition(".")[0].endswith("_") and not whole.startswith("_")  # torch.ops' have a point
    if whole.startswith("__i") and name not in {"invert", "index"}:
        name, in_place = name[1:], True
    return name, in_place or whole == "__setitem__"


def _least(left: Any, right: Any) -> Any:
    one, other = (right, left) if isinstance(right, Value) else (left, right)
    return one.minimum(other) if isinstance(one, Value) else min(one, other)


def _greatest(left: Any, right: Any) -> Any:
    one, other = (right, left) if isinstance(right, Value) else (left, right)
    return one.maximum(other) if isinstance(one, Value) else max(one, other)


_EXTREMES = {"sym_min": _least, "sym_max": _greatest}


def _extreme(function: Callable[[Any, Any], Any], left: Any, right: Any) -> int:
    return left.combined(function, right) if isinstance(left, SymbolicDim) else right.combined(function, left)


def _model(graph: TracedGraph, image: TracedTensor, logits: TracedTensor) -> onnx.ModelProto:
    """The model of what was traced, less what nothing depends on."""
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
