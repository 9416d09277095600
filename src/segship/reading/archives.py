"""Where the numbers of a checkpoint lie: PyTorch's zip files, its older files, and safetensors."""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from abc import ABC, abstractmethod
from typing import IO, TYPE_CHECKING, Any

import torch

from segship.core.errors import CheckpointError
from segship.core.memory import memory_bytes
from segship.reading.pickles import unpickle
from segship.reading.stand_ins import MAXIMUM_AXES, Storage, StoredTensor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

__all__ = ["Archive", "open_archive"]

_ZIP = b"PK\x03\x04"
_PICKLE = re.compile(rb"\x80|[(}\])]|c[\w.]+\n[\w.]+\n")
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAXIMUM_DESCRIPTION = 2**30
_MAXIMUM_HEADER = 100 * 2**20
_MAXIMUM_TENSORS = 100_000
_SAFETENSORS = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
}
_AGAIN = "copy or download it again"


class Archive(ABC):
    """An opened checkpoint: values at once, the numbers of tensors when they are asked for.

    Attributes:
        values: What the file holds, with `StoredTensor` in place of tensors.
    """

    values: Any

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._size = path.stat().st_size
        self._blocks: dict[Storage, Tensor] = {}
        self._room = memory_bytes()

    def tensor(self, stored: StoredTensor) -> Tensor:
        """Read the numbers of ``stored``.

        Raises:
            CheckpointError: The file does not hold them all.
        """
        storage = stored.storage
        if storage not in self._blocks:
            length = storage.length * storage.itemsize
            if length > self._size:
                raise CheckpointError(f"{self._path} names a tensor of {length} bytes, but the file is smaller")
            self._room -= length
            if self._room < 0:
                raise CheckpointError(f"{self._path} holds more numbers than this machine has memory for")
            data = bytearray(length)
            if length:
                self._read(storage, memoryview(data))
            block = torch.frombuffer(data, dtype=torch.uint8) if length else torch.empty(0, dtype=torch.uint8)
            self._blocks[storage] = block
        numbers = self._blocks[storage].view(getattr(torch, storage.dtype))
        return torch.as_strided(numbers, stored.shape, stored.stride, stored.offset)

    @abstractmethod
    def _read(self, storage: Storage, target: memoryview) -> None:
        """Fill ``target`` with the numbers of ``storage``."""


def open_archive(path: Path, file: IO[bytes]) -> Archive:
    """Recognise and open the checkpoint ``file`` at ``path``.

    Raises:
        CheckpointError: It is no checkpoint, or a damaged one.
        UnsafeFileError: Reading it would run code; nothing was run.
    """
    head = file.read(64)
    file.seek(0)
    if not head:
        raise CheckpointError(f"{path} is empty: {_AGAIN}")
    if head.startswith(_ZIP):
        return _Zip(path, file)
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _Safetensors(path, file)
    if _PICKLE.match(head):
        return _Legacy(path, file)
    raise CheckpointError(f"{path} is not a checkpoint: {_guess(head)}")


def _guess(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; fetch the file itself with git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is a web page; the download failed"
    return f"it begins with {head[:12]!r}, expected a .pth file written by torch.save"


class _Zip(Archive):
    """What ``torch.save`` writes since PyTorch 1.6: a zip file, never compressed."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__(path, file)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or cut off ({error}): {_AGAIN}") from None
        self._check_entries()
        self._names = frozenset(self._zip.namelist())
        names = [name for name in self._zip.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise CheckpointError(f"{path} is a zip file but no checkpoint: it holds no data.pkl")
        self._folder = names[0].removesuffix("data.pkl")
        if f"{self._folder}constants.pkl" in self._names:
            raise CheckpointError(f"{path} is a TorchScript program, expected the checkpoint it was made from")
        self._check_byte_order()
        self.values = unpickle(io.BytesIO(self._entry("data.pkl", _MAXIMUM_DESCRIPTION)), what=str(path))

    def _check_entries(self) -> None:
        entries = self._zip.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError(f"{self._path} is a compressed zip file, which torch.save never writes")
        if sum(entry.file_size for entry in entries) > self._size:
            raise CheckpointError(f"{self._path} claims to hold more than its own size: it is damaged or made to harm")

    def _check_byte_order(self) -> None:
        name = f"{self._folder}byteorder"
        if name in self._names and self._entry("byteorder", 16) != b"little":
            raise CheckpointError(f"{self._path} was written on a big-endian machine: save it again on a usual one")

    def _entry(self, name: str, maximum: int) -> bytes:
        size = self._zip.getinfo(self._folder + name).file_size
        if size > maximum:
            raise CheckpointError(f"{self._path}: {name} has {size} bytes, more than any real checkpoint's")
        data = bytearray(size)
        self._fill(name, memoryview(data))
        return bytes(data)

    def _fill(self, name: str, target: memoryview) -> None:
        try:
            with self._zip.open(self._folder + name) as entry:
                read = 0
                while read < len(target):
                    chunk = entry.read(min(len(target) - read, 2**24))
                    if not chunk:
                        break
                    target[read : read + len(chunk)] = chunk
                    read += len(chunk)
        except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, OSError, NotImplementedError) as error:
            raise CheckpointError(f"{self._path} is damaged at {name} ({error}): {_AGAIN}") from None
        if read < len(target):
            raise CheckpointError(f"{self._path} is damaged: {name} holds {read} of {len(target)} bytes; {_AGAIN}")

    def _read(self, storage: Storage, target: memoryview) -> None:
        name = f"data/{storage.key}"
        if self._folder + name not in self._names:
            raise CheckpointError(f"{self._path} is damaged: {name} is missing; {_AGAIN}")
        self._fill(name, target)


class _Legacy(Archive):
    """What ``torch.save`` wrote before PyTorch 1.6: pickles one after the other, then the numbers."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__(path, file)
        magic = unpickle(file, what=str(path))
        if magic != _LEGACY_MAGIC:
            raise CheckpointError(f"{path} is a pickle but no checkpoint, expected a .pth file written by torch.save")
        protocol, system = unpickle(file, what=str(path)), unpickle(file, what=str(path))
        if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict) or system.get("little_endian") is not True:
            raise CheckpointError(f"{path} has a format that is not known: save it again with torch.save")
        self.values = unpickle(file, what=str(path))
        self._starts = self._find_blocks(unpickle(file, what=str(path)))

    def _find_blocks(self, keys: Any) -> dict[str, int]:
        """Where each storage begins; each has its length in front, its item size is known from its tensors."""
        if not isinstance(keys, list):
            raise CheckpointError(f"{self._path} is damaged: the list of its tensors is missing; {_AGAIN}")
        itemsizes = {storage.key: storage.itemsize for storage in _storages(self.values)}
        starts: dict[str, int] = {}
        for key in keys:
            length = self._file.read(8)
            if not isinstance(key, str) or key not in itemsizes:
                raise CheckpointError(f"{self._path} is damaged: it lists a storage that is described nowhere")
            starts[key] = self._file.tell()
            end = starts[key] + int.from_bytes(length, "little") * itemsizes[key]
            if len(length) < 8 or end > self._size:
                raise CheckpointError(f"{self._path} is cut off: {_AGAIN}")
            self._file.seek(end)
        return starts

    def _read(self, storage: Storage, target: memoryview) -> None:
        if storage.key not in self._starts:
            raise CheckpointError(f"{self._path} is damaged: the storage {storage.key[:40]!r} is missing; {_AGAIN}")
        _read_at(self._file, self._starts[storage.key], target, self._path)


