"""The images that an export looks at: for verification and for calibration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import cv2
import numpy as np

from segship.core.errors import InputError
from segship.core.files import DEMO
from segship.verification.compare import Reference
from segship.vision.bands import read_pixels, synthesize_bands
from segship.vision.decode import read_image
from segship.vision.image_files import find_images
from segship.vision.preprocess import prepare, prepare_at, prepared_size
from segship.vision.upsample import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from segship.core.artifacts import Session
    from segship.core.plan import Plan
    from segship.core.spec import ModelSpec, SizeRule

__all__ = [
    "BUDGET",
    "TRACED",
    "Input",
    "find_scenes",
    "find_verification_images",
    "first_window",
    "references",
    "spread",
    "verification_inputs",
]

_Item = TypeVar("_Item")

BUDGET = 2**16
"""Most pixels of the bundled scene at the size that the network's own preprocessing makes, as 181x362. It makes the
export of UNet, the heaviest of the usual networks, 1.2 times as long; twice as many pixels make it 1.6 times."""

TRACED = (128, 192)
"""Size at which a network of free sizes is traced."""

_MOST_IMAGES = 16
_UNTRACED = ((129, 161), (160, 96))  # the first odd, where the network allows it; the second upright
_PICTURES = ((256, 512), (300, 401), (161, 225))  # for engines that prepare images or return labels themselves


def spread(items: Sequence[_Item], most: int) -> list[_Item]:
    """Choose at most ``most`` of ``items``, evenly spread over them.

    Args:
        items: In an order that means something, as file names have.
        most: At least 1.
    """
    if len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def find_verification_images(images: Sequence[str | Path]) -> list[Path]:
    """Find the user's images, at most a few, spread over all that were given."""
    files = find_images([Path(image) for image in images]) if images else []
    return spread(files, _MOST_IMAGES)


def find_scenes() -> list[NDArray[np.uint8]]:
    """Read two bundled scenes, uint8 (H, W, 3), BGR."""
    return [read_image(path) for path in find_images([DEMO / "images"])[:2]]


@dataclass(frozen=True, eq=False)
class Input:
    """One input of a verification.

    Attributes:
        name: Of the image, for the record.
        tensor: float32 (N, C, H, W): what the network is given.
        image: What the engine is given: the same, or uint8 (H, W, 3) RGB where it prepares images itself.
        steps: Resizes from the logits' size to that of the labels that are compared; empty: the logits' own size.
    """

    name: str
    tensor: NDArray[np.float32]
    image: NDArray[Any]
    steps: tuple[Step, ...] = ()


def references(network: Session, plan: Plan, images: Sequence[Path], *, batch: bool) -> list[Reference]:
    """Run the original network on all inputs that its engine will be compared on.

    Args:
        network: The original, as a session.
        plan: Of the export.
        images: The user's images.
        batch: Whether the engine takes more than one image at once.

    Raises:
        InputError: An image becomes a size that the engine does not take.
    """
    found = []
    for each in verification_inputs(plan, images, batch=batch):
        logits = network.run({"image": each.tensor})["logits"]
        found.append(Reference(each.name, each.image, logits, each.steps, each.tensor))
    return found


def verification_inputs(plan: Plan, images: Sequence[Path], *, batch: bool) -> Iterator[Input]:
    """Prepare real images: bundled scenes, then the user's at their own size.

    Scenes come one at a size, two at once at another, and one at the size that the network's own preprocessing makes,
    or at the largest below `BUDGET` pixels that the network takes. The graph was not traced at these sizes, nor with
    these batches, unless the network takes few sizes. Engines that do work on images themselves are given whole images
    of several sizes instead.

    Args:
        plan: Of the export.
        images: The user's images.
        batch: Whether the engine takes more than one image at once.

    Raises:
        InputError: An image becomes a size that the engine does not take.
    """
    if plan.embed:
        yield from _embedded_inputs(plan, images)
        return
    spec, sizes = plan.spec, plan.sizes
    scenes = [synthesize_bands(scene, spec) for scene in find_scenes()]
    small = _untraced(sizes)
    for size in small[:1] if batch else small:
        yield _alike("scene", prepare_at(scenes[0], spec, size))
    if batch:
        yield _alike("scenes", np.concatenate([prepare_at(scene, spec, small[-1]) for scene in scenes]))
    native = _native_size(scenes[0], spec, sizes)
    if native not in small:
        yield _alike("scene", prepare_at(scenes[0], spec, native))
    for file in images:
        prepared = prepare(read_pixels(file, spec), spec)
        tensor = first_window(prepared.tensor, spec)
        _require_size(file.name, tensor, sizes)
        yield _alike(file.name, tensor, prepared.steps if spec.slide is None else ())


def _embedded_inputs(plan: Plan, images: Sequence[Path]) -> Iterator[Input]:
    spec, scenes = plan.spec, find_scenes()
    for index, (height, width) in enumerate(_PICTURES):
        if plan.sizes.allows(*prepared_size(spec, height, width)):
            scene = cv2.resize(scenes[index % 2], (width, height), interpolation=cv2.INTER_AREA)
            yield _embedded_input("scene", np.asarray(scene, np.uint8), plan)
    for file in images:
        yield _embedded_input(file.name, read_image(file), plan)


def _embedded_input(name: str, image: NDArray[np.uint8], plan: Plan) -> Input:
    prepared = prepare(image, plan.spec)
    _require_size(name, prepared.tensor, plan.sizes)
    if "pre" in plan.embed:
        return Input(name, prepared.tensor, np.ascontiguousarray(image[:, :, ::-1]), prepared.steps)
    height, width = prepared.tensor.shape[2:]
    return _alike(name, prepared.tensor, (Step((height, width)),))


def _alike(name: str, tensor: NDArray[np.float32], steps: tuple[Step, ...] = ()) -> Input:
    """An input that the network and the engine are given alike."""
    return Input(name, tensor, tensor, steps)


def _require_size(name: str, tensor: NDArray[np.float32], sizes: SizeRule) -> None:
    height, width = tensor.shape[2:]
    if not sizes.allows(height, width):
        raise InputError(f"{name} becomes {height}x{width}, this network takes {sizes}")


def _untraced(sizes: SizeRule) -> list[tuple[int, int]]:
    """Small sizes at which the network was not traced, as far as it takes any."""
    traced = sizes.nearest(*TRACED)
    more = [side - least for side, least in zip(traced, TRACED, strict=True)]  # of a network that takes no small images
    return list(dict.fromkeys(sizes.nearest(height + more[0], width + more[1]) for height, width in _UNTRACED))


def _native_size(image: NDArray[Any], spec: ModelSpec, sizes: SizeRule) -> tuple[int, int]:
    """The size that the network's own preprocessing makes of an image, in the same proportions within the budget."""
    size = prepared_size(spec, *image.shape[:2]) if spec.slide is None else spec.slide.crop
    scale = min(1.0, math.sqrt(BUDGET / math.prod(size)))
    return sizes.nearest(*(int(side * scale) for side in size))


def first_window(tensor: NDArray[np.float32], spec: ModelSpec) -> NDArray[np.float32]:
    """Cut out what the network sees first of an image: all of it, or the window at the top left.

    Args:
        tensor: float32 (N, C, H, W), prepared.
        spec: What the network expects.
    """
    if spec.slide is None:
        return tensor
    return np.ascontiguousarray(tensor[:, :, : spec.slide.crop[0], : spec.slide.crop[1]])
