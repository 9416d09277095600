"""The value of a Python config, computed from its syntax tree; nothing of the file is run."""

from __future__ import annotations

import ast
import os
from collections import ChainMap
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from segship.reading.configs import operations
from segship.reading.configs.imports import (
    CONSTANTS,
    Imported,
    bound_names,
    call_imported,
    is_callable,
    path_attribute,
    path_method,
)
from segship.reading.configs.problems import Problem, RefusedError
from segship.reading.configs.syntax import assigned, describe, near, source
from segship.reading.tree import Inherited

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableMapping

    from segship.reading.limits import Allowance

__all__ = ["Evaluator"]

_BASES = "_base_"
_ENOUGH = 50  # problems; nobody reads more, and each takes time to describe
_CONSTANTS = (str, int, float, bytes, type(None))


class _Unknown:
    """The value of a name whose assignment was refused; what uses it is refused silently."""


class Evaluator:
    """Evaluates the statements of one config file.

    Args:
        names: Values the file starts with: ``_base_``, or what ``read_base()`` imports.
        allowance: What bounds the work.

    Attributes:
        names: The value of each name so far.
        imported: Names that import statements bind.
        problems: What was refused.
    """

    def __init__(self, names: dict[str, Any], allowance: Allowance) -> None:
        self.names: MutableMapping[str, Any] = names
        self.imported: set[str] = set()
        self.problems: list[Problem] = []
        self._allowance = allowance

    def run(self, statements: Iterable[ast.stmt]) -> bool:
        """Evaluate ``statements`` in order; what is refused is added to ``problems`` and the rest goes on.

        Returns:
            False: there are so many problems that the rest need not be evaluated.
        """
        for statement in statements:
            try:
                self._statement(statement)
            except RefusedError as refused:
                self.refuse(refused.problem)
                for name in assigned(statement):
                    self.names[name] = _Unknown()
            if len(self.problems) >= _ENOUGH:
                return False
        return True

    def refuse(self, problem: Problem | None) -> None:
        """Note ``problem``."""
        if problem is not None:
            self.problems.append(problem)

    def value(self, node: ast.expr) -> Any:
        """Return the value of the expression ``node``.

        Raises:
            RefusedError: It holds something that a config may not hold, or that has no value.
            TooMuchError: It would take too much work.
        """
        value = self._evaluate(node)
        if isinstance(value, Imported) and not value.is_value:
            raise RefusedError(node, f"`{source(node)}` has no value that is known without running it")
        return value

    def _evaluate(self, node: ast.expr) -> Any:
        """As `value`; or a part of the standard library, which only what follows it can make a value."""
        self._allowance.spend()
        evaluate = self._EXPRESSIONS.get(type(node))
        if evaluate is None:
            raise RefusedError(node, f"{describe(node)} is not allowed")
        try:
            return evaluate(self, node)
        except KeyError as error:
            raise RefusedError(node, f"there is no key {error}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise RefusedError(node, f"`{source(node)}` has no value: {error}") from None

    # ---- statements

    def _statement(self, node: ast.stmt) -> None:
        self._allowance.spend()
        evaluate = self._STATEMENTS.get(type(node))
        if evaluate is None:
            raise RefusedError(node, f"{describe(node)} is not allowed")
        evaluate(self, node)

    def _nothing(self, node: ast.Pass) -> None:
        pass

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        try:
            for name, imported in bound_names(node):
                self.names[name] = CONSTANTS.get(imported.name, imported)
                self.imported.add(name)
        except ValueError as error:
            raise RefusedError(node, f"{describe(node)} is not allowed: {error}") from None

    def _expression(self, node: ast.Expr) -> None:
        self.value(node.value)

    def _assignment(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self._assign(target, value)

    def _annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assign(node.target, self.value(node.value))

    def _deletion(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._delete(target)

    def _augmented(self, node: ast.AugAssign) -> None:
        """``x += [..]`` changes the list itself, which other names may share."""
        old, new = self.value(node.target), self.value(node.value)
        try:
            if isinstance(old, list) and isinstance(node.op, ast.Add):
                operations.call_method(old, "extend", [new], {}, self._allowance)
            else:
                old = operations.binary(type(node.op), old, new, self._allowance)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise RefusedError(node, f"`{source(node)}` cannot be done: {error}") from None
        self._assign(node.target, old)

    def _assign(self, target: ast.expr, value: Any) -> None:
        self._allowance.spend()
        if isinstance(target, ast.Name):
            self.names[target.id] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value)
        elif isinstance(target, (ast.Subscript, ast.Attribute)):
            container, key = self._place(target)
            self._allowance.weigh(value)
            try:
                container[key] = value
            except (TypeError, LookupError, ValueError) as error:
                raise RefusedError(target, f"`{source(target)}` cannot be set: {error}") from None
        else:
            raise RefusedError(target, f"assigning to {describe(target)} is not allowed")

    def _unpack(self, target: ast.Tuple | ast.List, value: Any) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != len(target.elts):
            raise RefusedError(target, f"`{source(target)}` takes {len(target.elts)} values")
        for part, item in zip(target.elts, value, strict=True):
            self._assign(part, item)

    def _delete(self, target: ast.expr) -> None:
        if isinstance(target, ast.Name):
            if target.id == "_base_" or self.names.pop(target.id, None) is None:
                raise RefusedError(target, f"there is no {target.id!r} to delete")
            return
        container, key = self._place(target)
        self._allowance.spend(len(container) // 64)
        try:
            del container[key]
        except (TypeError, LookupError) as error:
            raise RefusedError(target, f"`{source(target)}` cannot be deleted: {error}") from None

    def _place(self, target: ast.expr) -> tuple[Any, Any]:
        """The container and the key that ``x[key]`` or ``x.key`` means on the left of an assignment."""
        if isinstance(target, ast.Subscript) and not isinstance(target.slice, ast.Slice):
            container, key = self.value(target.value), self._key(target.slice)
            if isinstance(container, (dict, list)):
                return container, key
        if isinstance(target, ast.Attribute):
            container = self.value(target.value)
            if isinstance(container, Inherited):
                return container, target.attr
        raise RefusedError(target, f"`{source(target)}` cannot be set in a config")

    # ---- expressions

    def _key(self, node: ast.expr) -> Any:
        key = self.value(node)
        self._allowance.check_key(key)
        return key

    def _constant(self, node: ast.Constant) -> Any:
        if not isinstance(node.value, _CONSTANTS):
            raise RefusedError(node, f"{node.value!r} is not allowed")
        if isinstance(node.value, int):
            self._allowance.check_bits(node.value.bit_length())
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id not in self.names:
            if node.id in operations.ALLOWED_FUNCTIONS:
                raise RefusedError(node, f"the function {node.id} is not a value")
            hint = near(node.id, self.names) or (
                f" Values of base files are reached as {_BASES}.{node.id}." if _BASES in self.names else ""
            )
            raise RefusedError(node, f"{node.id[:60]!r} is not defined in this file.{hint}")
        value = self.names[node.id]
        if isinstance(value, _Unknown):
            raise RefusedError(node, None)
        return value

    def _list(self, node: ast.List) -> list[Any]:
        return list(self._elements(node.elts))

    def _tuple(self, node: ast.Tuple) -> tuple[Any, ...]:
        return tuple(self._elements(node.elts))

    def _set(self, node: ast.Set) -> Any:
        """A set, or the template ``{{_base_.key}}``, which is a set within a set to Python."""
        inner = node.elts[0]
        if len(node.elts) == 1 and isinstance(inner, ast.Set) and len(inner.elts) == 1:
            return self.value(inner.elts[0])
        items = list(self._elements(node.elts))
        self._allowance.weigh(items)
        return set(items)

    def _elements(self, nodes: Iterable[ast.expr]) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from operations.call_function("list", [self.value(node.value)], {}, self._allowance)
            else:
                yield self.value(node)

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                result.update(self._mapping(value))
            else:
                result[self._key(key)] = self.value(value)
        return result

    def _mapping(self, node: ast.expr) -> dict[Any, Any]:
        value = self.value(node)
        if not isinstance(value, dict):
            raise RefusedError(node, f"`**{source(node)}` is not a dictionary")
        self._allowance.spend(len(value))
        return value

    def _call(self, node: ast.Call) -> Any:
        target = node.func
        if isinstance(target, ast.Attribute):
            if target.attr.startswith("_"):
                raise RefusedError(node, f"calling `{source(target)}` is not allowed")
            receiver = self._evaluate(target.value)
            if isinstance(receiver, Imported):
                return self._call_imported(node, receiver.attribute(target.attr))
            if isinstance(receiver, PurePosixPath):
                return path_method(receiver, target.attr, self._arguments(node)[0], self._allowance)
            return operations.call_method(receiver, target.attr, *self._arguments(node), self._allowance)
        if isinstance(target, ast.Name) and isinstance(found := self.names.get(target.id), Imported):
            return self._call_imported(node, found)
        if not isinstance(target, ast.Name) or target.id not in operations.ALLOWED_FUNCTIONS or target.id in self.names:
            raise RefusedError(node, f"calling `{source(target)}` is not allowed")
        return operations.call_function(target.id, *self._arguments(node), self._allowance)

    def _call_imported(self, node: ast.Call, function: Imported) -> Any:
        if not is_callable(function.name):
            raise RefusedError(node, f"calling `{source(node.func)}` is not allowed")
        return call_imported(function.name, *self._arguments(node), self._allowance)

    def _arguments(self, node: ast.Call) -> tuple[list[Any], dict[str, Any]]:
        named: dict[str, Any] = {}
        for keyword in node.keywords:
            values = self._mapping(keyword.value) if keyword.arg is None else {keyword.arg: self.value(keyword.value)}
            if twice := named.keys() & values.keys():
                raise RefusedError(node, f"the keyword {min(map(str, twice))!r} is given twice")
            if not all(isinstance(key, str) for key in values):
                raise RefusedError(node, "keywords must be strings")
            named.update(values)
        return list(self._elements(node.args)), named

    def _attribute(self, node: ast.Attribute) -> Any:
        value = self._evaluate(node.value)
        if isinstance(value, Imported) and not node.attr.startswith("_"):
            attribute = value.attribute(node.attr)
            return CONSTANTS.get(attribute.name, attribute)
        if isinstance(value, PurePosixPath):
            return path_attribute(value, node.attr)
        if node.attr.startswith("__") or not isinstance(value, Inherited):
            raise RefusedError(node, f"the attribute {node.attr!r} of {type(value).__name__} is not allowed")
        if node.attr not in value:
            raise RefusedError(node, f"`{source(node)}` does not exist.{near(node.attr, map(str, value))}")
        return value[node.attr]

    def _subscript(self, node: ast.Subscript) -> Any:
        value = self._evaluate(node.value)
        if value == CONSTANTS["os.environ"]:
            return os.environ[str(self.value(node.slice))]
        if not isinstance(value, (dict, list, tuple, str, range)):
            raise RefusedError(node, f"{type(value).__name__} cannot be indexed")
        if isinstance(node.slice, ast.Slice):
            if not isinstance(value, (list, tuple, str)):
                raise RefusedError(node, f"{type(value).__name__} cannot be sliced")
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            self._allowance.spend(len(value))
            return value[slice(*(None if part is None else self.value(part) for part in parts))]
        return value[self._key(node.slice)]

    def _binary(self, node: ast.BinOp) -> Any:
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Div) and (isinstance(left, PurePosixPath) or isinstance(right, PurePosixPath)):
            return call_imported("pathlib.Path", [left, right], {}, self._allowance)
        return operations.binary(type(node.op), left, right, self._allowance)

    def _unary(self, node: ast.UnaryOp) -> Any:
        return operations.unary(type(node.op), self.value(node.operand))

    def _boolean(self, node: ast.BoolOp) -> Any:
        stops_at = isinstance(node.op, ast.Or)
        value: Any = not stops_at
        for operand in node.values:
            value = self.value(operand)
            if bool(value) is stops_at:
                break
        return value

    def _comparison(self, node: ast.Compare) -> bool:
        left = self.value(node.left)
        for kind, operand in zip(node.ops, node.comparators, strict=True):
            right = self.value(operand)
            if not operations.compare(type(kind), left, right, self._allowance):
                return False
            left = right
        return True

    def _choice(self, node: ast.IfExp) -> Any:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _text(self, node: ast.JoinedStr) -> str:
        parts = [str(self.value(part)) for part in node.values]
        self._allowance.spend(sum(map(len, parts)))
        return "".join(parts)

    def _formatted(self, node: ast.FormattedValue) -> str:
        spec = "" if node.format_spec is None else str(self.value(node.format_spec))
        return operations.format_value(self.value(node.value), node.conversion, spec, self._allowance)

    def _list_comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> list[Any]:
        return self._collect(node.generators, lambda: self.value(node.elt))

    def _set_comprehension(self, node: ast.SetComp) -> set[Any]:
        return set(self._collect(node.generators, lambda: self._key(node.elt)))

    def _dict_comprehension(self, node: ast.DictComp) -> dict[Any, Any]:
        return dict(self._collect(node.generators, lambda: (self._key(node.key), self.value(node.value))))

    def _collect(self, generators: list[ast.comprehension], make: Callable[[], Any]) -> list[Any]:
        """What ``make`` gives for each combination of ``generators``; their names are gone afterwards."""
        outside = self.names
        self.names = ChainMap({}, outside)
        made: list[Any] = []
        try:
            self._loop(generators, lambda: made.append(make()))
        finally:
            self.names = outside
        return made

    def _loop(self, generators: list[ast.comprehension], body: Callable[[], None]) -> None:
        if not generators:
            body()
            return
        first, *others = generators
        for item in operations.call_function("list", [self.value(first.iter)], {}, self._allowance):
            self._assign(first.target, item)
            if all(self.value(condition) for condition in first.ifs):
                self._loop(others, body)

    _EXPRESSIONS: ClassVar[dict[type[ast.expr], Callable[[Any, Any], Any]]] = {
        ast.Constant: _constant,
        ast.Name: _name,
        ast.List: _list,
        ast.Tuple: _tuple,
        ast.Set: _set,
        ast.Dict: _dict,
        ast.Call: _call,
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.BinOp: _binary,
        ast.UnaryOp: _unary,
        ast.BoolOp: _boolean,
        ast.Compare: _comparison,
        ast.IfExp: _choice,
        ast.JoinedStr: _text,
        ast.FormattedValue: _formatted,
        ast.ListComp: _list_comprehension,
        ast.GeneratorExp: _list_comprehension,
        ast.SetComp: _set_comprehension,
        ast.DictComp: _dict_comprehension,
    }
    _STATEMENTS: ClassVar[dict[type[ast.stmt], Callable[[Any, Any], None]]] = {
        ast.Assign: _assignment,
        ast.AnnAssign: _annotated,
        ast.AugAssign: _augmented,
        ast.Expr: _expression,
        ast.Delete: _deletion,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.Pass: _nothing,
    }
