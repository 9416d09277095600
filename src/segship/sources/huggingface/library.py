"""Loads transformers; in a run of the command line without what only training, compiling and several machines need.

Importing torch's distributed tensors, its compiler and SciPy's optimisation takes longer than the export of a small
network, and no network calls them to label an image. The library runs with a torch that has no torch.distributed and
without SciPy, and is told so while the modules that all of its networks share are loaded.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

from segship.core import own_process
from segship.core.errors import MissingExtraError
from segship.networks.compiler import no, replaced, without_compiler

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["load_library"]

_EVERY_NETWORK = ("transformers.modeling_utils", "transformers.modeling_layers", "transformers.image_processing_utils")
_ASKED = ("is_scipy_available", "is_torch_distributed_available", "is_torch_flex_attn_available")


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


def _load_shared() -> None:
    for name in _EVERY_NETWORK:
        importlib.import_module(name)


@contextlib.contextmanager
def _for_labelling_alone() -> Iterator[None]:
    """What is loaded meanwhile finds no SciPy, no torch.distributed, and of torch's compiler only marks."""
    import transformers

    with contextlib.ExitStack() as stack:
        for place in (transformers.utils, transformers.utils.import_utils):
            for name in _ASKED:
                if hasattr(place, name):  # each version's own
                    stack.enter_context(replaced(place, name, no))
        stack.enter_context(without_compiler())
        yield
