"""Loads transformers; in a run of the command line without what only training, compiling and several machines need.

Importing torch's distributed tensors, its compiler and SciPy's optimisation takes longer than the export of a small
network, and no network calls them to label an image. The library runs with a torch that has no torch.distributed and
without SciPy, and is told so while the modules that all of its networks share are loaded; of the compiler these modules
take marks on functions, which mean nothing where nothing is compiled.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from segship.core import own_process
from segship.core.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_library", "without_compiler"]

_EVERY_NETWORK = ("transformers.modeling_utils", "transformers.modeling_layers")
_ASKED = ("is_scipy_available", "is_torch_distributed_available", "is_torch_flex_attn_available")
_COMPILER = "torch._dynamo"
_MARKS = ("allow_in_graph", "assume_constant_result", "disable")
_WRAPPER, _WRAPPED = f"{_COMPILER}._trace_wrapped_higher_order_op", "TransformGetItemToIndex"


def load_library() -> None:
    """Import transformers, and in a run of the command line what all of its networks share.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Reading Hugging Face folders", "huggingface", "transformers") from error
    if own_process.is_own() and sys.modules.keys().isdisjoint(_EVERY_NETWORK):
        try:
            with _for_labelling_alone():
                _load_shared()
        except Exception:  # noqa: BLE001  (whatever another version asks for: it is loaded with all that it imports)
            _load_shared()


@contextlib.contextmanager
def without_compiler() -> Iterator[None]:
    """Leave torch's compiler out while a network is built of no numbers, in a run of the command line.

    On its meta device torch marks the first use of some functions for the compiler, and loads it to do so.
    """
    if own_process.is_own() and _COMPILER not in sys.modules:
        with _marks_alone():
            yield
    else:
        yield


def _load_shared() -> None:
    for name in _EVERY_NETWORK:
        importlib.import_module(name)


@contextlib.contextmanager
def _for_labelling_alone() -> Iterator[None]:
    """What is loaded meanwhile finds no SciPy, no torch.distributed, and of torch's compiler only marks."""
    import torch
    import transformers

    with contextlib.ExitStack() as stack:
        for place in (transformers.utils, transformers.utils.import_utils):
            for name in _ASKED:
                if hasattr(place, name):  # each version's own
                    stack.enter_context(_replaced(place, name, _no))
        if _COMPILER not in sys.modules:
            for name in _MARKS:
                if hasattr(torch.compiler, name):
                    stack.enter_context(_replaced(torch.compiler, name, _unmarked))
            stack.enter_context(_marks_alone())
        yield


@contextlib.contextmanager
def _marks_alone() -> Iterator[None]:
    """A stand-in for torch's compiler: marks, and a class that the real one makes when it is called."""
    import torch

    compiler, wrapper = ModuleType(_COMPILER), ModuleType(_WRAPPER)
    compiler.__dict__.update(dict.fromkeys(_MARKS, _unmarked))
    wrapper.__dict__[_WRAPPED] = _make
    sys.modules |= {_COMPILER: compiler, _WRAPPER: wrapper}
    torch.__dict__["_dynamo"] = compiler
    try:
        yield
    finally:
        del sys.modules[_COMPILER], sys.modules[_WRAPPER], torch.__dict__["_dynamo"]


@contextlib.contextmanager
def _replaced(place: Any, name: str, value: Any) -> Iterator[None]:
    own = getattr(place, name)
    setattr(place, name, value)
    try:
        yield
    finally:
        setattr(place, name, own)


def _unmarked(function: Any = None, *_: Any, **__: Any) -> Any:
    """A decorator, with arguments or without, that leaves a function as it is."""
    return (lambda given: given) if function is None else function


def _make() -> Any:
    return getattr(importlib.import_module(_WRAPPER), _WRAPPED)()


def _no() -> bool:
    return False
