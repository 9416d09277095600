"""Unpickling that runs nothing: every global a file names is looked up in a short list of our own stand-ins.

A pickle is a program that may call whatever it can name. Here it can name only what checkpoints of the framework
need, and each of those is inert: tensors become descriptions of where their numbers lie, everything that is not
needed (histories of losses, configs, states of optimizers) becomes an object that takes any call and does nothing.
A name that is not listed ends the reading.
"""

from __future__ import annotations

import math
import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import CheckpointError, UnsafeFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

__all__ = ["STORAGE_BYTES", "Storage", "StoredTensor", "plain_values", "unpickle"]

STORAGE_BYTES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
    "UntypedStorage": ("uint8", 1),
}
_MAXIMUM_STEPS = 8_000_000
_MAXIMUM_ARRAY = 2**16
_KEYS = (str, bytes, int, float, type(None))
_NUMBER_TYPES = frozenset(kind + size for kind in "iuf" for size in "1248") | {"b1"}


@dataclass(frozen=True)
class Storage:
    """A block of numbers in the file.

    Attributes:
        key: Its name in the file.
        dtype: Name of the numbers' type, as torch calls it.
        itemsize: Bytes of one number.
        length: How many there are.
    """

    key: str
    dtype: str
    itemsize: int
    length: int

    def __setstate__(self, _: Any) -> None:
        raise CheckpointError("the file changes a tensor after describing it")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read: a window onto a storage, in numbers.

    Attributes:
        storage: Where its numbers lie.
        offset: Position of its first number.
        shape: Sizes.
        stride: Steps from one number to the next along each axis.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, _: Any) -> None:
        raise CheckpointError("the file changes a tensor after describing it")

    def __post_init__(self) -> None:
        values = (self.offset, *self.shape, *self.stride)
        fits = len(self.shape) == len(self.stride) and all(type(value) is int and value >= 0 for value in values)
        if fits and all(self.shape):
            last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
            fits = last < self.storage.length and math.prod(self.shape, start=1) <= self.storage.length
        if not fits:
            raise CheckpointError(f"a tensor of shape {self.shape} lies outside the numbers that the file holds for it")


class _Array:
    """An array of numbers written by NumPy, turned into a list when it is asked for."""

    __slots__ = ("_state",)

    def __init__(self, *_: Any) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def values(self) -> Any:
        """The numbers as nested lists; None where they are no plain numbers."""
        if not isinstance(self._state, tuple) or len(self._state) < 4:  # noqa: PLR2004
            return None
        shape, dtype, fortran, data = self._state[-4:]
        name = getattr(dtype, "name", "")
        if name not in _NUMBER_TYPES or not isinstance(data, bytes) or len(data) > _MAXIMUM_ARRAY:
            return None
        try:
            return np.frombuffer(data, name).reshape(shape, order="F" if fortran else "C").tolist()
        except (ValueError, TypeError):
            return None


class _Scalar:
    """A number written by NumPy."""

    __slots__ = ("_data", "_dtype")

    def __init__(self, dtype: Any = None, data: Any = b"") -> None:
        self._dtype = dtype
        self._data = data

    def values(self) -> Any:
        """The number, or None."""
        name = getattr(self._dtype, "name", "")
        if name not in _NUMBER_TYPES or not isinstance(self._data, bytes) or len(self._data) != int(name[1:]):
            return None
        return np.frombuffer(self._data, name)[0].item()


class _Type:
    """A dtype of NumPy."""

    __slots__ = ("name",)

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name = name if isinstance(name, str) else ""

    def __setstate__(self, state: Any) -> None:
        """Byte order and such: nothing that is needed."""


