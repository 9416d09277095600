"""Which windows a raster is seen through, and what each says of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from segship.core.errors import InputError, SizeError, UnsupportedError
from segship.core.spec import Slide
from segship.vision import tiling
from segship.vision.preprocess import inverse_steps, prepared_size
from segship.vision.turns import Turn
from segship.vision.upsample import Step

if TYPE_CHECKING:
    from segship.core.augmentation import View
    from segship.core.manifest import Manifest
    from segship.core.spec import ModelSpec, Padding
    from segship.vision.mosaic import Blend, Windows

__all__ = ["SceneOptions", "ScenePlan", "plan_scene"]

_SEEN_WHOLE = 2**22  # pixels up to which a network without windows sees a raster at once
_SIDE = 1024  # of a window that nobody asked for
_OVERLAP = 4  # a window overlaps the next by this part of it


@dataclass(frozen=True)
class SceneOptions:
    """How a raster is seen.

    Attributes:
        window: (height, width) of a window in pixels of the raster, after ``scale``; None: the package's own.
        overlap: Pixels that a window shares with the next; None: the package's own, or a quarter of ``window``.
        blend: How overlapping windows are put together: ``"mean"``, ``"hann"`` or ``"center"``. None: the mean, or the
            nearest centre for engines that return labels.
        scale: What the raster is resized by, in place of the package's own resize rule.
        resolution: The same as metres a pixel on the ground.
        bands: The bands to see, from 1 on; None: all, or those that a photograph has.
        remote: Let GDAL read from other machines.
    """

    window: tuple[int, int] | None = None
    overlap: int | None = None
    blend: Blend | None = None
    scale: float | None = None
    resolution: float | None = None
    bands: tuple[int, ...] | None = None
    remote: bool = False

    def __post_init__(self) -> None:
        if self.scale is not None and self.resolution is not None:
            raise InputError("--scale and --resolution say the same: give one of them")
        for name, value in (("scale", self.scale), ("resolution", self.resolution)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value}: expected a number above zero")
        if self.blend not in (None, "mean", "hann", "center"):
            raise InputError(f"blend is {self.blend!r}: expected mean, hann or center")
        if self.window is not None and min(self.window) < 1:
            raise InputError(f"window is {self.window}: expected two numbers above zero")
        if self.overlap is not None and self.overlap < 0:
            raise InputError(f"overlap is {self.overlap}: expected 0 or more")


@dataclass(frozen=True)
class ScenePlan:
    """The windows over a raster.

    Attributes:
        spec: What prepares one window.
        size: (height, width) of the raster.
        seen: The same after ``scale``.
        windows: Over the raster as it is seen, and turned.
        within: From a window's logits to its pixels; empty: one resize.
        steps: From the raster as it is seen to the raster, both turned.
        blend: How windows are put together.
        words: All this for people.
        turn: How the raster is turned and flipped.
        flip_before: Where windows are images: how many steps of their geometry come after the flip.
    """

    spec: ModelSpec
    size: tuple[int, int]
    seen: tuple[int, int]
    windows: Windows
    within: tuple[Step, ...]
    steps: tuple[Step, ...]
    blend: Blend
    words: str
    turn: Turn
    flip_before: int


def plan_scene(
    manifest: Manifest,
    size: tuple[int, int],
    options: SceneOptions,
    metres: float | None = None,
    view: tuple[View, Padding | None] | None = None,
) -> ScenePlan:
    """Lay windows over a raster.

    Args:
        manifest: Of the package.
        size: (height, width) of the raster.
        options: How it is seen.
        metres: Length of its pixels' sides on the ground, where that is known.
        view: A view of test-time augmentation, and how the network's input is padded in those that resize.

    Raises:
        InputError: The package's resize rule is not meant for rasters, or options contradict each other.
        SizeError: The network cannot take the windows.
        UnsupportedError: The engine returns labels, and a mean of scores is asked for.
    """
    spec, scale = manifest.spec, _scale(options, metres)
    spec.require_common("Prediction of rasters by windows")
    if scale is not None:
        spec = spec.model_copy(update={"geometry": ()})
    seen = size if scale is None else (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    turn = Turn() if view is None else Turn(view[0].turns, view[0].flip)
    if view is not None and view[0].geometry is not None:
        _require_rule(view[0], scale)
    blend = _blend(manifest, options)
    windowed = _own if spec.slide is not None and options.window is None else _as_images
    spec, windows, within, steps = windowed(manifest, spec, turn.size(seen), options, view)
    words = f"{len(windows)} window{'s' * (len(windows) > 1)} of {windows.window[0]}x{windows.window[1]}"
    words += f", {_shared(windows)} px shared, blend {blend}" if len(windows) > 1 else ""
    words += "" if seen == size else f", the raster resized to {seen[0]}x{seen[1]}"
    inner = prepared_size(spec, *windows.window) if within else windows.window
    words += "" if inner == windows.window else f", each prepared as {inner[0]}x{inner[1]} by the network's own rule"
    steps = (*steps, Step(turn.size(size)))
    before = 0 if view is None else view[0].flip_before
    return ScenePlan(spec, size, seen, windows, within, steps, blend, words, turn, before)


def _require_rule(view: View, scale: float | None) -> None:
    """Refuse a view that varies a resize rule which is not to be followed."""
    if scale is not None and view.geometry:
        raise InputError(
            "--scale and --resolution stand in place of the network's own resize rule, which this test-time "
            "augmentation varies: leave one of the two out"
        )


def _shared(windows: Windows) -> int:
    """Fewest pixels that a window has in common with the next."""
    gaps = [
        window - (after - before)
        for starts, window in zip((windows.tops, windows.lefts), windows.window, strict=True)
        for before, after in pairwise(starts)
    ]
    return min(gaps)


def _scale(options: SceneOptions, metres: float | None) -> float | None:
    if options.resolution is None:
        return options.scale
    if metres is None:
        raise InputError("--resolution needs a raster that says how large its pixels are on the ground: give --scale")
    return metres / options.resolution


def _blend(manifest: Manifest, options: SceneOptions) -> Blend:
    decided = manifest.outputs[0].is_whole
    if decided and options.blend in ("mean", "hann"):
        raise UnsupportedError(
            f"this engine returns labels, of which there is no {options.blend}: take --blend center, or export the "
            "network without its postprocess"
        )
    return options.blend or ("center" if decided else "mean")


def _own(
    manifest: Manifest,
    spec: ModelSpec,
    seen: tuple[int, int],
    options: SceneOptions,
    view: tuple[View, Padding | None] | None,
) -> tuple[ModelSpec, Windows, tuple[Step, ...], tuple[Step, ...]]:
    """The package's own slide, over the whole raster."""
    spec = _spec_of(view, spec, seen)
    for step in spec.geometry:
        if (made := step.plan(*seen).size) == seen:
            continue
        if view is not None and view[0].geometry is not None:
            raise InputError(
                f"this test-time augmentation resizes a raster of {seen[0]}x{seen[1]} to {made[0]}x{made[1]}, over "
                "which this network's windows slide: --window 1024 gives windows of the raster to each view; flips and "
                "d4 need none"
            )
        raise InputError(
            f"this network's own rule is to {step}, which makes {made[0]}x{made[1]} of a raster of "
            f"{seen[0]}x{seen[1]} (height x width): --scale 1 leaves its pixels as they are, --scale 0.5 halves "
            "it, --resolution 0.3 brings it to 0.3 m a pixel, --window 1024 gives windows to the rule"
        )
    slide = spec.slide
    assert slide is not None  # asked by the caller
    if options.overlap is not None:
        slide = _sliding(slide.crop, options.overlap)
    windows = tiling.plan(prepared_size(spec, *seen), slide, manifest.sizes)
    return spec, windows, (), inverse_steps(spec, seen)


