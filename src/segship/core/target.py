"""Target: backend, precision and shape, written ``openvino-int8_dynamic`` or ``onnxruntime_static-512x1024``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from segship.core import spellings
from segship.core.errors import InputError
from segship.core.frozen import Finite, Frozen, Name, Side, Words
from segship.core.validation import Bound

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Precision", "Shape", "Target"]

Precision = Literal["fp32", "fp16", "bf16", "int8"]

_TARGET = re.compile(
    r"(?P<backend>[a-z0-9]+(?:-[a-z]+)?)(?:-(?P<precision>fp32|fp16|bf16|int8))?_(?P<shape>(?:dynamic|static).*)"
)
_SHAPE = re.compile(r"(?P<kind>dynamic|static)(?:-(\d{1,9})x(\d{1,9}))?(?:-(\d{1,9})x(\d{1,9}))?")
_LARGEST = 2**15  # the bound of `Side`


_MOST_OPTIONS = 64  # engines have a handful
_Whole = Annotated[int, Bound(ge=-(2**63), le=2**63 - 1)]


class Shape(Frozen):
    """The input sizes that an engine takes, height before width everywhere.

    Attributes:
        minimum: Least (height, width), or None where there is no bound.
        maximum: Greatest (height, width), or None. Equal to ``minimum``: the shape is static.
        typical: The (height, width) that a dynamic engine is tuned for, or None.
        own: Static, at the one size that the network's own preprocessing makes; not known before the network is.
    """

    minimum: tuple[Side, Side] | None = None
    maximum: tuple[Side, Side] | None = None
    typical: tuple[Side, Side] | None = None
    own: bool = False

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read ``dynamic``, ``dynamic-HxW``, ``dynamic-HxW-HxW``, ``static`` or ``static-HxW``.

        Raises:
            InputError: ``text`` is none of these.
        """
        match = _SHAPE.fullmatch(text)
        numbers = [int(group) for group in match.groups()[1:] if group is not None] if match else []
        if match is None or (match["kind"] == "static" and len(numbers) > 2):  # noqa: PLR2004
            raise InputError(
                f"{text!r} is not a shape: dynamic, static, static-512x1024 or dynamic-512x512-1024x2048 "
                "(height x width)"
            )
        if not numbers:
            return cls(own=match["kind"] == "static")
        low, high = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
        _require_bounds(text, low, high)
        if match["kind"] == "dynamic" and len(numbers) == 2:  # noqa: PLR2004
            return cls(typical=low)
        return cls(minimum=low, maximum=high)

    @classmethod
    def only(cls, height: int, width: int) -> Shape:
        """Return the static shape of one size."""
        return cls(minimum=(height, width), maximum=(height, width))

    @property
    def static(self) -> tuple[int, int] | None:
        """The only (height, width), or None where the shape is dynamic or not known yet."""
        return self.minimum if self.minimum == self.maximum else None

    def __str__(self) -> str:
        if self.minimum is None or self.maximum is None:
            if self.typical is not None:
                return f"dynamic-{self.typical[0]}x{self.typical[1]}"
            return "static" if self.own else "dynamic"
        low, high = (f"{height}x{width}" for height, width in (self.minimum, self.maximum))
        return f"static-{low}" if low == high else f"dynamic-{low}-{high}"


def _require_bounds(text: str, low: tuple[int, int], high: tuple[int, int]) -> None:
    if min(low) < 1 or low[0] > high[0] or low[1] > high[1]:
        raise InputError(f"{text!r} is not a shape: sizes must be positive, the smaller one first")
    if max(high) > _LARGEST:
        raise InputError(f"{text!r} is not a shape: no side is longer than {_LARGEST} pixels")


class Target(Frozen):
    """One engine at one precision and shape.

    Attributes:
        backend: Name of a module of ``segship.backends``.
        precision: Arithmetic of the engine.
        shape: Input sizes it takes.
        options: Settings of the engine's own, by name, as its backend's ``INFO.options`` tells them.
    """

    backend: Name
    precision: Precision = "fp32"
    shape: Shape = Shape()
    options: Annotated[dict[Name, bool | _Whole | Finite | Words], Bound(most=_MOST_OPTIONS)] = {}

    @classmethod
    def _upgrade(cls, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Manifests of version 0.1 have a field for the only option there was."""
        if "workspace" not in data:
            return data
        rest = {key: value for key, value in data.items() if key != "workspace"}
        size = data["workspace"]
        return rest if size is None else rest | {"options": {"workspace": size}}

    def _omitted(self) -> tuple[str, ...]:
        """No options are left out, so that version 0.1 still reads the manifest."""
        return () if self.options else ("options",)

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``backend[-precision]_shape``, or the name of one of MMDeploy's deploy configs.

        Args:
            text: ``onnxruntime_dynamic``, ``openvino-int8_static-512x1024``,
                ``segmentation_tensorrt-fp16_dynamic-512x1024-2048x2048``, with or without folder and ``.py``. Only the
                name is read, never a file.

        Returns:
            The target; what ``text`` leaves out is fp32.

        Raises:
            InputError: ``text`` is not of that form.

        Examples:
            >>> from segship import Target
            >>> str(Target.parse("openvino-int8_static-512x1024"))
            'openvino-int8_static-512x1024'
        """
        match = _TARGET.fullmatch(spellings.translate(text))
        if match is None:
            whole = f"{text}_dynamic"
            meant = f". Did you mean {whole!r}?" if _TARGET.fullmatch(whole) else ""
            raise InputError(
                f"{text!r} is not a target: backend[-precision]_shape, as in openvino-int8_dynamic or "
                f"tensorrt-fp16_static-512x1024{spellings.examples()}{meant}"
            )
        return cls.model_validate(
            {
                "backend": match["backend"],
                "precision": match["precision"] or "fp32",
                "shape": Shape.parse(match["shape"]),
            }
        )

    def __str__(self) -> str:
        precision = "" if self.precision == "fp32" else f"-{self.precision}"
        return f"{self.backend}{precision}_{self.shape}"
