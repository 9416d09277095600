"""Raw outputs -> figures."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.artifacts import Session
from segship.core.errors import InputError, did_you_mean
from segship.datasets.label_encoding import LabelEncoding
from segship.datasets.samples import Sample
from segship.metrics.confusion import Scores, confusion_matrix, scores
from segship.runtime.pipeline import Pipeline
from segship.tools.tensors.index import read_index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from segship.core.spec import ModelSpec
    from segship.tools.tensors.index import Index, Packed, TensorFile

__all__ = ["TensorScores", "score", "score_outputs"]

_TYPES = ("float32", "float16", "int32", "int64", "uint8")
_MOST_SHRUNK = 64


@dataclass(frozen=True)
class TensorScores:
    """The figures of raw outputs.

    Attributes:
        images: Number of images that were counted.
        classes: Name of each class.
        matrix: int64 (classes, classes); rows true, columns predicted.
        scores: The figures that follow from it, in percent.
    """

    images: int
    classes: tuple[str, ...]
    matrix: NDArray[np.int64]
    scores: Scores


def score(
    folder: str | Path,
    outputs: str | Path,
    *,
    dtype: str = "float32",
    output_size: tuple[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TensorScores:
    """Turn raw outputs into labels at the images' own size and compare them with the label maps.

    Args:
        folder: What `pack` wrote; its inputs may have been removed, the index is enough.
        outputs: Folder with the output of each input under the input's name: ``NAME.bin``, or with what programs add
            (``NAME_0.bin``, ``NAME_output_0.bin``); ``.npy`` files tell their type and shape themselves.
        dtype: Of ``.bin`` files. Floating: logits or probabilities (K, h, w). Whole numbers: labels (h, w).
        output_size: (h, w) of an output; None: it follows from the size of the file.
        progress: Called with (done, all) after each image.

    Returns:
        The confusion matrix and its figures.

    Raises:
        InputError: An output is missing or has another size than any output of this network, or no image has a label
            map.
    """
    if dtype not in _TYPES:
        raise InputError(f"no type is called {dtype!r}: {', '.join(_TYPES)}.{did_you_mean(dtype, _TYPES)}")
    reader = _Reader(Path(outputs), read_index(folder).spec, dtype, output_size)
    return score_outputs(folder, reader.read, progress=progress)


def score_outputs(
    folder: str | Path,
    read: Callable[[TensorFile], NDArray[np.float32]],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TensorScores:
    """As `score`, for outputs that somebody else reads.

    Args:
        folder: What `pack` wrote.
        read: Returns the output of an input, float32 (1, K, h, w).
        progress: As for `score`.

    Returns:
        The confusion matrix and its figures.

    Raises:
        InputError: No image has a label map.
    """
    index = read_index(folder)
    items = [item for item in index.items if item.labels is not None]
    if not items:
        raise InputError(f"{folder} was packed without label maps: nothing can be scored")
    encoding = LabelEncoding(**index.coding.model_dump())
    classes = index.spec.classes
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    for done, item in enumerate(items, start=1):
        truth = encoding.read(Sample(item.name, Path(item.image), Path(str(item.labels)), item.table)).labels
        matrix += confusion_matrix(_labels(index, item, read), truth, len(classes))
        if progress is not None:
            progress(done, len(items))
    return TensorScores(len(items), classes, matrix, scores(matrix))


def _labels(index: Index, item: Packed, read: Callable[[TensorFile], NDArray[np.float32]]) -> NDArray[Any]:
    replay = _Replay([read(tensor) for tensor in item.inputs])
    # What the image shows plays no part any more, only its size does.
    kind = np.float32 if index.spec.pixels == "multispectral" else np.uint8
    channels = index.spec.channels if index.spec.pixels == "multispectral" else 3
    blank: Any = np.zeros((*item.size, channels), kind)
    return Pipeline(replay, index.spec, index.sizes).labels(blank, "bgr")


class _Replay(Session):
    """A Session that answers with what was read."""

    def __init__(self, outputs: list[NDArray[np.float32]]) -> None:
        self._outputs = iter(outputs)

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        del feeds
        return {"logits": next(self._outputs)}


class _Reader:
    """Finds and reads the output of an input."""

    def __init__(self, folder: Path, spec: ModelSpec, dtype: str, size: tuple[int, int] | None) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: give the folder of the raw outputs")
        self._folder, self._dtype, self._size = folder, dtype, size
        self._channels = 1 if spec.output == "sigmoid" else len(spec.classes)
        self._classes = len(spec.classes)
        self._files = {path.name: path for path in folder.rglob("*") if path.suffix in {".bin", ".npy"}}

    def read(self, tensor: TensorFile) -> NDArray[np.float32]:
        """float32 (1, K, h, w)."""
        path = self._find(Path(tensor.file).stem)
        values = np.load(path) if path.suffix == ".npy" else self._raw(path)
        inner = values.shape[-2:] if values.ndim > 1 else self._shape(path, values, tensor.shape[2:])
        channels = values.size // math.prod(inner)
        values = values.reshape(1, channels, *inner)
        if np.issubdtype(values.dtype, np.integer):
            return self._one_hot(path, values)
        if channels != self._channels:
            raise InputError(f"{path} holds {channels} channels, the network has {self._channels}")
        return np.ascontiguousarray(values, np.float32)

    def _find(self, stem: str) -> Path:
        for ending in ("", "_0", "_output_0", "_output0"):
            for suffix in (".bin", ".npy"):
                if path := self._files.get(f"{stem}{ending}{suffix}"):
                    return path
        near = [name for name in self._files if re.match(re.escape(stem), name)][:3]
        there = f"; there are {', '.join(near)}" if near else f", only {len(self._files)} other .bin and .npy files"
        raise InputError(f"{self._folder} holds no {stem}.bin, {stem}_0.bin or {stem}_output_0.bin{there}")

    def _raw(self, path: Path) -> NDArray[Any]:
        data, itemsize = path.read_bytes(), np.dtype(self._dtype).itemsize
        if not data or len(data) % itemsize:
            raise InputError(f"{path} has {len(data)} bytes, which are no {self._dtype} values: --dtype says otherwise")
        return np.frombuffer(data, np.dtype(self._dtype).newbyteorder("<"))

    def _shape(self, path: Path, values: NDArray[Any], size: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of an output of so many values, for an input of ``size``: the input's, or a whole part of it."""
        channels = 1 if np.issubdtype(values.dtype, np.integer) else self._channels
        known = [self._size] if self._size else [_shrunk(size, by) for by in range(1, _MOST_SHRUNK + 1)]
        for height, width in known:
            if channels * height * width == values.size:
                return height, width
        expected = f"{channels} x {known[0][0]} x {known[0][1]}" + ("" if self._size else ", or less by a whole factor")
        raise InputError(
            f"{path} holds {values.size} {values.dtype} values, expected {expected}: --dtype or --output-size is "
            "wrong, or the file is of another network"
        )

    def _one_hot(self, path: Path, labels: NDArray[Any]) -> NDArray[np.float32]:
        """Labels as the logits that say so."""
        if labels.shape[1] != 1 or int(labels.max()) >= self._classes or int(labels.min()) < 0:
            raise InputError(f"{path} holds {labels.min()} to {labels.max()}, the labels are 0 to {self._classes - 1}")
        if self._channels == 1:
            return np.where(labels > 0, np.float32(100), np.float32(-100))
        hot: NDArray[np.float32] = np.equal(labels, np.arange(self._classes)[None, :, None, None]).astype(np.float32)
        return hot


def _shrunk(size: tuple[int, int], by: int) -> tuple[int, int]:
    return -(-size[0] // by), -(-size[1] // by)
