"""Names that a config imports: of a unit, which is data, or of a harmless part of the standard library.

Nothing is imported. A name of another package stands for its text, ``"mmseg.models.CGNet"``; of the standard library
only what is listed here has a value, and only on paths, environment variables and numbers that the config knows.
"""

from __future__ import annotations

import ast
import copy
import math
import os
import posixpath
import sys
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from segship.reading.limits import Allowance

__all__ = ["CONSTANTS", "Imported", "bound_names", "call_imported", "is_callable", "path_attribute", "path_method"]

_LONGEST_NAME = 200
_LONGEST_PATH = 4096


@dataclass(frozen=True)
class Imported:
    """What an import statement binds a name to.

    Attributes:
        name: Its name with those of its packages: ``"torch.nn.SyncBatchNorm"``.
    """

    name: str

    def __str__(self) -> str:
        return self.name

    def attribute(self, name: str) -> Imported:
        """Return what ``.name`` of it is.

        Raises:
            ValueError: The name would be longer than any real one.
        """
        return _imported(f"{self.name}.{name}")

    @property
    def is_value(self) -> bool:
        """Whether it may stand in a config: names of the standard library may not, since their values are not known."""
        return self.name.partition(".")[0] not in sys.stdlib_module_names


def bound_names(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Imported]]:
    """Yield each name that an import statement binds, and what to.

    Raises:
        ValueError: The names cannot be known: a star, or a file beside the config.
    """
    if isinstance(node, ast.Import):
        for alias in node.names:
            first = alias.name.partition(".")[0]
            yield alias.asname or first, _imported(alias.name if alias.asname else first)
        return
    if node.level:
        raise ValueError("files beside the config are imported within `with read_base():` only")
    for alias in node.names:
        if alias.name == "*":
            raise ValueError(f"which names `*` of {node.module} brings is not known without running it")
        yield alias.asname or alias.name, _imported(f"{node.module}.{alias.name}")


def _imported(name: str) -> Imported:
    if len(name) > _LONGEST_NAME:
        raise ValueError(f"a name of more than {_LONGEST_NAME} characters")
    return Imported(name)


CONSTANTS: Mapping[str, Any] = {
    "math.inf": math.inf,
    "math.pi": math.pi,
    "os.environ": Imported("os.environ"),
    "os.path": Imported("os.path"),
    "os.path.sep": "/",
    "os.sep": "/",
    "pathlib.Path": Imported("pathlib.Path"),
}
"""What attributes of the standard library are. Paths are written with slashes, which every system reads."""


def _text(value: Any) -> str:
    """A path as text.

    Raises:
        TypeError: It is none.
        ValueError: It is longer than any real one.
    """
    if not isinstance(value, (str, PurePosixPath)):
        raise TypeError(f"a path is text, not {type(value).__name__}")
    text = str(value)
    if len(text) > _LONGEST_PATH:
        raise ValueError(f"a path of more than {_LONGEST_PATH} characters")
    return text


def _path(*parts: Any) -> PurePosixPath:
    return PurePosixPath(_text(posixpath.join("", *map(_text, parts))))


def _environment(name: str, default: Any = None) -> Any:
    return os.environ.get(name, default)


def _getenv(name: str, default: Any = None) -> Any:
    return _environment(name, default)


def _absolute(path: Any) -> str:
    return _text(os.path.abspath(_text(path)).replace(os.sep, "/"))  # noqa: PTH100 - links are not followed


_PATH_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abspath": _absolute,
    "basename": lambda path: posixpath.basename(_text(path)),
    "dirname": lambda path: posixpath.dirname(_text(path)),
    "expanduser": lambda path: os.path.expanduser(_text(path)),  # noqa: PTH111
    "join": lambda *parts: _text(posixpath.join(*map(_text, parts))),
    "normpath": lambda path: posixpath.normpath(_text(path)),
    "realpath": _absolute,
    "split": lambda path: posixpath.split(_text(path)),
    "splitext": lambda path: posixpath.splitext(_text(path)),
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    **{f"os.path.{name}": function for name, function in _PATH_FUNCTIONS.items()},
    "copy.copy": copy.copy,
    "copy.deepcopy": copy.deepcopy,
    "math.ceil": math.ceil,
    "math.floor": math.floor,
    "math.sqrt": math.sqrt,
    "os.environ.get": _environment,
    "os.getcwd": lambda: os.getcwd().replace(os.sep, "/"),  # noqa: PTH109
    "os.getenv": _getenv,
    "pathlib.Path": _path,
}
_PATH_ATTRIBUTES = frozenset({"name", "parent", "stem", "suffix"})
_PATH_METHODS: Mapping[str, Callable[..., Any]] = {
    "absolute": lambda path: _path(_absolute(path)),
    "as_posix": str,
    "expanduser": lambda path: _path(_PATH_FUNCTIONS["expanduser"](path)),
    "joinpath": _path,
    "resolve": lambda path: _path(_absolute(path)),
    "with_name": lambda path, name: path.with_name(_text(name)),
    "with_suffix": lambda path, suffix: path.with_suffix(_text(suffix)),
}


def is_callable(name: str) -> bool:
    """Return whether the function of the standard library called ``name`` may be called."""
    return name in _FUNCTIONS


def call_imported(name: str, arguments: list[Any], named: dict[str, Any], allowance: Allowance) -> Any:
    """Call a function that `is_callable`.

    Raises:
        TooMuchError: The arguments are too large.
        TypeError, ValueError: As Python raises them, or an argument is no path.
    """
    allowance.weigh(arguments)
    allowance.spend(_size(arguments))
    return _FUNCTIONS[name](*arguments, **named)


def path_attribute(path: PurePosixPath, name: str) -> Any:
    """Return ``path.name``.

    Raises:
        TypeError: A config may not ask for that.
    """
    if name not in _PATH_ATTRIBUTES:
        raise TypeError(f"a Path has no {name!r} for configs (those it has: {', '.join(sorted(_PATH_ATTRIBUTES))})")
    return getattr(path, name)


def path_method(path: PurePosixPath, name: str, arguments: list[Any], allowance: Allowance) -> Any:
    """Call a method of a path.

    Raises:
        TypeError, ValueError: It is none that a config may call, or an argument is no path.
    """
    method = _PATH_METHODS.get(name)
    if method is None:
        raise TypeError(f"a Path has no method {name!r} for configs (those it has: {', '.join(_PATH_METHODS)})")
    allowance.spend(_size(arguments) + len(str(path)))
    return method(path, *arguments)


def _size(arguments: list[Any]) -> int:
    return sum(len(str(value)) for value in arguments if isinstance(value, (str, PurePosixPath)))
