"""``segship export --kit``."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from segship.core.errors import InputError
from segship.core.kits import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from segship.core.plan import Int8
    from segship.core.target import Target
    from segship.evaluation import Data
    from segship.sources import Source

__all__ = ["KitData", "write_kit"]


@dataclass(frozen=True)
class KitData:
    """The options that name what a chip shall run.

    Attributes:
        dataset: Name and folder of a data set.
        split: Part of it.
        images: Folders or files of images, where there is no data set.
        labels: Folder of their label maps.
        limit: Take only so many.
    """

    dataset: tuple[str, Path] | None
    split: str | None
    images: Sequence[Path]
    labels: Path | None
    limit: int | None

    def require_nothing(self) -> None:
        """Refuse what is for kits alone.

        Raises:
            InputError: A data set is named.
        """
        given = {"--dataset": self.dataset, "--split": self.split, "--limit": self.limit}
        if unused := [name for name, value in given.items() if value is not None]:
            raise InputError(f"{', '.join(unused)}: of a --kit, whose images a chip runs; evaluate takes packages")

    def data(self) -> Data | None:
        """What is packed; None: scenes alone.

        Raises:
            InputError: The options contradict each other.
        """
        from segship.cli.options import find_data
        from segship.evaluation import Data

        if self.dataset is None and not self.images:
            if given := [name for name in ("split", "labels", "limit") if getattr(self, name) is not None]:
                raise InputError(
                    f"--{', --'.join(given)} of a --kit: give --dataset NAME ROOT, or --images FOLDER, too"
                )
            return None
        if len(self.images) > 1:
            raise InputError("--kit packs one folder of images: give --images once")
        images = self.images[0] if self.images else None
        if images is not None and self.labels is None and self.dataset is None:
            return Data.unlabelled(images, limit=self.limit)
        return find_data(self.dataset, self.split, images, self.labels, None, self.limit)


def write_kit(
    source: Source,
    folder: Path | None,
    target: Target,
    data: KitData,
    int8: Int8 | None,
    *,
    refused: Mapping[str, object],
) -> bool:
    """Write a kit, where one is asked for, and tell what to do with it.

    Args:
        source: The trained network.
        folder: The kit's; None: a package is asked for.
        target: Engine, precision and shape, with the vendor's options.
        data: What the chip shall run.
        int8: The calibration of int8.
        refused: Options that kits have no place for, by name, as they were given.

    Returns:
        Whether a kit was asked for.

    Raises:
        SegshipError: Something cannot be read, or options contradict each other.
    """
    if folder is None:
        data.require_nothing()
        return False
    from segship import kits
    from segship.cli import output

    if given := [name for name, value in refused.items() if value]:
        raise InputError(f"{', '.join(given)}: for packages; a --kit holds what a vendor's tools need")
    with output.stages() as progress:
        made = kits.export_kit(source, folder, target, data=data.data(), int8=int8, progress=progress)
    for note in made.manifest.notes:
        output.say(f"note: {note}")
    packed = f"{len(made.inputs)} inputs" + (
        f" of {made.images} images and the scenes" if made.images else " of scenes"
    )
    output.say(f"{folder}: {made.manifest.target}, {packed}. README.md says how to go on: convert.sh, run.sh, and")
    brought = shlex.join([str(folder), "ENGINE", "--outputs", str(folder / OUTPUTS), "OUT"])
    output.say(f"segship adopt {brought}")
    return True
