"""The table of torch's functions: of each, its names, its operators and its shape rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FUNCTIONS", "Function", "composite", "function"]

_Rule = TypeVar("_Rule", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Function:
    """What a function of torch is in ONNX.

    Attributes:
        write: Adds its operators. It takes the `TracedGraph`, the result for the first example, and the arguments of
            torch's function under torch's names; it returns where the result is. A composite one takes torch's
            arguments alone and calls other functions of torch.
        shape: Returns the result for tensors on the device ``meta``, given torch's arguments; None: torch's own
            function does. torch computes many shapes in Python, which loads its compiler: two seconds, and 150 MB.
        view: Whether the result may be the memory of the first argument.
        composite: Whether it is told in other functions of torch.
        instead: Takes torch's arguments and returns the same in other functions of torch, or None: as ``write`` says.
    """

    write: Callable[..., Any]
    shape: Callable[..., Any] | None = None
    view: bool = False
    composite: bool = False
    instead: Callable[..., Any] | None = None


FUNCTIONS: dict[str, Function] = {}
"""The functions by torch's names, without the underscores of operators and of functions that change an argument."""


def function(
    *names: str,
    shape: Callable[..., Any] | None = None,
    view: bool = False,
    instead: Callable[..., Any] | None = None,
) -> Callable[[_Rule], _Rule]:
    """Declare what a function of torch is in ONNX.

    Args:
        names: Torch's names of the function and of its aliases.
        shape: Its shape rule, see `Function`.
        view: Whether the result may be the memory of the first argument.
        instead: See `Function`.
    """
    return lambda rule: _declare(names, rule, Function(rule, shape, view, instead=instead))


def composite(*names: str) -> Callable[[_Rule], _Rule]:
    """Declare what a function of torch is in other functions of torch."""
    return lambda rule: _declare(names, rule, Function(rule, composite=True))


def _declare(names: tuple[str, ...], rule: _Rule, entry: Function) -> _Rule:
    for name in names:
        if name in FUNCTIONS:
            raise ValueError(f"torch's function {name} is declared twice")
        FUNCTIONS[name] = entry
    return rule
