"""Target: backend, precision and shape, written ``openvino-int8_dynamic`` or ``onnxruntime_static-512x1024``."""

from __future__ import annotations

import re
from typing import Literal

from segship.core.errors import InputError
from segship.core.spec import Frozen

__all__ = ["Precision", "Shape", "Target"]

Precision = Literal["fp32", "fp16", "bf16", "int8"]

_TARGET = re.compile(r"(?P<backend>[a-z0-9]+)(?:-(?P<precision>fp32|fp16|bf16|int8))?_(?P<shape>(?:dynamic|static).*)")
_SHAPE = re.compile(r"dynamic(?:-(\d+)x(\d+)-(\d+)x(\d+))?|static-(\d+)x(\d+)")


class Shape(Frozen):
    """Which input sizes an engine takes, height before width everywhere.

    Attributes:
        minimum: Least (height, width), or None where there is no bound.
        maximum: Greatest (height, width), or None. Equal to ``minimum``: the shape is static.
    """

    minimum: tuple[int, int] | None = None
    maximum: tuple[int, int] | None = None

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read ``dynamic``, ``static-HxW`` or ``dynamic-HxW-HxW``.

        Raises:
            InputError: ``text`` is none of these.
        """
        match = _SHAPE.fullmatch(text)
        if match is None:
            raise InputError(
                f"{text!r} is not a shape: dynamic, static-512x1024 or dynamic-512x512-1024x2048 (height x width)"
            )
        if text == "dynamic":
            return cls()
        numbers = [int(group) for group in match.groups() if group is not None]
        low, high = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
        if min(low) < 1 or low[0] > high[0] or low[1] > high[1]:
            raise InputError(f"{text!r} is not a shape: sizes must be positive, the smaller one first")
        return cls(minimum=low, maximum=high)

    @property
    def static(self) -> tuple[int, int] | None:
        """The only (height, width), or None where the shape is dynamic."""
        return self.minimum if self.minimum == self.maximum else None

    def __str__(self) -> str:
        if self.minimum is None or self.maximum is None:
            return "dynamic"
        low, high = (f"{height}x{width}" for height, width in (self.minimum, self.maximum))
        return f"static-{low}" if low == high else f"dynamic-{low}-{high}"


class Target(Frozen):
    """One engine at one precision and shape.

    Attributes:
        backend: Name of a module of ``segship.backends``.
        precision: Arithmetic of the engine.
        shape: Input sizes it takes.
    """

    backend: str = "onnxruntime"
    precision: Precision = "fp32"
    shape: Shape = Shape()

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``backend[-precision]_shape``.

        Args:
            text: ``onnxruntime_dynamic``, ``openvino-int8_static-512x1024``, …

        Raises:
            InputError: ``text`` is not of that form.
        """
        match = _TARGET.fullmatch(text)
        if match is None:
            raise InputError(f"{text!r} is not a target: backend[-precision]_shape, as in openvino-int8_dynamic")
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