def _read_at(file: IO[bytes], start: int, target: memoryview, path: Path) -> None:
    file.seek(start)
    data = file.read(len(target))
    if len(data) < len(target):
        raise CheckpointError(f"{path} is cut off: {_AGAIN}")
    target[:] = data


def _storages(values: Any) -> list[Storage]:
    """All storages that ``values`` refer to."""
    found: list[Storage] = []
    seen: set[int] = set()
    stack = [values]
    while stack:
        value = stack.pop()
        if isinstance(value, StoredTensor):
            found.append(value.storage)
        elif isinstance(value, Storage):
            found.append(value)
        elif isinstance(value, (dict, list, tuple, set, frozenset)) and id(value) not in seen:
            seen.add(id(value))
            stack.extend(value.values() if isinstance(value, dict) else value)
    return found


class _Safetensors(Archive):
    """A safetensors file: a JSON header with its length in front, then the numbers."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        super().__init__(path, file)
        length = int.from_bytes(file.read(8), "little")
        if length > min(self._size - 8, _MAXIMUM_HEADER):
            raise CheckpointError(f"{path} is no safetensors file, or cut off: its header claims {length} bytes")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError):
            raise CheckpointError(f"{path} is no safetensors file: its header is not JSON") from None
        if not isinstance(header, dict):
            raise CheckpointError(f"{path} is no safetensors file: its header is no list of tensors")
        if len(header) > _MAXIMUM_TENSORS:
            raise CheckpointError(f"{path} lists {len(header)} tensors, more than any real checkpoint")
        metadata = header.pop("__metadata__", None)
        self._start = 8 + length
        self._offsets: dict[str, int] = {}
        self.values = {name: self._stored(name, entry) for name, entry in header.items()}
        if meta := _noted(metadata):
            self.values["meta"] = meta

    def _stored(self, name: str, entry: Any) -> StoredTensor:
        try:
            dtype, itemsize = _SAFETENSORS[entry["dtype"]]
            shape, (start, end) = _whole_numbers(entry["shape"]), _whole_numbers(entry["data_offsets"])
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(f"{self._path}: the tensor {name[:80]!r} is of a kind that is not known") from None
        length = math.prod(shape)
        if not 0 <= start <= end <= self._size - self._start or end - start != length * itemsize:
            raise CheckpointError(f"{self._path} is cut off or damaged at the tensor {name[:80]!r}: {_AGAIN}")
        self._offsets[name] = self._start + start
        strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
        return StoredTensor(Storage(name, dtype, itemsize, length), 0, shape, tuple(strides))

    def _read(self, storage: Storage, target: memoryview) -> None:
        _read_at(self._file, self._offsets[storage.key], target, self._path)


def _whole_numbers(values: Any) -> tuple[int, ...]:
    """A list of JSON as lengths.

    Raises:
        ValueError: It is none, or longer than a tensor has axes.
    """
    if not isinstance(values, list) or len(values) > MAXIMUM_AXES:
        raise ValueError
    if not all(type(value) is int and 0 <= value < 2**63 for value in values):
        raise ValueError
    return tuple(values)


def _noted(metadata: Any) -> dict[str, Any]:
    """What `segship tools publish` keeps of the checkpoint's meta data: JSON, as safetensors takes only text."""
    text = metadata.get("meta") if isinstance(metadata, dict) else None
    try:
        noted = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}
