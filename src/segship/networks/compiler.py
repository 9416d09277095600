"""Modules of others without torch's compiler, in a run of the command line.

Importing the compiler takes longer than the export of a small network, and no network calls it to label an image: what
modules of others take of it are marks on functions, which mean nothing where nothing is compiled.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from segship.core import own_process

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["no", "replaced", "without_compiler"]

_COMPILER = "torch._dynamo"
_MARKS = ("allow_in_graph", "assume_constant_result", "disable")
_WRAPPER, _WRAPPED = f"{_COMPILER}._trace_wrapped_higher_order_op", "TransformGetItemToIndex"
_TOOLS, _ASKED = f"{_COMPILER}.utils", "is_compile_supported"  # by torchvision, for a device


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Put a stand-in in the place of torch's compiler meanwhile, in a run of the command line that has not loaded it.

    Modules that are imported keep its marks; a network that is built on torch's meta device, which marks the first use
    of some functions, does not load it either.
    """
    if not own_process.is_own() or _COMPILER in sys.modules:
        yield
        return
    import torch

    compiler, wrapper, tools = (ModuleType(name) for name in (_COMPILER, _WRAPPER, _TOOLS))
    compiler.__dict__.update(dict.fromkeys(_MARKS, _unmarked))
    wrapper.__dict__[_WRAPPED] = _make
    tools.__dict__[_ASKED] = no
    with contextlib.ExitStack() as stack:
        for name in _MARKS:
            if hasattr(torch.compiler, name):
                stack.enter_context(replaced(torch.compiler, name, _unmarked))
        sys.modules |= {_COMPILER: compiler, _WRAPPER: wrapper, _TOOLS: tools}
        torch.__dict__["_dynamo"] = compiler
        try:
            yield
        finally:
            del sys.modules[_COMPILER], sys.modules[_WRAPPER], sys.modules[_TOOLS], torch.__dict__["_dynamo"]


@contextlib.contextmanager
def replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute of an object another value meanwhile."""
    own = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, own)


def no(*_: Any) -> bool:
    """Answer that something is not there."""
    return False


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """A decorator, with arguments or without, that leaves a function as it is."""
    return (lambda given: given) if function is None else function


def _make() -> Any:
    return getattr(importlib.import_module(_WRAPPER), _WRAPPED)()
