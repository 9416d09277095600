"""Weights that a graph has and that are not yet written: each gives its numbers when it is asked for them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from onnx import helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from numpy.typing import NDArray

__all__ = ["ArrayWeight", "FileWeight", "ProtoWeight", "ScaledWeight", "Weight", "Weights"]


class Weight(Protocol):
    """A tensor of a graph, from wherever its numbers come; tensors of onnx_ir are such, too."""

    @property
    def dtype(self) -> Any:
        """The element type as a number of ONNX's ``TensorProto.DataType``."""

    @property
    def shape(self) -> Any:
        """The length of each axis, as a sequence of integers."""

    @property
    def nbytes(self) -> int:
        """The number of bytes that `tobytes` returns."""

    def numpy(self) -> NDArray[Any]:
        """Return the numbers as an array of `shape`."""

    def tobytes(self) -> bytes:
        """Return the numbers as an ONNX file has them, little-endian."""


Weights: TypeAlias = dict[str, Weight]
"""Weights by name, in the order in which they are written."""


class ArrayWeight:
    """A weight whose numbers are in memory.

    Args:
        array: The numbers, of a type that ONNX has.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        self.shape, self.nbytes = array.shape, array.nbytes

    def numpy(self) -> NDArray[Any]:
        """Return the array."""
        return self._array

    def tobytes(self) -> bytes:
        """Return the numbers, little-endian."""
        return self._array.tobytes()


class ScaledWeight:
    """A weight times a factor; the product is computed when the weight is written.

    Args:
        weight: The weight, floating point.
        factor: The factor, of the same type, broadcastable to the weight.
    """

    def __init__(self, weight: Weight, factor: NDArray[Any]) -> None:
        self._weight, self._factor = weight, factor
        self.dtype, self.shape, self.nbytes = weight.dtype, weight.shape, weight.nbytes

    def numpy(self) -> NDArray[Any]:
        """Return the product."""
        product: NDArray[Any] = self._weight.numpy() * self._factor
        return product

    def tobytes(self) -> bytes:
        """Return the product, little-endian."""
        return self.numpy().tobytes()


class ProtoWeight:
    """A weight of a model that is in memory.

    Args:
        tensor: The initializer, whose numbers are in ``raw_data``.
    """

    def __init__(self, tensor: onnx.TensorProto) -> None:
        self._tensor = tensor
        self.dtype, self.shape, self.nbytes = tensor.data_type, tuple(tensor.dims), len(tensor.raw_data)

    def numpy(self) -> NDArray[Any]:
        """Return the numbers as an array."""
        return np.asarray(numpy_helper.to_array(self._tensor))

    def tobytes(self) -> bytes:
        """Return the numbers as they are in the model."""
        return self._tensor.raw_data


class FileWeight:
    """A weight of a model whose numbers lie in a file beside it; they are read each time they are asked for.

    Args:
        tensor: The initializer, which names the file.
        folder: Where the file lies.
    """

    def __init__(self, tensor: onnx.TensorProto, folder: Path) -> None:
        place = ExternalDataInfo(tensor)
        self._path, self._offset = folder / place.location, place.offset or 0
        self.dtype, self.shape = tensor.data_type, tuple(tensor.dims)
        self.nbytes = math.prod(self.shape) * helper.tensor_dtype_to_np_dtype(self.dtype).itemsize

    def numpy(self) -> NDArray[Any]:
        """Return the numbers as an array."""
        return np.frombuffer(self.tobytes(), helper.tensor_dtype_to_np_dtype(self.dtype)).reshape(self.shape)

    def tobytes(self) -> bytes:
        """Return the numbers as they are in the file."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            return file.read(self.nbytes)
