"""Networks whose layers are a library's own: made by it, and the sizes that they take found out by trying."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from segship.core.errors import ConfigError, SegshipError, one_line
from segship.core.spec import SizeRule
from segship.models.initialise import FewRandomNumbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

__all__ = ["Trial", "free_sizes", "made_by_library", "output_size"]


class _OnCpu(TorchFunctionMode):
    """While it is entered, sequences of numbers are made where they can be read: networks read them to be built."""

    def __torch_function__(
        self, function: Callable[..., Any], _: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        more = {"device": "cpu"} if function is torch.linspace else {}
        return function(*args, **(dict(kwargs or {}) | more))


def made_by_library(make: Callable[[], Any], library: str, network: str) -> Any:
    """Make a network, with whatever numbers, and without the library's warnings.

    Args:
        make: Calls the library.
        library: Its name and version, for messages.
        network: Name of its class, for messages.

    Raises:
        ConfigError: The library refuses the arguments.
    """
    try:
        with FewRandomNumbers(), _OnCpu(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make()
    except SegshipError:
        raise
    except Exception as error:
        raise ConfigError(
            f"{library} does not take this {network} ({type(error).__name__}: {one_line(error, joined=True)})"
        ) from error


def output_size(network: nn.Module, channels: int, height: int, width: int) -> tuple[int, ...] | None:
    """Return (channels, height, width) of the scores of one image, tried without memory.

    Args:
        network: Without memory for its numbers.
        channels: Of the image.
        height: Of the image.
        width: Of the image.

    Returns:
        None where the network does not take the image, or returns something else than one tensor.
    """
    try:
        with torch.inference_mode(), torch.device("meta"):
            found = network(torch.empty(1, channels, height, width))
    except Exception:  # noqa: BLE001  (whatever the library raises, it does not take it)
        return None
    return _size_of_one(found)


def _size_of_one(found: Any) -> tuple[int, ...] | None:
    return tuple(found.shape[1:]) if isinstance(found, torch.Tensor) else None


class Trial(NamedTuple):
    """Sizes to try.

    Attributes:
        multiple: Of which height and width are.
        unit: Side whose multiples are tried; odd where any size is meant.
        least: Sides that may be the smallest, in this order.
    """

    multiple: int
    unit: int
    least: tuple[int, ...]


def free_sizes(takes: Callable[[int, int], bool], trials: Iterable[Trial], probe: tuple[int, int]) -> SizeRule | None:
    """Return the first rule whose sizes are taken.

    Args:
        takes: Tells whether an image of (height, width) is taken.
        trials: What to try, one after the other.
        probe: Multiples of a trial's unit that make the height and width of its image, which is not square.

    Returns:
        None: no size was taken.
    """
    for trial in trials:
        rows, columns = (trial.unit * factor for factor in probe)
        if takes(rows, columns):
            side = next((side for side in trial.least if takes(side, side)), max(rows, columns))
            return SizeRule(multiple_of=trial.multiple, minimum=(1, 1) if side <= trial.least[0] else (side, side))
    return None
