"""The folder that a chip's machine brought back: found, checked against its digests, and read."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from segship.core.errors import InputError, one_line
from segship.core.files import digest
from segship.core.kits import ENGINES, OUTPUTS, batches_of
from segship.kits.kit import KIT
from segship.kits.scripts import SUMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.kits import KitBackend, Recipe
    from segship.kits.kit import Kit

__all__ = ["SUMMARY", "OutputReader", "Results", "find_results"]

SUMMARY = "result_bs{batch}_summary.json"
"""Name of the file beside a folder of outputs in which some tools tell what they did."""

_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_BATCH = re.compile(r"(?:result|time)_bs(\d+)")
_RAW = (".bin", ".raw", ".dat", "")
_SUFFIXES = (*_RAW, ".npy", ".txt")
_MOST_TEXT = 64  # characters of a number in a text file
_LARGEST_LOG = 16 * 2**20
_LEAST, _GREATEST = 1e-30, 1e30  # between them lie the sizes of all networks' scores


@dataclass(frozen=True)
class Results:
    """What was brought back.

    Attributes:
        folders: Folder of the outputs for each number of images at once.
        speeds: Images per second for each number of images at once.
        engines: SHA-256 of each engine that ran, by its name; empty where nobody wrote it down.
        untimed: Names of logs in which no time was found.
        sealed: Whether digests of the outputs were there, and fit.
    """

    folders: Mapping[int, Path]
    speeds: Mapping[int, float]
    engines: Mapping[str, str] = field(default_factory=dict)
    untimed: tuple[str, ...] = ()
    sealed: bool = False


def find_results(kit: Kit, outputs: Path, backend: KitBackend) -> Results:
    """Find what ``run.sh`` left, and hold it against its digests.

    Args:
        kit: The kit it ran.
        outputs: Its ``outputs``, or one of the folders in it.
        backend: Of the vendor, who knows how its tools tell times.

    Returns:
        The folders and times.

    Raises:
        InputError: There is nothing, it is of another kit, or a file was changed, added or taken away.
    """
    if not outputs.is_dir():
        raise InputError(f"{outputs} is no folder: give the {OUTPUTS} that run.sh wrote")
    whole = _whole(outputs)
    if (whole / SUMS).exists() and not (whole / SUMS).is_file():
        raise InputError(f"{whole / SUMS} is no file, as run.sh writes it: run run.sh again")
    engines = _check_sums(kit, whole) if (whole / SUMS).is_file() else {}
    folders = {
        int(found[1]): path
        for path in sorted(outputs.iterdir())
        if path.is_dir() and (found := _BATCH.fullmatch(path.name))
    }
    known = batches_of(kit.manifest.target)
    if not folders and (outputs / OUTPUTS).is_dir():
        raise InputError(f"{outputs} holds no results, but a folder {OUTPUTS}: give {outputs / OUTPUTS}")
    folders = folders or {_named_batch(outputs, known[0]): outputs}
    if strange := sorted(folders.keys() - set(known)):
        raise InputError(
            f"{folders[strange[0]]} is for {strange[0]} images at once, the kit is for {', '.join(map(str, known))}: "
            "it is of another kit"
        )
    speeds, untimed = _speeds(whole, backend)
    return Results(folders, speeds, engines, untimed, sealed=(whole / SUMS).is_file())


def _named_batch(folder: Path, otherwise: int) -> int:
    """How many images at once a folder's own name tells."""
    found = _BATCH.fullmatch(folder.name)
    return int(found[1]) if found else otherwise


def _whole(outputs: Path) -> Path:
    """The folder with the digests, which is above where one of its folders is given."""
    return outputs.parent if _is_part(outputs) else outputs


def _is_part(outputs: Path) -> bool:
    return (outputs.parent / SUMS).is_file() and not (outputs / SUMS).is_file()


