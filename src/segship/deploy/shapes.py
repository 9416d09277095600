"""Which sizes a package takes, and what becomes of the preprocessing when its engine takes only one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.core.errors import SizeError
from segship.core.spec import Letterbox, ModelSpec, Pad, Padding, Resize, ResizeEdges, SizeRule
from segship.core.target import Shape

if TYPE_CHECKING:
    from segship.core.spec import Interpolation
    from segship.core.target import Target

__all__ = ["fit", "resolve"]


def resolve(target: Target, spec: ModelSpec, rule: SizeRule) -> Target:
    """The target with its size filled in, where it left that to the network.

    Args:
        target: As the user wrote it.
        spec: What the network expects.
        rule: Which sizes it takes.

    Raises:
        SizeError: The network's preprocessing makes no single size.
    """
    if not target.shape.own:
        return target
    size = rule.fixed
    if size is None and spec.slide is not None:
        size = spec.slide.crop
    if size is None:
        made = [(step.height, step.width) for step in spec.geometry if isinstance(step, Resize)]
        size = made[-1] if made else None
    if size is None:
        raise SizeError("this network's preprocessing makes no single size: name it, as in static-512x1024")
    return target.model_copy(update={"shape": Shape.only(*size)})


def fit(spec: ModelSpec, rule: SizeRule, shape: Shape) -> tuple[ModelSpec, SizeRule]:
    """The spec and the size rule of a package whose engine takes ``shape``.

    A static engine sees every image resized to its size, or window by window where the network slides.

    Args:
        spec: What the network expects.
        rule: Which sizes it takes.
        shape: Which sizes the engine takes.

    Raises:
        SizeError: The network does not take the engine's only size.
    """
    only = shape.static or rule.fixed
    if only is None:
        return _padded(spec, rule), rule
    if not rule.allows(*only):
        raise SizeError(f"the shape is {only[0]}x{only[1]}, this network takes {rule}")
    if spec.slide is None and _always_makes(spec, only):
        return spec, SizeRule(fixed=only)  # every image becomes that size as it is
    if spec.slide is None:
        resize = Resize(width=only[1], height=only[0], keep_ratio=False, interpolation=_interpolation(spec))
        return spec.model_copy(update={"geometry": (resize,), "padding": None}), SizeRule(fixed=only)
    if spec.slide.crop != only:
        crop = "x".join(map(str, spec.slide.crop))
        raise SizeError(
            f"the shape is {only[0]}x{only[1]}, but this network slides a window of {crop}: use static-{crop}"
        )
    padding = Padding(height=only[0], width=only[1])
    if spec.padding is not None:  # its value, and whether it lies on all sides, are the network's own
        padding = spec.padding.model_copy(update={"height": only[0], "width": only[1]})
    return spec.model_copy(update={"padding": padding}), SizeRule(fixed=only)


def _always_makes(spec: ModelSpec, only: tuple[int, int]) -> bool:
    """Whether images of every shape become ``only`` (height, width): put into a frame, or resized to fit and padded."""
    last = spec.geometry[-1] if spec.geometry else None
    if not isinstance(last, (Letterbox, Pad)) or (last.height, last.width) != only:
        return False
    before = spec.geometry[-2] if len(spec.geometry) > 1 else None
    fits = isinstance(before, ResizeEdges) and before.long is not None and before.long <= min(only)
    return isinstance(last, Letterbox) or fits


def _interpolation(spec: ModelSpec) -> Interpolation:
    """How the network's own preprocessing resizes."""
    return next((step.resampling for step in reversed(spec.geometry) if hasattr(step, "interpolation")), "bilinear")


def _padded(spec: ModelSpec, rule: SizeRule) -> ModelSpec:
    """Where the network wants multiples and the framework would refuse other sizes, pad to the next multiple."""
    if rule.multiple_of == 1 or spec.slide is not None or spec.padding is not None:
        return spec
    return spec.model_copy(update={"padding": Padding(multiple_of=rule.multiple_of)})
