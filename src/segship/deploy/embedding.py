"""Engines that do work on images themselves: what they are able to, and their comparison with the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_args

import cv2
import numpy as np

from segship.backends import backends, find_backend
from segship.core.errors import BackendError, InputError, UnsupportedError, VerificationError
from segship.core.manifest import Check, Embedded
from segship.deploy.samples import find_scenes
from segship.vision import upsample
from segship.vision.decode import read_image
from segship.vision.preprocess import Prepared, prepare, prepared_size
from segship.vision.upsample import Step, logit_above

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from segship.core.artifacts import Engine, Session
    from segship.core.spec import ModelSpec, SizeRule
    from segship.core.target import Target

__all__ = ["Picture", "compare_pictures", "pictures", "read_embed", "require_embeddable"]

_SIZES = ((256, 512), (300, 401), (161, 225))
_UNDECIDED = 1e-5  # of the greatest logit: two classes nearer than this are equal for float32


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, and what the original network makes of it.

    Attributes:
        name: Of the image, for the record.
        rgb: uint8 (H, W, 3).
        prepared: What the network is given for it.
        logits: float32 (N, K, h, w), the original's.
    """

    name: str
    rgb: NDArray[np.uint8]
    prepared: Prepared
    logits: NDArray[np.float32]


def read_embed(parts: str | Sequence[str]) -> tuple[Embedded, ...]:
    """``"pre,post"`` or ``("pre", "post")``, checked and in that order.

    Raises:
        InputError: It is something else.
    """
    given = [part.strip() for part in parts.split(",")] if isinstance(parts, str) else list(parts)
    known = get_args(Embedded)
    if wrong := [part for part in given if part not in known]:
        raise InputError(f"embed takes pre, post or pre,post, not {', '.join(map(repr, wrong))}")
    return tuple(cast("Embedded", part) for part in known if part in given)


def require_embeddable(target: Target, spec: ModelSpec, embed: Sequence[Embedded]) -> None:
    """Check that an engine can do the work on images itself.

    Raises:
        BackendError: The engine or its precision cannot.
        UnsupportedError: The network's images or windows cannot be told in one graph.
    """
    if not embed:
        return
    if target.precision not in find_backend(target.backend).INFO.embed:
        precisions = {name: ", ".join(backend.INFO.embed) for name, backend in backends().items()}
        able = "; ".join(f"{name} in {which}" for name, which in precisions.items() if which)
        raise BackendError(f"embed is provided for {able}, not for {target}: take another target or leave it out")
    if spec.slide is not None:
        raise UnsupportedError(
            "a network that slides has as many windows as fit into the image, which one graph cannot count: leave "
            "embed out, or see the whole image with --cfg-options model.test_cfg.mode=whole"
        )
    if spec.pixels != "uint8":
        raise UnsupportedError("embed is for networks that take photographs; this one takes bands as they are stored")


def pictures(session: Session, spec: ModelSpec, sizes: SizeRule, samples: Sequence[Path]) -> list[Picture]:
    """Bundled scenes at several sizes and the user's images, with the network's logits.

    Args:
        session: The network itself.
        spec: What it expects.
        sizes: Which sizes it takes.
        samples: The user's images.

    Raises:
        InputError: The user's image becomes a size that the network does not take.
    """
    scenes = find_scenes()
    images = [("scene", _at(scenes[index % 2], size)) for index, size in enumerate(_SIZES)]
    images = [(name, image) for name, image in images if sizes.allows(*prepared_size(spec, *image.shape[:2]))]
    images += [(file.name, read_image(file)) for file in samples]
    found = []
    for name, image in images:
        prepared = prepare(image, spec)
        height, width = prepared.tensor.shape[2:]
        if not sizes.allows(height, width):
            raise InputError(f"{name} becomes {height}x{width}, this network takes {sizes}")
        logits = session.run({"image": prepared.tensor})["logits"]
        found.append(Picture(name, np.ascontiguousarray(image[:, :, ::-1]), prepared, logits))
    return found


