"""MMSegmentation configs (1.x and 0.x), read without running them.

A config is a Python file of assignments. Here its syntax tree is evaluated: literals, ``dict()``, names, indexing,
arithmetic, comprehensions, f-strings, a list of harmless functions and methods, imported names as text, paths, base
files (``_base_``, ``{{_base_.key}}``, ``with read_base()``), templates like ``{{ fileDirname }}``. The result equals
what ``mmengine.Config.fromfile`` gives. Whatever else a file holds is an error that names the line. JSON configs are
read too.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from segship.core.errors import ConfigError
from segship.reading.configs.evaluator import Evaluator
from segship.reading.configs.imports import Imported
from segship.reading.configs.problems import Problem, RefusedError
from segship.reading.limits import Allowance, TooMuchError
from segship.reading.options import merge_options
from segship.reading.tree import Inherited, merge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Config", "read_config"]

_BASES = "_base_"
_MAXIMUM_BYTES = 2**20
_FILE_COST = 1000
_SHOWN = 5
# Templates are short, and are found before they are read: one pattern for both takes quadratic time on long ones.
_TEMPLATE = re.compile(r"\{\{(?!\{)([^\n]{0,300}?)\}\}")
_ENVIRONMENT = re.compile(r"['\"]?\s*\$(\w+)\s*:\s*(\S*?)\s*['\"]?")
_HINT = "configs are read, not run"
_WAY_OUT = f"{_HINT}: write the values out, or use the config that training wrote to its work directory (work_dirs)"


@dataclass(frozen=True)
class Config:
    """A config with its bases and overrides merged.

    Attributes:
        path: The file.
        values: Its values: plain dictionaries, lists, tuples, strings and numbers.
        files: All files that were read, the config first.
    """

    path: Path
    values: dict[str, Any]
    files: tuple[Path, ...]


def read_config(path: Path, options: Mapping[str, Any] | Sequence[str] | None = None) -> Config:
    """Read the config at ``path`` and lay ``options`` over it.

    Args:
        path: A ``.py`` or ``.json`` file.
        options: Overrides: ``{"model.backbone.depth": 101}`` or ``["model.backbone.depth=101"]``.

    Raises:
        ConfigError: A file cannot be read statically, a base is missing, or an override does not fit.
    """
    reader = _Reader()
    try:
        values = reader.whole(path)
        if options:
            values = merge_options(values, options)
    except TooMuchError as error:
        raise ConfigError(f"{path}: {error}; {_HINT}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply; {_HINT}") from None
    return Config(path, values, tuple(reader.files))


class _Reader:
    """Reads one config and everything it builds on, within one allowance."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        self._allowance = Allowance()
        self._open: list[Path] = []
        self._imported: set[str] = set()

    def whole(self, path: Path) -> dict[str, Any]:
        """The values of the file at ``path``, merged with those of its bases, without the names that are imported."""
        return {
            key: _data(value)
            for key, value in self.read(path).items()
            if key not in self._imported or not isinstance(value, Imported)
        }

    def read(self, path: Path) -> dict[str, Any]:
        """As `whole`, with the names that are imported, which a file that builds on this one may use."""
        path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - as written: a link's target may lie elsewhere
        if path in self._open:
            chain = " -> ".join(file.name for file in (*self._open[self._open.index(path) :], path))
            raise ConfigError(f"{path}: the base files form a circle ({chain})")
        self._allowance.spend(_FILE_COST)
        text = _text(path)
        self.files.append(path) if path not in self.files else None
        self._open.append(path)
        values = self._json(path, text) if path.suffix == ".json" else self._python(path, text)
        self._open.pop()
        return values

    def _json(self, path: Path, text: str) -> dict[str, Any]:
        try:
            values = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from None
        if not isinstance(values, dict):
            raise ConfigError(f"{path} holds a {type(values).__name__}, not the keys of a config")
        self._allowance.weigh(values)
        bases = self._bases(path, values.pop(_BASES, []), 1)
        return dict(merge(_own(values), bases))

    def _python(self, path: Path, text: str) -> dict[str, Any]:
        statements = _parse(path, text)
        evaluator = Evaluator({"__file__": path.as_posix()}, self._allowance)
        bases = Inherited()
        if found := _bases_of(statements):
            try:
                bases = self._bases(path, evaluator.value(found.value), found.lineno)
            except RefusedError as refused:
                evaluator.refuse(refused.problem)
        if found or not any(map(_is_read_base, statements)):
            evaluator.names[_BASES] = bases
        for statement in statements:
            if isinstance(statement, ast.With) and _is_read_base(statement):
                for inner in statement.body:
                    self._import_base(path, inner, evaluator)
            elif not _bases_of([statement]) and not evaluator.run([statement]):
                break
        _raise_problems(path, evaluator.problems)
        self._imported |= evaluator.imported
        evaluator.names.pop(_BASES, None)
        values = dict(evaluator.names)
        self._allowance.weigh(values)
        return dict(merge(_own(values), bases))

    def _bases(self, path: Path, names: Any, line: int) -> Inherited:
        """The files that ``_base_`` of the file at ``path`` names, joined."""
        joined = Inherited()
        for name in names if isinstance(names, (list, tuple)) else [names]:
            if not isinstance(name, str):
                raise ConfigError(f"{path.name}, line {line}: {_BASES} holds {name!r:.60}, not the name of a file")
            base = _base_path(path, name, line)
            scope = name.partition("::")[0] if "::" in name else None
            values = _scoped(self.whole(base), scope)
            if twice := joined.keys() & values.keys():
                raise ConfigError(f"{path.name}, line {line}: two base files both set {min(map(str, twice))!r}")
            for key, value in values.items():
                joined[key] = value
        return joined

    def _import_base(self, path: Path, statement: ast.stmt, evaluator: Evaluator) -> None:
        if not isinstance(statement, ast.ImportFrom) or not statement.module:
            evaluator.refuse(Problem(statement.lineno, "read_base() takes `from .file import *` only"))
            return
        values = Inherited(self.read(_module_path(path, statement)))
        for alias in statement.names:
            if alias.name == "*":
                evaluator.names.update(values)
            elif alias.name in values:
                evaluator.names[alias.asname or alias.name] = values[alias.name]
            else:
                evaluator.refuse(Problem(statement.lineno, f"{statement.module} sets no {alias.name!r}"))


