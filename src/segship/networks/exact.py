"""A network in float64, and in every way in which PyTorch computes it in float32."""

from __future__ import annotations

import contextlib
import copy
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from segship.core.artifacts import Session
from segship.core.errors import UnsupportedError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from segship.networks.network import Network

__all__ = ["ExactSession", "float32_sessions"]


class ExactSession(Session):
    """``{"image": (N, C, H, W)} -> {"logits": (N, K, h, w)}``, computed in float64 and rounded at the end.

    Args:
        network: In eval mode; left as it is.

    Raises:
        UnsupportedError: It cannot be copied into float64.
    """

    def __init__(self, network: Network) -> None:
        with _explained():
            self._network = copy.deepcopy(network).double()

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Low-resolution logits of ``feeds["image"]``.

        Raises:
            UnsupportedError: Something in the network cannot compute in float64.
        """
        image = torch.from_numpy(feeds["image"]).double()
        with _explained(), torch.no_grad(), _float64_by_default(), _Widened():  # type: ignore[no-untyped-call]
            logits = self._network.logits(image)
        if logits.dtype != torch.float64:
            raise UnsupportedError(f"given float64 it returns {str(logits.dtype).removeprefix('torch.')}")
        return {"logits": logits.float().numpy()}


class _Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Where a network asks for float32 by name, as before a softmax, it gets float64."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: _widened(value) for name, value in (kwargs or {}).items()}
        return func(*map(_widened, args), **named)


def _widened(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


@contextlib.contextmanager
def _float64_by_default() -> Iterator[None]:
    """New tensors of which nobody says the type are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except UnsupportedError:
        raise
    except Exception as error:  # whatever a foreign network raises
        raise UnsupportedError(one_line(error)) from error


class _Way(Session):
    """One way of PyTorch's to compute in float32."""

    def __init__(self, network: Network, layout: torch.memory_format, *, fused: bool) -> None:
        self._network, self._layout, self._fused = network, layout, fused

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        image = torch.from_numpy(feeds["image"]).contiguous(memory_format=self._layout)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of GPUs that nobody asked for
            with torch.backends.mkldnn.flags(enabled=self._fused):
                return {"logits": self._network.logits(image).numpy()}


def float32_sessions(network: Network) -> list[Session]:
    """Open a network in each way in which PyTorch computes in float32, which all round, and sum in other orders.

    With oneDNN and without, channels first and last. All are right; how far they lie apart says how well float32 can
    know what the network returns.

    Args:
        network: In eval mode, float32.
    """
    layouts = (torch.contiguous_format, torch.channels_last)
    return [_Way(network, layout, fused=fused) for layout in layouts for fused in (True, False)]
