"""Which views of an image are averaged: what a package's config says, or what the user asks for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from segship.core.augmentation import Augmentation, ResizeByFactor, View
from segship.core.errors import InputError, SegshipError, validated
from segship.core.geometry_steps import Letterbox, Pad

if TYPE_CHECKING:
    from segship.core.geometry_steps import ImageStep
    from segship.core.spec import GeometryStep, ModelSpec

__all__ = ["OWN", "Tta", "find_augmentation", "is_augmentation"]

OWN = "config"
"""The text that stands for the augmentation of the network's own config."""

Tta: TypeAlias = str | bool | None
"""None or False: no augmentation; True or `OWN`: that of the config; else `flip`, `scales=…` and others."""

_PARTS = ("flip", "vflip", "d4", "scales=0.5,1.0,1.5")
_TEXT = re.compile(r"(flip|vflip|d4|scales)\b", re.IGNORECASE)
_LENGTHS = ("width", "height", "size", "max_size", "short", "long")  # of steps, in pixels
_MOST_SCALES = 32
_LEAST, _MOST = 1 / 64, 64.0


def is_augmentation(text: str) -> bool:
    """Return whether ``text`` is meant as the value of ``--tta``, rather than as the next argument."""
    return text == OWN or _TEXT.match(text) is not None


def find_augmentation(tta: Tta, spec: ModelSpec, own: Augmentation | None) -> Augmentation | None:
    """Return the views that are asked for.

    Args:
        tta: What the user says.
        spec: What the network expects.
        own: The augmentation of its config; None: not known.

    Returns:
        The views; None: no augmentation.

    Raises:
        InputError: The text is not understood, or the config has no augmentation.
    """
    if tta is None or tta is False:
        return None
    if tta is True or tta == OWN:
        if own is None or own.is_empty:
            raise InputError(
                "this network's config has no test-time augmentation (tta_pipeline or MultiScaleFlipAug) that is known "
                "here: say which, as --tta flip,scales=0.5,1.0,1.5 (in Python, tta='flip')"
            )
        return own
    if not isinstance(tta, str):
        raise InputError(f"tta is {tta!r:.80}: expected True, or a text as 'flip,scales=0.5,1.0,1.5'")
    flips, scales = _read(tta)
    padding = spec.padding if own is None else own.padding
    with validated(f"--tta {tta:.80}", InputError):
        geometries = [_scaled(spec, scale) for scale in scales]
        views = [_view(spec, *geometry, *flip) for geometry in geometries for flip in flips]
    return Augmentation(views=tuple(views), padding=padding)


def _read(text: str) -> tuple[list[tuple[int, str | None]], list[float]]:
    """``flip,scales=0.5,1`` as turns and flips, and scales."""
    ways, scales, numbers = {"": True}, [], False
    for part in text.lower().split(","):
        word = part.strip()
        if word.startswith("scales="):
            numbers, word = True, word.removeprefix("scales=")
        elif word in {"flip", "vflip", "d4"}:
            ways[word], numbers = True, False
            continue
        if not numbers:
            raise InputError(f"--tta {text:.80}: {word!r:.40} is none of {', '.join(_PARTS)}, joined by commas")
        scales.append(_scale(word, text))
    if len(scales) > _MOST_SCALES:
        raise InputError(f"--tta {text:.80}: {len(scales)} scales, at most {_MOST_SCALES} can be averaged")
    return _ways(ways), scales or [1.0]


def _ways(asked: dict[str, bool]) -> list[tuple[int, str | None]]:
    """Quarter turns and flips: d4 is all eight, each once."""
    if "d4" in asked:
        return [(turns, flip) for turns in range(4) for flip in (None, "horizontal")]
    flips = [("flip", "horizontal"), ("vflip", "vertical")]
    return [(0, None), *((0, flip) for word, flip in flips if word in asked)]


def _scale(word: str, text: str) -> float:
    try:
        scale = float(word)
    except ValueError:
        scale = 0.0
    if not _LEAST <= scale <= _MOST:
        raise InputError(f"--tta {text:.80}: {word!r:.40} is no scale: expected numbers of {_LEAST:.3g} to {_MOST:g}")
    return scale


def _scaled(spec: ModelSpec, scale: float) -> tuple[tuple[GeometryStep, ...] | None, ResizeByFactor | None]:
    """The package's geometry with its sizes times ``scale``; where it does not resize, the image's own size is."""
    if scale == 1:
        return None, None
    if any(isinstance(step, Letterbox) for step in spec.geometry):
        raise SegshipError("this network fits images into one frame: scales are not provided for it, flip is")
    steps = tuple(_scaled_step(step, scale) for step in spec.geometry)
    if steps == spec.geometry:
        return steps, ResizeByFactor(factor=scale)
    return steps, None


def _scaled_step(step: GeometryStep, scale: float) -> GeometryStep:
    if isinstance(step, Pad):
        return step
    lengths = {name: getattr(step, name, None) for name in _LENGTHS}
    scaled = {name: max(1, int(length * scale)) for name, length in lengths.items() if length is not None}
    return type(step).model_validate(step.model_dump() | scaled)


def _view(
    spec: ModelSpec,
    geometry: tuple[GeometryStep, ...] | None,
    factor: ResizeByFactor | None,
    turns: int,
    flip: str | None,
) -> View:
    steps = spec.geometry if geometry is None else geometry
    view = {"geometry": geometry, "factor": factor, "turns": turns, "flip": flip, "flip_before": _framed(steps)}
    return View.model_validate(view)


def _framed(steps: tuple[ImageStep, ...]) -> int:
    """How many steps there are from the first on that makes a margin, which a flip must not move."""
    first = next((place for place, step in enumerate(steps) if isinstance(step, (Pad, Letterbox))), len(steps))
    return len(steps) - first
