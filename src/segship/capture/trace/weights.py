"""Weights of a network as weights of its graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnx import helper

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = ["TorchWeight"]


class TorchWeight:
    """A tensor of torch as a weight; nothing is computed before it is written (`segship.onnxgraph.weights.Weight`).

    Args:
        tensor: On the CPU.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self.dtype = helper.np_dtype_to_tensor_dtype(tensor[:0].numpy().dtype if tensor.dim() else tensor.numpy().dtype)
        self.shape, self.nbytes = tuple(tensor.shape), tensor.nbytes

    def numpy(self) -> NDArray[Any]:
        """Return its numbers, in C order."""
        numbers: NDArray[Any] = self._tensor.contiguous().numpy()
        return numbers

    def tobytes(self) -> bytes:
        """Return its numbers, little-endian."""
        return self.numpy().tobytes()
