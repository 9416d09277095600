"""Blocks of a scene to the files of numbers from which its results are made."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from segship.vision import confidence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.rasters.canvas import Canvas
    from segship.runtime.scene import Decided, Scene
    from segship.runtime.scene_files import SceneForm

__all__ = ["Share", "open_canvases", "write_blocks"]

Share: TypeAlias = "Callable[[Scene, SceneForm, Path, int], Iterator[tuple[int, int]]]"
"""What writes the blocks of a scene, as `write_blocks` does."""


@contextmanager
def open_canvases(scene: Scene, form: SceneForm, folder: Path) -> Iterator[dict[str, Canvas]]:
    """Open the files of numbers of a scene; what is there already stays.

    Args:
        scene: Whose results they hold.
        form: Which there are.
        folder: Of the files.

    Yields:
        The files by kind.

    Raises:
        InputError: The disk has no room for them.
    """
    from segship.rasters.canvas import Canvas

    kinds = {"labels": (np.dtype(scene.dtype).name, 1)}
    if form.scores:
        kinds["scores"] = ("float16", scene.channels)
    if form.confidence:
        kinds["confidence"] = ("uint8", 1)
    with ExitStack() as opened:
        yield {
            kind: opened.enter_context(Canvas(folder / f"{kind}.bin", scene.size, *how)) for kind, how in kinds.items()
        }


def write_blocks(
    scene: Scene,
    form: SceneForm,
    folder: Path,
    begin: int,
    end: int | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, int]]:
    """Write blocks of a scene.

    Args:
        scene: Decides them.
        form: Which results there are.
        folder: Of the files of `open_canvases`.
        begin: How many blocks are there already.
        end: How many shall be there; None: all.
        progress: As for `segship.runtime.scene.Scene.blocks`.

    Yields:
        How many blocks more are there, one, and how many windows were run for it.
    """
    wanted = bool(form.scores or form.confidence) or form.reject is not None
    run = counted = 0

    def count(done: int, every: int) -> None:
        nonlocal run
        run = done
        if progress is not None:
            progress(done, every)

    with open_canvases(scene, form, folder) as canvases:
        for block in scene.blocks(begin, end, scores=wanted, raw=form.raw_scores, scratch=folder, progress=count):
            sigmoid = scene.spec.output == "sigmoid"
            canvases["labels"].write(block.rows, block.columns, _accepted(block, form.reject, sigmoid=sigmoid))
            if block.scores is not None:
                _write_scores(canvases, form, block.rows, block.columns, block.scores, sigmoid=sigmoid)
            yield 1, run - counted
            counted = run


def _accepted(block: Decided, reject: float | None, *, sigmoid: bool) -> NDArray[Any]:
    if reject is None or block.scores is None:
        return block.labels
    return confidence.reject(block.labels, block.scores, reject, sigmoid=sigmoid)


def _write_scores(
    canvases: dict[str, Canvas],
    form: SceneForm,
    rows: slice,
    columns: slice,
    scores: NDArray[np.float32],
    *,
    sigmoid: bool,
) -> None:
    if form.scores:
        canvases["scores"].write(rows, columns, scores.astype(np.float16))
    if form.confidence:
        share = confidence.confidence(scores, form.confidence, sigmoid=sigmoid)
        canvases["confidence"].write(rows, columns, confidence.as_grey(share))
