"""int8 of ExecuTorch: torch's own quantisation of the exported program, as XNNPACK's kernels want it.

The program is calibrated once, with pairs of quantize and dequantize around every layer that XNNPACK computes in
integers. Layers get their floats back by reading what lies before the pairs.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
import shutil
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segship.backends._xnnpack import fold
from segship.core.errors import MissingExtraError, engine_errors
from segship.quantize.search import rank_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import fx

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Inputs, Ranked, Reduced

__all__ = ["quantize_program"]

_ANNOTATION = "quantization_annotation"
_CLAMPS = (torch.ops.aten.relu.default, torch.ops.aten.hardtanh.default, torch.ops.aten.clamp.default)


def quantize_program(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate a program for ExecuTorch with XNNPACK; as `segship.quantize.quantize`."""
    return _Quantized(graph, target, backend, inputs)


class _Quantized:
    """Weights in eight bits for each channel, activations in eight bits with a zero point; floats in and out."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        backend: Backend,
        inputs: Inputs,
    ) -> None:
        self._graph, self._target, self._backend = graph, target, backend
        with _quiet("ExecuTorch cannot quantise the program"):
            prepare, convert, quantizer = _load()
            watched = prepare(torch.export.load(str(graph.path)).module(check_guards=False), quantizer)
            with torch.inference_mode():
                for image in inputs:
                    watched(torch.from_numpy(image))
            self._names = _layers(watched)
            # Unfolded, the weights pass through pairs like the activations: one rule gives both back.
            self._module: fx.GraphModule = convert(watched, fold_quantize=False)
        self.layers = tuple(self._names)
        self.kinds: dict[str, str] = {}  # each try lowers the whole program anew, which takes a minute
        self._made: dict[tuple[str, ...], Engine] = {}

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        if kept not in self._made:  # lowering takes a minute, and the search comes back to its best attempt
            folder = self._graph.path.parent / f"kept-{len(kept)}"
            folder.mkdir()
            path = self._graph.path.parent / f"int8-{len(kept)}{self._graph.path.suffix}"
            with _quiet("torch cannot export the quantised program"):
                example = torch.zeros(*(int(side) for side in self._graph.inputs[0].shape))
                program = torch.export.export(fold(self._with(kept)), (example,))
                torch.export.save(program, path)
            graph = finish(dataclasses.replace(self._graph, path=path))
            self._made[kept] = self._backend.convert(graph, self._target, folder)
        engine = self._made[kept]
        for name in engine.files:
            shutil.copyfile(engine.directory / name, directory / name)
        return dataclasses.replace(engine, directory=directory)

    def rank(self, inputs: Sequence[NDArray[np.float32]], progress: Callable[[int, int], None]) -> Ranked:
        def alone(name: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
            return _runner(self._with(set(self.layers) - {name}))

        return rank_layers(self.layers, inputs, _runner(self._with(self.layers)), alone, progress)

    def _with(self, kept: Collection[str]) -> fx.GraphModule:
        """A copy in which layers read their floats instead of what was quantised for them."""
        graph = copy.deepcopy(self._module.graph)
        free = {self._names[name] for name in kept}
        layers = set(self._names.values())
        for pair in [node for node in graph.nodes if _is_pair(node)]:
            source = pair.args[0].args[0]
            if not _is_free(source, layers, free):
                continue
            for user in [user for user in pair.users if user.name in free or user.name not in layers]:
                user.replace_input_with(pair, source)
        graph.eliminate_dead_code()
        return torch.fx.GraphModule(self._module, graph)


def _load() -> tuple[Any, Any, Any]:
    try:
        from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
            XNNPACKQuantizer,
            get_symmetric_quantization_config,
        )
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    except (ImportError, OSError) as error:
        raise MissingExtraError("int8 for ExecuTorch", "executorch", "torchao") from error
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    return prepare_pt2e, convert_pt2e, quantizer


@contextlib.contextmanager
def _quiet(what: str) -> Iterator[None]:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        engine_errors(what),
    ):
        warnings.simplefilter("ignore")
        yield


def _layers(watched: fx.GraphModule) -> dict[str, str]:
    """The layers that are quantised, by the names that people know, with the names of their nodes."""
    found: dict[str, str] = {}
    for node in watched.graph.nodes:
        annotation = node.meta.get(_ANNOTATION)
        if annotation is None or not annotation.input_qspec_map:
            continue
        modules = list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())
        module = modules[-1][0].removeprefix("network.")  # the graph's own wrapper
        name = f"{module} {node.target.overloadpacket.__name__}".strip()
        found[name if name not in found else f"{name} ({node.name})"] = node.name
    return found


def _is_pair(node: fx.Node) -> bool:
    """Whether it dequantises what was just quantised."""
    return _does(node, "dequantize") and _does(node.args[0], "quantize")


def _does(node: Any, what: str) -> bool:
    return isinstance(node, torch.fx.Node) and str(node.target).startswith(f"quantized_decomposed.{what}_per_")


def _is_free(source: fx.Node, layers: set[str], free: set[str]) -> bool:
    """Whether a value comes as a float from the layer that makes it: then nothing is lost by reading it."""
    while source.target in _CLAMPS and source.name not in layers:  # computed together with the layer before
        source = source.args[0]  # type: ignore[assignment]
    return source.name in free or source.name not in layers


def _runner(module: fx.GraphModule) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(image)).numpy(), np.float32)

    return run