def _at(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def compare_pictures(
    found: Iterable[Picture], session: Session, engine: Engine, spec: ModelSpec, embed: Sequence[Embedded]
) -> tuple[Check, ...]:
    """Run an engine on images whose logits are known.

    Args:
        found: The images.
        session: The opened engine.
        engine: Names its input and output.
        spec: How logits become labels.
        embed: What the engine does itself.

    Returns:
        One record for each; the logits' differences are 0 where labels leave the engine.

    Raises:
        VerificationError: The engine's output has another shape.
    """
    image, output = engine.inputs[0].name, engine.outputs[0].name
    checks = []
    for picture in found:
        tensor: Any = picture.rgb if "pre" in embed else picture.prepared.tensor
        checks.append(_check(picture, session.run({image: tensor})[output], spec, embed))
    return tuple(checks)


def _check(picture: Picture, output: NDArray[Any], spec: ModelSpec, embed: Sequence[Embedded]) -> Check:
    steps: tuple[Step, ...] = picture.prepared.steps
    if "pre" not in embed:
        height, width = picture.prepared.tensor.shape[2:]
        steps = (Step((height, width)),)
    logits, greatest = picture.logits[0], float(np.abs(picture.logits).max()) or 1.0
    expected = _decide(logits, steps, spec)
    different, mean = 0.0, 0.0
    if "post" not in embed:
        _require_shape(picture, output.shape, picture.logits.shape)
        difference = np.abs(output - picture.logits)
        different, mean = float(difference.max()) / greatest, float(difference.mean()) / greatest
        output = _decide(output[0], steps, spec)
    labels = output.reshape(output.shape[-2:])
    _require_shape(picture, labels.shape, expected.shape)
    equal = labels == expected
    equal[~equal] = _undecided(logits, steps, spec, labels, np.nonzero(~equal), _UNDECIDED * greatest)
    count = np.bincount(expected.ravel(), minlength=len(spec.classes))
    right = np.bincount(expected.ravel(), equal.ravel(), minlength=len(spec.classes))
    named = zip(spec.classes, right, count, strict=False)
    return Check(
        input=(1, 3, *picture.rgb.shape[:2]) if "pre" in embed else picture.prepared.tensor.shape,
        image=picture.name,
        labels_equal=float(equal.mean()),
        max_difference=different,
        mean_difference=mean,
        classes={name: float(good / every) for name, good, every in named if every},
    )


def _decide(logits: NDArray[np.float32], steps: tuple[Step, ...], spec: ModelSpec) -> NDArray[Any]:
    threshold = spec.threshold if spec.output == "sigmoid" else None
    return upsample.labels(logits, steps, align_corners=spec.align_corners, threshold=threshold)


def _require_shape(picture: Picture, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise VerificationError(f"for {picture.name} the engine returns {found}, expected {expected}: do not use it")


def _undecided(
    logits: NDArray[np.float32],
    steps: tuple[Step, ...],
    spec: ModelSpec,
    labels: NDArray[Any],
    where: tuple[NDArray[np.intp], ...],
    margin: float,
) -> NDArray[np.bool_]:
    """Whether the network itself is undecided, within float32 noise, between its label and the engine's."""
    rows, columns = upsample.operators(logits.shape[1:], steps, align_corners=spec.align_corners)
    y, x = where
    cells = logits[:, rows.index[y][:, :, None], columns.index[x][:, None, :]]
    values = np.einsum("cprs,pr,ps->cp", cells, rows.weight[y], columns.weight[x])
    if spec.output == "sigmoid":
        near: NDArray[np.bool_] = np.abs(values[0] - logit_above(spec.threshold)) < margin
        return near
    chosen = np.take_along_axis(values, np.minimum(labels[where], len(values) - 1).astype(np.intp)[None], 0)[0]
    undecided: NDArray[np.bool_] = values.max(0) - chosen < margin
    return undecided
