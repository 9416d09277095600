"""Conversion of a Paddle program, which Paddle itself does in its own environment."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segship.core.errors import BackendError, ConfigError, UnsafeFileError, UnsupportedError
from segship.toolchains.paddle import TOOLCHAIN
from segship.toolchains.worker import WorkerProcess, call

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["PaddleProgram", "convert"]

_WORKER = Path(__file__).with_name("worker.py")


def convert(program: Path, params: Path, folder: Path, *, opset: int) -> dict[str, Any]:
    """Cut off what follows the scores, compare the rest with the whole program, and convert it.

    Args:
        program: ``.json`` or ``.pdmodel``.
        params: Its weights.
        folder: An empty one. Gets ``cut.json`` and ``cut.pdiparams``, the program that ends in scores, and the same as
            ``model.onnx``.
        opset: Version of the ONNX operators.

    Returns:
        ``inputs`` and ``outputs``, each with ``shape`` and ``dtype``; ``tail``: whether ``argmax``, ``softmax`` and
        ``resize`` were cut off, the last with its ``align_corners`` or None.

    Raises:
        BackendError: The environment is missing, or the conversion fails.
        ConfigError: The program cannot be read.
        UnsafeFileError: It holds operators that do more than compute; nothing was run.
        UnsupportedError: It does not take one image and return one array.
    """
    TOOLCHAIN.require()
    model, weights = folder / f"model{program.suffix}", folder / "model.pdiparams"
    for source, link in ((program, model), (params, weights)):  # Paddle wants the two to have the same name
        _link(source.absolute(), link)
    try:
        report: dict[str, Any] = call(TOOLCHAIN, _WORKER, "convert", (model, weights, folder, opset), folder=folder)
    except BackendError as error:
        raise BackendError(f"{program} cannot be converted: {error}") from None
    if "refused" in report:
        raise UnsafeFileError(f"{program} is refused: {report['refused']}; nothing was run")
    if "unreadable" in report:
        raise ConfigError(f"{program} cannot be read by Paddle: {report['unreadable']}")
    if "error" in report:
        raise BackendError(f"Paddle cannot convert {program}: {report['error']}")
    if "tail" not in report:
        raise UnsupportedError(
            f"{program} takes {_shown(report['inputs'])} and returns {_shown(report['outputs'])}; expected one image "
            "(N, channels, H, W) and one array of scores or labels"
        )
    return report


def _link(source: Path, link: Path) -> None:
    try:
        link.symlink_to(source)
    except OSError:  # where links need a permission
        shutil.copyfile(source, link)


def _shown(values: list[dict[str, Any]]) -> str:
    return "; ".join(f"{value['dtype']} {tuple(value['shape'])}" for value in values) or "nothing"


class PaddleProgram(WorkerProcess):
    """A program that Paddle Inference runs in a process of its own: float32 (N, C, H, W) -> scores (N, K, h, w).

    Args:
        program: Ends in scores.
        params: Its weights.
        threads: Number of threads of its arithmetic.
    """

    def __init__(self, program: Path, params: Path, *, threads: int) -> None:
        super().__init__(TOOLCHAIN, _WORKER, "predictor", (program, params, threads), folder=program.parent)

    def __call__(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Return the scores of an image.

        Raises:
            UnsupportedError: The program does not run on an image of this size.
            BackendError: The process has ended, or takes longer than its time limit.
        """
        return super().__call__(array)