def _check_sums(kit: Kit, folder: Path) -> dict[str, str]:
    """Hold all files of a folder against the digests in it; the digests of engines by their names."""
    known = _read_sums(folder)
    own = known.pop(KIT, "")
    engines = {name: value for name, value in known.items() if name.startswith(f"{ENGINES}/")}
    if not own or not engines:
        raise InputError(f"{folder / SUMS} lists no {ENGINES if own else KIT}, which run.sh does: run run.sh again")
    if own != digest(kit.folder / KIT).sha256:
        raise InputError(f"{folder} was made by another kit than {kit.folder}: its {KIT} had SHA-256 {own[:12]}…")
    expected = {name.removeprefix(f"{OUTPUTS}/"): value for name, value in known.items() if name not in engines}
    there = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {SUMS, ".kit"}
    }
    if missing := sorted(expected.keys() - there.keys()):
        raise InputError(f"{folder} lacks {missing[0]}, which {SUMS} lists: bring the whole folder back")
    if added := sorted(there.keys() - expected.keys()):
        raise InputError(f"{folder} holds {added[0]}, which {SUMS} does not list: run run.sh again")
    for name, path in there.items():
        found = digest(path).sha256
        if found != expected[name]:
            raise InputError(
                f"{path} was changed since run.sh wrote it: SHA-256 {found[:12]}…, expected {expected[name][:12]}…: "
                "run run.sh again, and bring the folder back as it is"
            )
    return {name.removeprefix(f"{ENGINES}/"): value for name, value in engines.items()}


def _read_sums(folder: Path) -> dict[str, str]:
    path, known = folder / SUMS, {}
    if path.stat().st_size > _LARGEST_LOG:
        raise InputError(f"{path} is larger than {_LARGEST_LOG} bytes: run.sh did not write it")
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            raise InputError(f"{path} holds a line that is no digest ({line[:60]!r}): run run.sh again")
        known[found[2].removeprefix("./")] = found[1]
    return known


def _speeds(folder: Path, backend: KitBackend) -> tuple[dict[int, float], tuple[str, ...]]:
    """Images per second for each batch, from logs, of several sizes the slowest; and the logs that tell none."""
    found: dict[int, float] = {}
    untimed = []
    for path in sorted(folder.glob("time_bs*")) + sorted(folder.glob(SUMMARY.format(batch="*"))):
        batch = _BATCH.match(path.name)
        if batch is None or path.stat().st_size > _LARGEST_LOG:
            continue
        if int(batch[1]) in found and path.suffix == ".json":
            continue  # what was timed by itself tells more than what was timed besides
        speed = _speed(path, int(batch[1]), backend)
        if speed is not None and not (np.isfinite(speed) and speed > 0):
            raise InputError(f"{path} tells {speed:g} images per second, which none runs: run run.sh again")
        if speed is None:
            untimed.append(path.name)
        else:
            found[int(batch[1])] = min(speed, found.get(int(batch[1]), speed))
    return found, tuple(untimed)


def _speed(log: Path, batch: int, backend: KitBackend) -> float | None:
    try:
        return backend.read_speed(log.read_text(encoding="utf-8", errors="replace"), batch)
    except InputError as error:
        raise InputError(f"{log} is of another run: {error}: run run.sh again") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{log} tells no time that can be read ({one_line(error):.80}): run run.sh again") from None


