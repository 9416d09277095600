"""The images that an export looks at: for verification and for calibration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from segship.core.errors import InputError
from segship.core.spec import ModelSpec, Resize, SizeRule
from segship.vision.bands import read_pixels, synthesize_bands
from segship.vision.decode import find_images, read_image
from segship.vision.preprocess import prepare

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["TRACED", "find_samples", "find_scenes", "first_window", "spread", "verification_inputs"]

_Item = TypeVar("_Item")

TRACED = (128, 192)
"""Size at which a network of free sizes is traced."""

_SCENES = Path(__file__).parents[1] / "assets" / "demo" / "images"
_MOST_SAMPLES = 16
_UNTRACED = ((129, 161), (160, 96))  # the first odd, where the network allows it; the second upright


def spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most ``most`` of ``items``, evenly spread over them.

    Args:
        items: In an order that means something, as file names have.
        most: At least 1.
    """
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def find_samples(images: Sequence[str | Path]) -> list[Path]:
    """The user's images, at most a few, spread over all that were given."""
    files = find_images([Path(image) for image in images]) if images else []
    return spread(files, _MOST_SAMPLES)


def find_scenes() -> list[NDArray[np.uint8]]:
    """Two bundled scenes, uint8 (H, W, 3), BGR."""
    return [read_image(path) for path in find_images([_SCENES])[:2]]


def verification_inputs(
    spec: ModelSpec, sizes: SizeRule, samples: Sequence[Path], *, batch: bool
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Real images: one at a size, two at once at another; then the user's at their own size.

    The graph was not traced at these sizes, nor with these batches, unless the network takes few sizes.

    Args:
        spec: What the network expects.
        sizes: Which sizes the package takes.
        samples: The user's images.
        batch: Whether the engine takes more than one image.

    Yields:
        A name, and float32 (N, C, H, W).

    Raises:
        InputError: An image becomes a size the package does not take.
    """
    scenes = [synthesize_bands(scene, spec) for scene in find_scenes()]
    traced = sizes.nearest(*TRACED)
    more = [side - least for side, least in zip(traced, TRACED, strict=True)]  # of a network that takes no small images
    others = [sizes.nearest(height + more[0], width + more[1]) for height, width in _UNTRACED]
    every = list(dict.fromkeys(others))
    for size in every[:1] if batch else every:
        yield "scene", _at(scenes[0], spec, size)
    if batch:
        yield "scenes", np.concatenate([_at(scene, spec, every[-1]) for scene in scenes])
    for file in samples:
        name = file.name
        tensor = first_window(prepare(read_pixels(file, spec), spec).tensor, spec)
        if not sizes.allows(*tensor.shape[2:]):
            raise InputError(f"{name} becomes {tensor.shape[2]}x{tensor.shape[3]}, this package takes {sizes}")
        yield name, tensor


def first_window(tensor: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """What the network sees first of an image: all of it, or the window at the top left.

    Args:
        tensor: float32 (N, C, H, W), prepared.
        spec: What the network expects.
    """
    if spec.slide is None:
        return tensor
    return np.ascontiguousarray(tensor[:, :, : spec.slide.crop[0], : spec.slide.crop[1]])


def _at(image: NDArray[Any], spec: ModelSpec, size: tuple[int, int]) -> NDArray[np.float32]:
    resize = Resize(height=size[0], width=size[1], keep_ratio=False)
    return prepare(image, spec.model_copy(update={"geometry": (resize,), "padding": None})).tensor
