"""int8 of Qualcomm's chips, by the rules that ONNX Runtime has for them: values in 8 bits, weights by channel.

Ranges are found once. Layers that are given back stay on the chip, and their values get 16 bits, so that the network is
still one node; which suffers most is seen with each value alone in eight bits.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.backends import qnn
from segship.core.errors import BackendError
from segship.toolchains.qnn import TOOLCHAIN
from segship.toolchains.worker import SECONDS, call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Backend, Engine, Graph
    from segship.core.target import Target
    from segship.quantize import Inputs, Ranked, Reduced

__all__ = ["quantize_qnn"]

_EACH = 60  # seconds of a ranking's time limit for each layer: it looks at every one alone


def quantize_qnn(graph: Graph, target: Target, backend: Backend, inputs: Inputs) -> Reduced:
    """Calibrate a network for Qualcomm's chips; as `segship.quantize.quantize`."""
    del backend
    return _Calibrated(graph, target, inputs)


class _Calibrated:
    def __init__(self, graph: Graph, target: Target, inputs: Inputs) -> None:
        self._graph, self._settings = graph, qnn.settings_of(target.options)
        self._folder = graph.path.absolute().parent / "calibrated"
        images = _write(inputs, self._folder / "inputs")
        self.kinds: dict[str, str] = {}  # an emulator's times say nothing of the chip's
        calibrated = self._call("calibrate", graph.path.absolute(), images, self._folder)
        self.layers: tuple[str, ...] = tuple(calibrated["layers"])
        self._wide: list[str] = calibrated["wide"]

    def build(self, kept: tuple[str, ...], directory: Path, finish: Callable[[Graph], Graph]) -> Engine:
        del finish  # the context binary is no graph
        settings, chosen = json.dumps(self._settings), json.dumps(kept)
        self._call("build_int8", self._folder, directory.absolute(), settings, chosen)
        return qnn.engine_of(self._graph, directory, self._settings, self._wide)

    def rank(self, inputs: Sequence[Any], progress: Callable[[int, int], None]) -> Ranked:
        progress(0, len(self.layers))
        limit = SECONDS + _EACH * len(self.layers)
        damage = self._call("rank", self._folder, _write(inputs, self._folder / "ranked"), seconds=limit)
        progress(len(self.layers), len(self.layers))
        worst = ((name, change if np.isfinite(change) else np.inf) for name, change in damage)
        return sorted(worst, key=lambda each: -each[1])

    def _call(self, function: str, *arguments: object, seconds: float = SECONDS) -> Any:
        try:
            return call(TOOLCHAIN, qnn.WORKER, function, arguments, folder=self._folder, seconds=seconds)
        except BackendError as error:
            raise qnn.told(error, self._settings) from None


def _write(images: Iterable[NDArray[Any]], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        np.save(folder / f"{number:05}.npy", image)
    return folder
