"""DRIVE: vessels in images of the retina.

https://drive.grand-challenge.org/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
787878 background
06e6e6 vessel
""")

LAYOUTS = {
    "drive": Layout(
        title="DRIVE",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("DRIVEDataset",),
        image_suffix=".png",
        label_suffix="_manual1.png",
        splits={
            "train": Split("images/training", "annotations/training"),
            "val": Split("images/validation", "annotations/validation"),
        },
    ),
}