def _as_images(
    manifest: Manifest,
    spec: ModelSpec,
    seen: tuple[int, int],
    options: SceneOptions,
    view: tuple[View, Padding | None] | None,
) -> tuple[ModelSpec, Windows, tuple[Step, ...], tuple[Step, ...]]:
    """Windows that are images of their own to the network."""
    spec = spec.model_copy(update={"slide": None})
    window = options.window or _usual_window(manifest, spec, seen)
    overlap = min(window) // _OVERLAP if options.overlap is None else options.overlap
    windows = tiling.plan(seen, _sliding(window, overlap))
    spec = _spec_of(view, spec, windows.window)
    height, width = prepared_size(spec, *windows.window)
    if not manifest.sizes.allows(height, width):
        raise SizeError(
            f"{'' if view is None else 'test-time augmentation: '}windows of {windows.window[0]}x{windows.window[1]} "
            f"become {height}x{width} pixels, this network takes {manifest.sizes}: choose another --window"
        )
    return spec, windows, inverse_steps(spec, windows.window), (Step(seen),)


def _spec_of(view: tuple[View, Padding | None] | None, spec: ModelSpec, size: tuple[int, int]) -> ModelSpec:
    return spec if view is None else view[0].spec_for(spec, size, view[1])


def _sliding(window: tuple[int, int], overlap: int) -> Slide:
    if overlap >= min(window):
        raise InputError(f"an overlap of {overlap} leaves nothing of a window of {window[0]}x{window[1]}: make it less")
    return Slide(crop=window, stride=(window[0] - overlap, window[1] - overlap))


def _usual_window(manifest: Manifest, spec: ModelSpec, seen: tuple[int, int]) -> tuple[int, int]:
    """The whole raster where it is small, else what the network is made for."""
    if manifest.sizes.fixed is not None and prepared_size(spec, *manifest.sizes.fixed) == manifest.sizes.fixed:
        return manifest.sizes.fixed
    if seen[0] * seen[1] <= _SEEN_WHOLE and manifest.sizes.allows(*prepared_size(spec, *seen)):
        return seen
    usual = manifest.sizes.nearest(_SIDE, _SIDE)
    made = prepared_size(spec, *usual)
    return made if prepared_size(spec, *made) == made else usual
