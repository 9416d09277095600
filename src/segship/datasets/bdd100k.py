"""BDD100K: driving scenes, the classes of Cityscapes.

https://www.vis.xyz/bdd100k/
"""

from __future__ import annotations

from segship.datasets.cityscapes import CLASSES, PALETTE
from segship.datasets.layout import Layout, Split

__all__ = ["LAYOUTS"]

LAYOUTS = {
    "bdd100k": Layout(
        title="BDD100K",
        classes=CLASSES,
        palette=PALETTE,
        mmseg_types=("BDD100KDataset",),
        splits={
            "train": Split("images/10k/train", "labels/sem_seg/masks/train"),
            "val": Split("images/10k/val", "labels/sem_seg/masks/val"),
        },
    ),
}
