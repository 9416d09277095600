"""Unpickling that runs nothing: every global a file names is looked up in a short list of our own stand-ins.

A pickle is a program that may call whatever it can name. Here it can name only what checkpoints of the framework
need, and each of those is inert: tensors become descriptions of where their numbers lie, everything that is not
needed (histories of losses, configs, states of optimizers) becomes an object that takes any call and does nothing.
A name that is not listed ends the reading.
"""

from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import TYPE_CHECKING, Any

from segship.core.errors import CheckpointError, UnsafeFileError
from segship.reading.limits import Allowance, TooMuchError
from segship.reading.stand_ins import WORD, Storage, StoredArray, StoredNumber, check_key, stand_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

__all__ = ["plain_values", "unpickle"]

# One for each byte code, one for each item that is copied, more for what takes memory; a real checkpoint has 10**5.
_WORK = 4_000_000
_CONTAINER_WORK = 8


class _Steps(dict[int, Any]):
    """What the unpickler does at each byte code; counts the steps so that a file of endless steps ends."""

    def __init__(self, steps: dict[int, Any], work: Allowance) -> None:
        super().__init__(steps)
        self._work = work

    def __getitem__(self, code: int) -> Any:
        self._work.spend(_CONTAINER_WORK if code in _CONTAINERS else 1)
        return super().__getitem__(code)


def _checked(step: Callable[[Any], None]) -> Callable[[Any], None]:
    """``step``, which puts values into a dictionary or a set, with a check of their keys."""

    def run(unpickler: Any) -> None:
        if step in _TAKES_ONE:
            keys = unpickler.stack[-2:-1]
        else:
            keys = unpickler.stack if step in _TAKES_SET else unpickler.stack[::2]
        for key in keys:
            check_key(key)
        step(unpickler)

    return run


_Base: Any = pickle._Unpickler  # noqa: SLF001
_TAKES_ONE = (_Base.load_setitem,)
_TAKES_SET = (_Base.load_additems, _Base.load_frozenset)
_CONTAINERS = frozenset({pickle.EMPTY_SET[0], pickle.EMPTY_DICT[0], pickle.EMPTY_LIST[0], pickle.MARK[0]})
# Checkpoints have no buffers of bytes, for which Python's reader makes as much room as a file claims.
_REFUSED = frozenset({pickle.BYTEARRAY8[0], pickle.NEXT_BUFFER[0], pickle.READONLY_BUFFER[0]})
_CHECKED = {
    code: _checked(step)
    for code, step in _Base.dispatch.items()
    if step in (*_TAKES_ONE, *_TAKES_SET, _Base.load_setitems, _Base.load_dict)
}

_DISPATCH = {code: step for code, step in (_Base.dispatch | _CHECKED).items() if code not in _REFUSED}


class _Unpickler(_Base):  # type: ignore[misc]
    """Python's own unpickler with closed doors.

    The one written in Python, because the one in C reserves as much memory as a damaged file asks for.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self._work = Allowance(_WORK)
        self.dispatch = _Steps(_DISPATCH, self._work)
        self._known: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Our stand-in for the global ``module.name``; nothing is imported."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # of Python 2
        full = f"{module}.{name}"
        if full not in self._known:
            self._known[full] = stand_in(module, name, self._work)
        return self._known[full]

    def persistent_load(self, identity: Any) -> Storage:
        """What stands for a block of numbers: ``("storage", type, key, device, length, …)``."""
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":
            raise CheckpointError("the file refers to something outside itself that is no tensor")
        _, kind, key, _, length = identity[:5]
        is_described = isinstance(kind, Storage) and isinstance(key, (str, int)) and abs(_number(key)) < WORD
        if not is_described or type(length) is not int or not 0 <= length < WORD:
            raise CheckpointError("a tensor of the file is not described as PyTorch does")
        if len(identity) > 5 and identity[5] is not None:
            raise CheckpointError("the file shares storages as PyTorch before 0.4 did: save it again with torch.save")
        return Storage(str(key), kind.dtype, kind.itemsize, length)


def _number(key: str | int) -> int:
    return key if isinstance(key, int) else 0


def unpickle(file: IO[bytes], *, what: str) -> Any:
    """Return the object that ``file`` holds from where it stands; afterwards it stands behind it.

    Args:
        file: A pickle.
        what: The file, for messages.

    Returns:
        Dictionaries, lists, strings, numbers, `StoredTensor`s and inert objects.

    Raises:
        UnsafeFileError: It names something that is not in the list; nothing was run.
        CheckpointError: It is no pickle, or a damaged one.
    """
    try:
        return _Unpickler(file).load()
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{what} is not safe: {error}") from None
    except CheckpointError as error:
        raise CheckpointError(f"{what}: {error}") from None
    except TooMuchError:
        raise CheckpointError(
            f"{what} has more entries than any real checkpoint: it is damaged or made to harm"
        ) from None
    except (MemoryError, RecursionError):
        raise CheckpointError(f"{what} is damaged: its description of the tensors makes no sense") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything
        raise CheckpointError(
            f"{what} is cut off or damaged ({type(error).__name__} in its description of the tensors): "
            "copy or download it again"
        ) from None


def plain_values(value: Any, work: Allowance, depth: int = 0) -> Any:
    """``value`` with NumPy's numbers as plain ones, and None for whatever is no data.

    Args:
        value: What `unpickle` returned, or a part of it.
        work: Spent on each value, those within NumPy's arrays too.
        depth: How deep ``value`` lies; what lies deeper than 20 is None.

    Raises:
        TooMuchError: ``work`` does not suffice.
    """
    work.spend()
    if depth > 20:
        return None
    if isinstance(value, StoredArray):
        return value.values(work)
    if isinstance(value, StoredNumber):
        return value.values()
    if isinstance(value, dict):
        return {key: plain_values(item, work, depth + 1) for key, item in value.items() if isinstance(key, (str, int))}
    if isinstance(value, (list, tuple)):
        items = (plain_values(item, work, depth + 1) for item in value)
        return list(items) if isinstance(value, list) else tuple(items)
    return value if isinstance(value, (str, int, float, bool)) else None