class _Function:
    """A function that a pickle may call; it cannot be changed by one."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise CheckpointError("the file tries to change a function")


def _inert(name: str) -> type:
    """A class whose objects take everything a pickle can do to an object, and do nothing."""

    def ignore(self: Any, *_: Any, **__: Any) -> Any:
        return self

    body = {
        "__init__": lambda *_, **__: None,
        "__new__": lambda cls, *_, **__: object.__new__(cls),
        "__slots__": (),
        "__setstate__": lambda *_: None,
        "__setitem__": lambda *_: None,
        "__call__": ignore,
        "append": lambda *_: None,
        "extend": lambda *_: None,
        "add": lambda *_: None,
    }
    return type(name, (), body)


def _dictionary(name: str) -> type:
    """A class whose objects are dictionaries and nothing more."""

    def fill(self: dict[Any, Any], *values: Any) -> None:
        dict.update(self, *(value for value in values if isinstance(value, dict)))

    return type(name, (dict,), {"__init__": fill, "__setstate__": fill, "__slots__": ()})


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage) or not isinstance(shape, tuple) or not isinstance(stride, tuple):
        raise CheckpointError("a tensor of the file is not described as PyTorch does")
    return StoredTensor(storage, offset, shape, stride)


def _parameter(data: Any = None, *_: Any) -> Any:
    return data


def _subclass(function: Any, _: Any, arguments: Any, *__: Any) -> Any:
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise CheckpointError("a tensor of the file is not described as PyTorch does")
    return function(*arguments)


def _latin1(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise CheckpointError(f"the file encodes text as {encoding!r:.40}, which checkpoints do not")
    return text.encode("latin1")


def _collection(kind: type) -> Callable[..., Any]:
    def make(values: Any = (), *_: Any) -> Any:
        items = list(values) if isinstance(values, (list, tuple, set)) else []
        for item in items:
            _check_key(item)
        return kind(items)

    return make


def _check_key(key: Any) -> None:
    """Refuse keys that take long to hash; those of checkpoints are names and numbers."""
    parts = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(part, _KEYS) for part in parts):
        raise CheckpointError(f"a dictionary of the file has a {type(key).__name__} as key")


_TENSORS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _subclass,
    "torch.nn.parameter.Parameter": _parameter,
    "_codecs.encode": _latin1,
    "torch.Size": _collection(tuple),
    "builtins.frozenset": _collection(frozenset),
    "builtins.set": _collection(set),
}
_DICTIONARIES = frozenset(
    {
        "addict.addict.Dict",
        "collections.Counter",
        "easydict.EasyDict",
        "mmcv.utils.config.ConfigDict",
        "mmengine.config.ConfigDict",
        "mmengine.config.config.ConfigDict",
        "yacs.config.CfgNode",
    }
)
_NUMPY = {
    "numpy.core.multiarray._reconstruct": _Array,
    "numpy._core.multiarray._reconstruct": _Array,
    "numpy.core.multiarray.scalar": _Scalar,
    "numpy._core.multiarray.scalar": _Scalar,
    "numpy.dtype": _Type,
}
_HARMLESS = frozenset(
    {
        "argparse.Namespace",
        "collections.defaultdict",
        "collections.deque",
        "datetime.date",
        "datetime.datetime",
        "datetime.timedelta",
        "datetime.timezone",
        "mmcv.utils.config.Config",
        "mmengine.config.Config",
        "mmengine.config.config.Config",
        "mmengine.logging.history_buffer.HistoryBuffer",
        "numpy.ndarray",
        "pathlib.Path",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "pathlib.PureWindowsPath",
        "pathlib.WindowsPath",
        "pathlib._local.PosixPath",
        "pathlib._local.WindowsPath",
        "torch.Tensor",
        "torch.device",
    }
    | {f"numpy.{kind}" for kind in ("bool_", "int32", "int64", "float16", "float32", "float64")}
    | {f"builtins.{name}" for name in ("dict", "getattr", "int", "list", "object", "str", "tuple")}
    | {f"torch.{name}" for name in ("float16", "bfloat16", "float32", "float64", "int32", "int64", "uint8", "bool")}
)


class _Steps(dict[int, Any]):
    """What the unpickler does at each byte code; counts the steps so that a file of endless steps ends."""

    left = _MAXIMUM_STEPS

    def __getitem__(self, code: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise CheckpointError("the file has more entries than any real checkpoint")
        return super().__getitem__(code)


def _checked(step: Callable[[Any], None]) -> Callable[[Any], None]:
    """``step``, which puts values into a dictionary or a set, with a check of their keys."""

    def run(unpickler: Any) -> None:
        if step in _TAKES_ONE:
            keys = unpickler.stack[-2:-1]
        else:
            keys = unpickler.stack if step in _TAKES_SET else unpickler.stack[::2]
        for key in keys:
            _check_key(key)
        step(unpickler)

    return run


_Base: Any = pickle._Unpickler  # noqa: SLF001
_TAKES_ONE = (_Base.load_setitem,)
_TAKES_SET = (_Base.load_additems, _Base.load_frozenset)
_CHECKED = {
    code: _checked(step)
    for code, step in _Base.dispatch.items()
    if step in (*_TAKES_ONE, *_TAKES_SET, _Base.load_setitems, _Base.load_dict)
}


class _Unpickler(_Base):  # type: ignore[misc]
    """Python's own unpickler with closed doors.

    The one written in Python, because the one in C reserves as much memory as a damaged file asks for.
    """

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")
        self.dispatch = _Steps(_Base.dispatch | _CHECKED)
        self._known: dict[str, Any] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Our stand-in for the global ``module.name``; nothing is imported."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))  # of Python 2
        full = f"{module}.{name}"
        if full not in self._known:
            self._known[full] = _stand_in(module, name)
        return self._known[full]

    def persistent_load(self, identity: Any) -> Storage:
        """What stands for a block of numbers: ``("storage", type, key, device, length, …)``."""
        if not isinstance(identity, tuple) or len(identity) < 5 or identity[0] != "storage":  # noqa: PLR2004
            raise CheckpointError("the file refers to something outside itself that is no tensor")
        _, kind, key, _, length = identity[:5]
        if not isinstance(kind, Storage) or type(length) is not int or length < 0:
            raise CheckpointError("a tensor of the file is not described as PyTorch does")
        if len(identity) > 5 and identity[5] is not None:  # noqa: PLR2004
            raise CheckpointError("the file shares storages as PyTorch before 0.4 did: save it again with torch.save")
        return Storage(str(key), kind.dtype, kind.itemsize, length)


def _stand_in(module: str, name: str) -> Any:
    """What answers to the global ``module.name``.

    Raises:
        UnsafeFileError: It is not in the list.
    """
    full = f"{module}.{name}"
    if full == "collections.OrderedDict":
        return OrderedDict
    if module in {"torch", "torch.cuda", "torch.storage"} and name in STORAGE_BYTES:
        return Storage("", *STORAGE_BYTES[name], 0)
    if full in _TENSORS:
        return _Function(_TENSORS[full])
    if full in _NUMPY:
        return _Function(_NUMPY[full])
    if full in _DICTIONARIES:
        return _dictionary(name)
    if full in _HARMLESS:
        return _inert(name)
    raise UnsafeFileError(
        f"it would run {full[:100]!r}, which no checkpoint needs; nothing was run. Load it only if you trust where it "
        "comes from: --trust (trust=True)"
    )


def unpickle(file: IO[bytes], *, what: str) -> Any:
    """The object that ``file`` holds from where it stands; afterwards it stands behind it.

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
    except (MemoryError, RecursionError):
        raise CheckpointError(f"{what} is damaged: its description of the tensors makes no sense") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises anything
        raise CheckpointError(
            f"{what} is cut off or damaged ({type(error).__name__} in its description of the tensors): "
            "copy or download it again"
        ) from None


def plain_values(value: Any, depth: int = 0) -> Any:
    """``value`` with NumPy's numbers as plain ones, and None for whatever is no data."""
    if depth > 20:  # noqa: PLR2004
        return None
    if isinstance(value, (_Array, _Scalar)):
        return value.values()
    if isinstance(value, dict):
        return {key: plain_values(item, depth + 1) for key, item in value.items() if isinstance(key, (str, int))}
    if isinstance(value, (list, tuple)):
        return type(value)(plain_values(item, depth + 1) for item in value)
    return value if isinstance(value, (str, int, float, bool)) else None
