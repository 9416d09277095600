"""Tables of what chips returned, as the vendors' own model zoos print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segship.backends import find_backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segship.core.manifest import Manifest
    from segship.core.target import Target

__all__ = ["accuracy_table", "speed_table"]

_CHIPS = ("soc", "arch", "platform", "march", "hw_arch")
"""Options that name a chip, as the backends call them."""


def accuracy_table(packages: Sequence[Manifest]) -> str:
    """Write the table of documents about accuracy: model, batch, shape and precision -> aAcc, mIoU, mAcc.

    Args:
        packages: Those that were adopted are shown.

    Returns:
        Markdown; empty where nothing is known.
    """
    rows = []
    for manifest in packages:
        for result in manifest.adopted.results if manifest.adopted else ():
            if result.figures is None:
                continue
            found = (f"{value:.2f}" for value in (result.figures.aAcc, result.figures.mIoU, result.figures.mAcc))
            rows.append(
                (manifest.spec.architecture, result.batch, _shape(manifest), _precision(manifest.target), *found)
            )
    return _table(("Model", "Batch_Size", "Shape", "Precision", "aAcc(%)", "mIoU(%)", "mAcc"), rows)


def speed_table(packages: Sequence[Manifest]) -> str:
    """Write the table of documents about speed: chip and batch size -> FPS.

    Args:
        packages: Those that were adopted are shown.

    Returns:
        Markdown; empty where nothing is known.
    """
    rows = []
    for manifest in packages:
        for result in manifest.adopted.results if manifest.adopted else ():
            if result.images_per_second is not None:
                name, precision = manifest.spec.architecture, _precision(manifest.target)
                rows.append((name, _chip(manifest.target), precision, result.batch, f"{result.images_per_second:.2f}"))
    return _table(("Model", "Chip", "Precision", "Batch Size", "FPS"), rows)


def _shape(manifest: Manifest) -> str:
    return "x".join(map(str, manifest.inputs[0].shape[2:]))


def _chip(target: Target) -> str:
    chip = next((target.options[name] for name in _CHIPS if name in target.options), None)
    return str(chip or find_backend(target.backend).INFO.title)


def _precision(target: Target) -> str:
    names = find_backend(target.backend).INFO.precision_names
    return next((name for name, meant in names.items() if meant == target.precision), target.precision)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
