"""What tells of which run outputs are, besides their numbers: files of nobody, tools' own lists, equal files.

Digests say all of this better. Where they are missing, what can be seen is refused, and what can be suspected is noted.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.core.files import digest
from segship.kits.outputs import SUMMARY, OutputReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segship.core.kits import Recipe
    from segship.kits.kit import Kit
    from segship.kits.outputs import Results

__all__ = ["trace"]

_ARRAYS = {".bin", ".raw", ".dat", ".npy", ".npz"}
_NUMBERED = re.compile(r"(\d{5}|Result_\d+)(?!\d)")  # as inputs and their places are
_ALIKE = (
    "the outputs for {} and {} images at once are the same, byte for byte: the engines compute alike, or one folder "
    "was copied over the other"
)
_SECOND = 10**9  # nanoseconds; what has travelled in some archives has whole seconds


def trace(kit: Kit, recipe: Recipe, results: Results, chosen: Mapping[int, Path]) -> tuple[str, ...]:
    """Look for what shows that outputs are not all of one run of this kit.

    Args:
        kit: The kit that was run.
        recipe: How its outputs are called.
        results: What was brought back.
        chosen: The folders of it that are adopted.

    Returns:
        What can only be suspected, in sentences.

    Raises:
        InputError: A file is no input's output, the tool's own list is of other files, or one batch's outputs are
            copies of another's.
    """
    notes: list[str] = []
    for batch, folder in chosen.items():
        reader = OutputReader(folder, kit, recipe)
        files = [reader.find(number) for number in range(len(kit.inputs))]
        _require_listed(recipe, folder, batch, {path.stem for path in files})
        if results.sealed:
            continue  # run.sh wrote the digests after all this
        notes += _strays(folder, set(files))
        alike = [other for other, place in results.folders.items() if other != batch and _equal(folder, place, files)]
        notes += [_ALIKE.format(batch, other) for other in alike if other > batch or other not in chosen]
    return tuple(notes)


def _require_listed(recipe: Recipe, folder: Path, batch: int, stems: set[str]) -> None:
    """Hold the outputs against the tool's own list, which says what it wrote of which input, and where."""
    path = folder.with_name(SUMMARY.format(batch=batch))
    if recipe.written is None or not path.is_file():
        return
    for image, output in recipe.written(path.read_text(encoding="utf-8", errors="replace")):
        place = PurePosixPath(output)
        if place.parent.name != f"result_bs{batch}":
            raise InputError(f"{path} is of another run: it lists {output}, expected files of result_bs{batch}")
        if not place.stem.startswith(PurePosixPath(image).stem) or place.stem not in stems:
            raise InputError(f"{path} says that {image} gave {output}, which is not its output: run run.sh again")


def _strays(folder: Path, own: set[Path]) -> list[str]:
    """What else lies there: an output of no input is refused, anything else noted."""
    others = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in own]
    names = [path.relative_to(folder).as_posix() for path in others if not path.name.startswith(".")]
    if outputs := [name for name in names if _is_output(name)]:
        raise InputError(
            f"{folder} holds {outputs[0]}, which is no input's output: it is of another run or kit; take it away, or "
            "empty the folder and run run.sh again"
        )
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return [f"{folder.name} holds {names[0]}{more}, which was not looked at"] if names else []


def _is_output(name: str) -> bool:
    return PurePosixPath(name).suffix in _ARRAYS or _NUMBERED.match(name) is not None


def _equal(folder: Path, other: Path, files: Sequence[Path]) -> bool:
    """Whether all outputs are those of another batch, byte for byte; copies of them are refused."""
    equal = 0
    for path in files:
        twin = other / path.relative_to(folder)
        if not twin.is_file() or digest(path) != digest(twin):
            continue
        equal += 1
        if _is_copy(path, twin):
            raise InputError(
                f"{path} and {twin} are one file, copied: one is no result of its number of images at once; run run.sh "
                "again, and bring the folder back as it is"
            )
    return equal == len(files)


def _is_copy(path: Path, twin: Path) -> bool:
    """Whether two equal files are one, or were written in the same instant, which two runs never do."""
    first, second = path.stat(), twin.stat()
    instant = first.st_mtime_ns
    return path.samefile(twin) or (instant == second.st_mtime_ns and instant % _SECOND != 0)
