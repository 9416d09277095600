"""What the kinds of hostile inputs share: a case, values that no file should hold, and damage to bytes."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        title: What is hostile about it.
        write: Makes it in a folder; returns the path that is read.
    """

    title: str
    write: Callable[[Path], Path]


def of_bytes(title: str, name: str, data: bytes) -> Case:
    """A file of these bytes."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return Case(title, write)


def nested(depth: int, *, start: str = "[", end: str = "]") -> str:
    """Brackets within brackets."""
    return start * depth + end * depth


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**63), 10**9, 10**7, 10**400, 0.5, 1e-300, 1e308, float("nan"),
    float("inf"), "", "x", "9" * 5000, "a" * 300, "../../x", "/etc/passwd", "\x00", "\ud800", "[/red]", "{x}", "%s", [],
    [[]], [1, 2], ["x"] * 3, [None], {}, {"x": 1}, {"": {}}, [[[[[[[[[[1]]]]]]]]]], list(range(1000)),
)  # fmt: skip
"""What stands in the place of a value of a tree."""


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value within a tree of dictionaries and lists, the inner ones too."""
    if path:
        yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of ``tree`` with another value at ``path``."""
    twin = copy.deepcopy(tree)
    place = twin
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return twin


def without(tree: Any, path: tuple[Any, ...]) -> Any:
    """A copy of ``tree`` that lacks what is at ``path``."""
    twin = copy.deepcopy(tree)
    place = twin
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return twin


def mutations(tree: Any, count: int, seed: int = 0) -> Iterator[tuple[str, Any]]:
    """About ``count`` versions of a tree with one hostile value each, and every one that lacks a value."""
    for path in leaves(tree):
        yield f"without {'.'.join(map(str, path))}", without(tree, path)
    pairs = [(path, number) for path in leaves(tree) for number in range(len(VALUES))]
    random.Random(seed).shuffle(pairs)
    for path, number in pairs[:count]:
        yield f"{'.'.join(map(str, path))} is {VALUES[number]!r:.30}", changed(tree, path, VALUES[number])


def damaged(data: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """``count`` versions of a file that is cut off, has bytes flipped, taken out, doubled or filled with 255."""
    dice = random.Random(seed)
    for _ in range(count):
        kind, at = dice.choice(("cut", "flip", "flips", "gap", "twice", "full")), dice.randrange(len(data))
        length = dice.randrange(1, 9)
        middle = {
            "cut": b"",
            "flip": bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :],
            "flips": bytes(byte ^ dice.randrange(256) for byte in data[at : at + length]) + data[at + length :],
            "gap": data[at + length :],
            "twice": data[max(0, at - 64) : at] + data[at:],
            "full": b"\xff" * length + data[at + length :],
        }[kind]
        yield f"{kind} at {at}", data[:at] + middle