class OutputReader:
    """Reads the output of each input of a kit, and refuses what is none.

    Args:
        folder: Of the outputs for one number of images at once.
        kit: The kit that was run.
        recipe: How outputs are called and laid out.
        dtype: Of raw outputs; None: as the recipe says.
    """

    def __init__(self, folder: Path, kit: Kit, recipe: Recipe, dtype: str | None = None) -> None:
        self._folder, self._kit, self._recipe = folder, kit, recipe
        self._output = kit.manifest.outputs[0].name
        self._dtype = np.dtype(dtype or recipe.dtype).newbyteorder("<")
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    def read(self, number: int, expected: Sequence[int]) -> NDArray[np.float32]:
        """The output of an input.

        Args:
            number: Its place.
            expected: Shape (1, K, h, w).

        Returns:
            float32 of that shape.

        Raises:
            InputError: It is not there, has another size or type, or holds what is no number.
        """
        path = self.find(number)
        shape = tuple(expected)
        if self._recipe.layout == "nhwc":
            shape = (shape[0], *shape[2:], shape[1])
        values = self._values(path, shape)
        if self._recipe.layout == "nhwc":
            values = values.transpose(0, 3, 1, 2)
        found: NDArray[np.float32] = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(found).all():
            raise InputError(f"{path} holds NaN or infinity: the engine is broken, or the file")
        if (greatest := float(np.abs(found).max())) > _GREATEST:
            raise InputError(f"{path} holds {greatest:.1e}, which is no score: the engine is broken, or the file")
        return found

    def digests(self) -> str:
        """SHA-256 over all outputs' bytes, in the order of the inputs."""
        whole = hashlib.sha256()
        for number in range(len(self._kit.inputs)):
            whole.update(self.find(number).read_bytes())
        return whole.hexdigest()

    def find(self, number: int) -> Path:
        """The file with the output of an input.

        Args:
            number: The input's place.

        Raises:
            InputError: There is none, or there are two.
        """
        entry = self._kit.inputs[number]
        names = [
            pattern.format(stem=entry.stem, number=number, output=self._output)
            for pattern in (*self._recipe.results, "{stem}")
        ]
        every = [f"{name}{suffix}" for name in dict.fromkeys(names) for suffix in _SUFFIXES]
        there = [name for name in every if name in self._files]
        if len(there) > 1:
            raise InputError(
                f"{self._folder} holds {there[0]} and {there[1]}, both for {entry.file}: one is of another run; empty "
                "the folder, and run run.sh again"
            )
        if there:
            return self._files[there[0]]
        raise InputError(
            f"{self._folder} holds no output of {entry.file}, which would be called {names[0]}.bin, .npy or .txt; it "
            f"holds {len(self._files)} files of {len(self._kit.inputs)} that are expected"
        )

    def _values(self, path: Path, shape: tuple[int, ...]) -> NDArray[Any]:
        if path.suffix == ".npy":
            return _reshaped(path, _load(path), shape)
        if path.suffix == ".txt":
            return _reshaped(path, _text(path, int(np.prod(shape))), shape)
        size, wanted = path.stat().st_size, int(np.prod(shape)) * self._dtype.itemsize
        if size != wanted:
            raise InputError(f"{path} has {size} bytes, expected {wanted}: {_size_reason(size, wanted, self._dtype)}")
        values: NDArray[Any] = np.frombuffer(path.read_bytes(), self._dtype).reshape(shape)
        if reason := _type_reason(values):
            raise InputError(f"{path} has the size of {self._dtype.name}, but holds {reason}")
        return values


def _size_reason(size: int, wanted: int, dtype: np.dtype[Any]) -> str:
    if size * 2 == wanted and dtype.itemsize == 4:  # noqa: PLR2004
        return "half as many, as float16 has, or the file is cut off; --dtype float16 where it is meant"
    if size == 2 * wanted:
        return "twice as many, as a wider type or two images have"
    if size < wanted:
        return "it is cut off, or of another type or network"
    return "it is of another type or network"


def _type_reason(values: NDArray[Any]) -> str:
    """What bytes of the right number are, where they are no scores; nothing where they may be."""
    if values.dtype.itemsize != 4:  # noqa: PLR2004
        return ""
    with np.errstate(invalid="ignore"):
        sizes, other = (np.abs(each[each != 0]) for each in (values, values.byteswap()))
    numbers = sizes[~np.isnan(sizes)]  # negative whole numbers look like no numbers
    if numbers.size and numbers.max() < _LEAST:
        return "whole numbers, as int32 has: the output is of another type, labels perhaps"
    if not (sizes < _GREATEST).all() and ((other > _LEAST) & (other < _GREATEST)).all():
        return "numbers whose bytes are in another order"
    return ""


def _load(path: Path) -> NDArray[Any]:
    try:
        values: NDArray[Any] = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError, OverflowError, MemoryError, BadZipFile) as error:
        raise InputError(f"{path} cannot be read ({one_line(error)}): it is cut off or damaged") from None
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path} holds several arrays, expected one")
    if values.dtype.kind != "f":
        raise InputError(f"{path} holds {values.dtype}, expected floating-point scores: the output is of another type")
    return values


def _text(path: Path, count: int) -> NDArray[Any]:
    if path.stat().st_size > count * _MOST_TEXT:
        raise InputError(f"{path} is too long for {count} numbers")
    try:
        return np.array(path.read_text(encoding="ascii").split(), np.float32)
    except ValueError:
        raise InputError(f"{path} holds what is no number") from None


def _reshaped(path: Path, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if values.size != int(np.prod(shape)) or (values.ndim == len(shape) and values.shape != shape):
        raise InputError(f"{path} holds {values.shape} values, expected {shape}: it is cut off, or of another network")
    sides, wanted = ([side for side in sizes if side > 1] for sizes in (values.shape, shape))
    if sides != wanted and sorted(sides) == sorted(wanted):
        raise InputError(f"{path} holds {values.shape} values, expected {shape}: its axes are in another order")
    return values.reshape(shape)
