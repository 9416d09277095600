"""Test-time augmentation as data: the views of an image whose probabilities are averaged.

A view is the image turned, resized and flipped in some way; its scores are turned back before they are added up.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from segship.core.errors import InputError
from segship.core.frozen import Frozen
from segship.core.geometry_steps import GeometryStep, Resize
from segship.core.spec import ModelSpec, Padding
from segship.core.validation import Bound

__all__ = ["Augmentation", "Flip", "ResizeByFactor", "View"]

Flip: TypeAlias = Literal["horizontal", "vertical"]

_LONGEST_SIDE = 2**15  # of `segship.core.frozen.Side`
_MOST_VIEWS = 256
_MOST_STEPS = 16


class ResizeByFactor(Frozen):
    """A resize to a multiple of the image's own size (``Resize(scale_factor=…)`` of mmcv 2, ``img_ratios`` of 0.x).

    Attributes:
        factor: Of both sides.
        keep_ratio: Whether the rounded size is only a bound, within which the aspect ratio is kept.
        rounding: ``"nearest"``, as mmcv 2 rounds the size, or ``"down"``, as 0.x does.
    """

    factor: Annotated[float, Bound(gt=0, le=64)]
    keep_ratio: bool = True
    rounding: Literal["nearest", "down"] = "nearest"

    def of(self, height: int, width: int) -> Resize:
        """Return the resize of an image of ``height`` x ``width`` pixels.

        Raises:
            InputError: The image would have no pixels left, or more than can be handled.
        """
        more = 0.5 if self.rounding == "nearest" else 0.0
        rows, columns = (int(side * self.factor + more) for side in (height, width))
        if not (min(rows, columns) >= 1 and max(rows, columns) <= _LONGEST_SIDE):
            raise InputError(
                f"test-time augmentation: {self.factor:g} times an image of {height}x{width} pixels is {rows}x{columns}"
            )
        return Resize(width=columns, height=rows, keep_ratio=self.keep_ratio)


class View(Frozen):
    """One way to look at an image.

    Attributes:
        geometry: Steps on the image in place of the package's own; None: the package's own.
        factor: A resize before these steps; with one, ``geometry`` is not None.
        turns: Quarter turns, counter-clockwise, before everything else.
        flip: Direction of the flip, or None.
        flip_before: How many of the steps of ``geometry`` come after the flip: those that pad.
    """

    geometry: Annotated[tuple[GeometryStep, ...], Bound(most=_MOST_STEPS)] | None = None
    factor: ResizeByFactor | None = None
    turns: Annotated[int, Bound(ge=0, le=3)] = 0
    flip: Flip | None = None
    flip_before: Annotated[int, Bound(ge=0, le=_MOST_STEPS)] = 0

    def spec_for(self, spec: ModelSpec, size: tuple[int, int], padding: Padding | None) -> ModelSpec:
        """Return what a network expects of this view.

        Args:
            spec: What it expects otherwise.
            size: (height, width) of the image, turned.
            padding: How its input is padded in views that are resized in another way, as of `Augmentation`.

        Raises:
            InputError: As for `ResizeByFactor.of`.
        """
        if self.geometry is None:
            return spec
        first = () if self.factor is None else (self.factor.of(*size),)
        return spec.model_copy(update={"geometry": (*first, *self.geometry), "padding": padding})


class Augmentation(Frozen):
    """The test-time augmentation of a network's own config.

    Attributes:
        views: All of them, in the order in which their probabilities are added up; none: the config has none.
        padding: How the network's input is padded in views that are resized in another way than the package does. What
            the package pads of its own accord, so that it takes images of all sizes, is not among it: the framework
            refuses such sizes.
        mirror: Ways in which the network's input, each window by itself, is flipped, in all combinations; the mean is
            of what the network returns, before softmax (nnU-Net). There are no views then.
    """

    views: Annotated[tuple[View, ...], Bound(most=_MOST_VIEWS)] = ()
    padding: Padding | None = None
    mirror: Annotated[tuple[Flip, ...], Bound(most=2)] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is no way to see an image but the usual one."""
        return not self.views and not self.mirror
