"""int8 of Rockchip's chips, by RKNN-Toolkit2's hybrid quantisation.

Ranges are found once. Building an engine from them, with some layers in float16, takes seconds; layers are given back
in the order of the toolkit's own analysis: how far each layer for itself is from its value in floating point.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import rknn
from segship.core.errors import BackendError
from segship.toolchains import rknn_worker
from segship.toolchains.rknn import TOOLCHAIN
from segship.toolchains.worker import SECONDS, call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Inputs, Ranked, Reduced

__all__ = ["quantize_rknn"]

_EACH = 60  # seconds of a ranking's time limit for each layer: it looks at every one alone


def quantize_rknn(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate a network for Rockchip's chips; as `segship.quantize.quantize`."""
    del backend
    return _Calibrated(graph, target, inputs)


class _Calibrated:
    def __init__(self, graph: Graph, target: Target, inputs: Inputs) -> None:
        self._graph, self._chip = graph, rknn.platform_of(target.options)
        self._folder = graph.path.absolute().parent / "calibrated"
        self._images = self._folder / "inputs"
        self._images.mkdir(parents=True)
        for number, image in enumerate(inputs):
            np.save(self._images / f"{number:05}.npy", image)
        algorithm = rknn.platform_of(target.options, "algorithm")
        arguments = (graph.path.absolute(), self._images, self._folder, self._chip, algorithm)
        self.kinds: dict[str, str] = {}  # a simulator's times say nothing of the chip's
        calibrated = self._call("calibrate", *arguments)
        self.layers: tuple[str, ...] = tuple(calibrated["layers"])
        self._left_out: list[str] = calibrated["left_out"]

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        del finish  # the toolkit's files are no graph
        self._call("build_int8", self._folder, directory.absolute(), self._chip, json.dumps(kept))
        return rknn.engine_of(self._graph, directory, rknn_worker.CALIBRATED, self._chip, self._left_out)

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> Ranked:
        image = self._folder / "ranked.npy"
        np.save(image, inputs[0])
        progress(0, len(self.layers))
        limit = SECONDS + _EACH * len(self.layers)
        cosines = dict(self._call("analyse", self._folder, image, self._chip, seconds=limit))
        progress(len(self.layers), len(self.layers))
        return sorted(((name, 1 - cosines.get(name, 1.0)) for name in self.layers), key=lambda each: -each[1])

    def _call(self, function: str, *arguments: object, seconds: float = SECONDS) -> Any:
        try:
            return call(TOOLCHAIN, rknn.WORKER, function, arguments, folder=self._folder, seconds=seconds)
        except BackendError as error:
            raise rknn.told(error, self._chip) from None