def _text(path: Path) -> str:
    """The text of the file at ``path`` with its templates filled in."""
    if path.suffix not in {".py", ".json"}:
        raise ConfigError(f"{path} is not a config: expected a .py or .json file")
    try:
        if not path.is_file():
            raise ConfigError(f"{path} does not exist or is not a file")
        with path.open("rb") as file:
            data = file.read(_MAXIMUM_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(data) > _MAXIMUM_BYTES:
        raise ConfigError(f"{path} is larger than {_MAXIMUM_BYTES} bytes: not a config")
    try:
        return _fill_in(path, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None


def _fill_in(path: Path, text: str) -> str:
    """Replace ``{{ fileDirname }}`` and its kin, and ``{{$VARIABLE:default}}``, as mmengine does before parsing."""
    if "{{" not in text:
        return text
    variables = {
        "fileDirname": str(path.parent),
        "fileBasename": path.name,
        "fileBasenameNoExtension": path.stem,
        "fileExtname": path.suffix,
    }
    for name, value in variables.items():
        text = re.sub(r"\{\{\s*" + name + r"\s*\}\}", value.replace("\\", "/"), text)
    return _TEMPLATE.sub(lambda template: _variable(path, template), text)


def _variable(path: Path, template: re.Match[str]) -> str:
    """What ``{{$VARIABLE:default}}`` stands for; other templates stay as they are."""
    match = _ENVIRONMENT.fullmatch(template[1])
    if match is None:
        return template[0]
    value = os.environ.get(match[1], match[2])
    if not value:
        raise ConfigError(f"{path}: the environment variable {match[1]} is not set, and there is no default for it")
    return value


def _parse(path: Path, text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text).body
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}; the file is not Python") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not Python: {error}") from None
    except MemoryError:  # the parser's stack
        raise ConfigError(f"{path} is not Python: too deeply nested") from None


def _own(values: dict[str, Any]) -> dict[str, Any]:
    """The keys of a file that count, as a tree in which nothing is shared; imported names are left as they are."""
    return {
        key: value if isinstance(value, Imported) else _data(value)
        for key, value in values.items()
        if not _is_hidden(key)
    }


def _data(value: Any) -> Any:
    """A copy of ``value`` that is made of plain values: what is imported, and paths, as text."""
    if isinstance(value, dict):
        return {_data(key): _data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_data(item) for item in value)
    return str(value) if isinstance(value, (Imported, PurePosixPath)) else value


def _is_hidden(key: str) -> bool:
    return key.startswith("__") or key == "_deprecation_"


def _scoped(values: dict[str, Any], scope: str | None) -> dict[str, Any]:
    """Note in the outermost units of a base of another package that their names are that package's."""
    if scope is None:
        return values

    def visit(value: Any) -> Any:
        if isinstance(value, dict):
            if "type" in value:
                return {"_scope_": scope, **value}
            return {key: visit(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(visit(item) for item in value)
        return value

    return {key: visit(value) for key, value in values.items()}


def _bases_of(statements: list[ast.stmt]) -> ast.Assign | None:
    """The first assignment to ``_base_`` in ``statements``."""
    for statement in statements:
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if isinstance(target, ast.Name) and target.id == _BASES:
                return statement
    return None


def _is_read_base(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.With) or len(statement.items) != 1:
        return False
    call = statement.items[0].context_expr
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "read_base"


def _base_path(path: Path, name: str, line: int) -> Path:
    if "::" not in name:
        base = Path(os.path.normpath(path.parent / name))
        advice = (
            "keep the config in its place in MMSegmentation's configs folder, or use the config that training wrote "
            "to its work directory, which needs no other file"
        )
    else:
        package, _, inner = name.partition("::")
        base = _package_path(package, f"{path.name}, line {line}") / ".mim" / "configs" / inner
        advice = f"the installed {package} does not hold it"
    if not _is_file(base):
        raise ConfigError(f"{path.name}, line {line}: the base file {name!r} is not at {base}: {advice}")
    return base


def _is_file(path: Path) -> bool:
    """Whether a file is at ``path``; a name that the file system cannot hold is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _package_path(package: str, where: str) -> Path:
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{where}: the base file is of {package!r}, which is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def _module_path(path: Path, statement: ast.ImportFrom) -> Path:
    where = f"{path.name}, line {statement.lineno}"
    parts = (statement.module or "").split(".")
    if statement.level:
        folder = path.parent.joinpath(*[".."] * (statement.level - 1))
    else:
        folder = _package_path(parts.pop(0), where)
    module = Path(os.path.normpath(folder.joinpath(*parts).with_suffix(".py")))
    if not _is_file(module):
        raise ConfigError(f"{where}: the base file {statement.module!r} is not at {module}")
    return module


def _raise_problems(path: Path, problems: list[Problem]) -> None:
    if not problems:
        return
    first, *others = problems
    more = [f"line {problem.line}: {problem.text}" for problem in others[: _SHOWN - 1]]
    rest = [f"{len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    raise ConfigError("; ".join([f"{path}, line {first.line}: {first.text}", *more, *rest, _WAY_OUT]))
