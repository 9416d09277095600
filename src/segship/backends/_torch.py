"""What torch's own two engines share: finding torch, its devices, and running what it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from segship.core.artifacts import Device, Engine, shapes_of
from segship.core.errors import MissingExtraError, engine_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["TorchSession", "devices", "load", "set_threads"]


def load(what: str) -> Any:
    """The module ``torch``.

    Args:
        what: What needs it, as the subject of a sentence.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(what, "export", "torch") from error
    return torch


def devices(what: str, note: str = "") -> tuple[Device, ...]:
    """The processor, and the GPUs torch finds.

    Args:
        what: What needs torch, as the subject of a sentence.
        note: Said of each behind torch's version.
    """
    try:
        torch = load(what)
    except MissingExtraError as error:
        return (Device("cpu", usable=False, note=str(error)),)
    note = f"torch {torch.__version__}{note}"
    gpus = [Device(f"cuda:{index}", usable=True, note=note) for index in range(torch.cuda.device_count())]
    return (Device("cpu", usable=True, note=note), *gpus)


def set_threads(torch: Any, threads: int | None) -> None:
    """Set torch's threads, in the whole process; None leaves them."""
    if threads is not None:
        torch.set_num_threads(threads)


class TorchSession:
    """Runs a callable of torch's on arrays.

    Args:
        torch: The module.
        run: Takes tensors and returns one or several.
        device: Where the tensors go.
        engine: Names the outputs.
        title: The engine's name in error messages.
    """

    def __init__(self, torch: Any, run: Any, device: str, engine: Engine, title: str) -> None:
        self._torch, self._run, self._device, self._title = torch, run, device, title
        self._outputs = [tensor.name for tensor in engine.outputs]

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, float32 on the processor."""
        torch = self._torch
        with engine_errors(f"{self._title} refuses the input {shapes_of(feeds)}"), torch.inference_mode():
            found = self._run(*(torch.from_numpy(value).to(self._device) for value in feeds.values()))
        values = found if isinstance(found, (tuple, list)) else (found,)
        return {name: value.float().cpu().numpy() for name, value in zip(self._outputs, values, strict=True)}
