"""What stands for the classes and functions that a checkpoint names: inert, and paid for by what it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from segship.core.errors import CheckpointError, UnsafeFileError
from segship.reading.limits import is_slow_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from segship.reading.limits import Allowance

__all__ = [
    "MAXIMUM_AXES",
    "STORAGE_BYTES",
    "WORD",
    "Storage",
    "StoredArray",
    "StoredNumber",
    "StoredTensor",
    "check_key",
    "stand_in",
]

MAXIMUM_AXES = 64
"""Most axes of a tensor: torch's own limit."""

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
_LETTERS = 64  # of text for a unit of work
_MAXIMUM_ARRAY = 2**16
_MAXIMUM_KEY = 16
WORD = 2**63
"""Sizes and strides are smaller."""
_SIZED = (str, bytes, list, tuple, set, frozenset, dict)
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
        axes = len(self.shape)
        if axes > MAXIMUM_AXES or axes != len(self.stride):
            raise CheckpointError(f"a tensor of the file has {axes} axes and {len(self.stride)} strides")
        values = (self.offset, *self.shape, *self.stride)
        if not all(type(value) is int and 0 <= value < WORD for value in values):
            raise CheckpointError("a tensor of the file has a size or a stride that is no whole number of 63 bits")
        if all(self.shape):
            last = self.offset + sum((size - 1) * step for size, step in zip(self.shape, self.stride, strict=True))
            if last >= self.storage.length or math.prod(self.shape, start=1) > self.storage.length:
                raise CheckpointError(
                    f"a tensor of shape {self.shape} lies outside the numbers that the file holds for it"
                )


class StoredArray:
    """An array of numbers written by NumPy, turned into a list when it is asked for."""

    __slots__ = ("_state",)

    def __init__(self, *_: Any) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def values(self, work: Allowance) -> Any:
        """Return the numbers as nested lists; None where they are no plain numbers."""
        if not isinstance(self._state, tuple) or len(self._state) < 4:
            return None
        shape, dtype, fortran, data = self._state[-4:]
        name = getattr(dtype, "name", "")
        if name not in _NUMBER_TYPES or not isinstance(data, bytes) or not _is_small_shape(shape):
            return None
        work.spend(math.prod(size or 1 for size in shape))  # an axis of length 0 leaves the lists of those before it
        try:
            return np.frombuffer(data, name).reshape(shape, order="F" if fortran else "C").tolist()
        except (ValueError, TypeError):
            return None


def _is_small_shape(shape: Any) -> bool:
    """Whether an array of this shape has no more numbers, and no more lists, than what frameworks note."""
    if not isinstance(shape, tuple) or len(shape) > MAXIMUM_AXES:
        return False
    if not all(type(size) is int and 0 <= size <= _MAXIMUM_ARRAY for size in shape):
        return False
    return math.prod(size or 1 for size in shape) <= _MAXIMUM_ARRAY


class StoredNumber:
    """A number written by NumPy."""

    __slots__ = ("_data", "_dtype")

    def __init__(self, dtype: Any = None, data: Any = b"") -> None:
        self._dtype = dtype
        self._data = data

    def values(self) -> Any:
        """Return the number, or None."""
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
    """A function that a pickle may call; it cannot be changed by one. A call costs what its arguments hold."""

    __slots__ = ("_call", "_work")
    _call: Callable[..., Any]
    _work: Allowance

    def __init__(self, call: Callable[..., Any], work: Allowance) -> None:
        object.__setattr__(self, "_call", call)
        object.__setattr__(self, "_work", work)

    def __call__(self, *arguments: Any) -> Any:
        for argument in arguments:
            self._work.spend(_size(argument))
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise CheckpointError("the file tries to change a function")


def _size(value: Any) -> int:
    """What it costs to copy ``value``, without what its items hold."""
    if not isinstance(value, _SIZED):
        return 1
    return 1 + (len(value) // _LETTERS if isinstance(value, (str, bytes)) else len(value))


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


def _dictionary(name: str, work: Allowance) -> type:
    """A class whose objects are dictionaries and nothing more; lists of pairs fill them, too."""

    def fill(self: dict[Any, Any], *values: Any) -> None:
        for value in values:
            work.spend(_size(value))
            if isinstance(value, dict):
                dict.update(self, value)
            for pair in value if isinstance(value, (list, tuple)) else ():
                if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                    raise CheckpointError("a dictionary of the file is made of something other than pairs")
                check_key(pair[0])
                dict.__setitem__(self, *pair)

    def ignore(_: Any, *__: Any) -> None:
        """Attributes of an ordered dictionary, such as the versions of a network's layers: nothing that is needed."""

    state = ignore if name == "OrderedDict" else fill
    return type(name, (dict,), {"__init__": fill, "__setstate__": state, "__slots__": ()})


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
        raise CheckpointError("the file encodes text in another way than checkpoints do, which is latin1")
    return text.encode("latin1")


def _collection(kind: type) -> Callable[..., Any]:
    def make(values: Any = (), *_: Any) -> Any:
        items = list(values) if isinstance(values, (list, tuple, set)) else []
        for item in items:
            check_key(item)
        return kind(items)

    return make


def check_key(key: Any) -> None:
    """Refuse keys that take long to hash or share their hashes; those of checkpoints are names and numbers."""
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > _MAXIMUM_KEY or not all(isinstance(part, _KEYS) for part in parts):
        raise CheckpointError(f"a dictionary of the file has a {type(key).__name__} as key")
    if is_slow_key(key):
        raise CheckpointError("a dictionary of the file has an integer of more than 60 bits as key")


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
        "collections.OrderedDict",
        "easydict.EasyDict",
        "mmcv.utils.config.ConfigDict",
        "mmengine.config.ConfigDict",
        "mmengine.config.config.ConfigDict",
        "yacs.config.CfgNode",
    }
)
_NUMPY = {
    "numpy.core.multiarray._reconstruct": StoredArray,
    "numpy._core.multiarray._reconstruct": StoredArray,
    "numpy.core.multiarray.scalar": StoredNumber,
    "numpy._core.multiarray.scalar": StoredNumber,
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


def stand_in(module: str, name: str, work: Allowance) -> Any:
    """Return the stand-in for the global ``module.name``.

    Raises:
        UnsafeFileError: It is not in the list.
    """
    full = f"{module}.{name}"
    if module in {"torch", "torch.cuda", "torch.storage"} and name in STORAGE_BYTES:
        return Storage("", *STORAGE_BYTES[name], 0)
    if full in _TENSORS:
        return _Function(_TENSORS[full], work)
    if full in _NUMPY:
        return _Function(_NUMPY[full], work)
    if full in _DICTIONARIES:
        return _dictionary(name, work)
    if full in _HARMLESS:
        return _inert(name)
    raise UnsafeFileError(
        f"it would run {full[:100]!r}, which no checkpoint needs; nothing was run. Load it only if you trust where it "
        "comes from: --trust (trust=True)"
    )
