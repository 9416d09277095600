"""REFUGE: optic cup and disc in images of the retina.

https://refuge.grand-challenge.org/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
787878 background
06e6e6 Optic Cup
383b78 Optic Disc
""")

LAYOUTS = {
    "refuge": Layout(
        title="REFUGE",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("REFUGEDataset",),
        image_suffix=".png",
        splits={
            "train": Split("images/training", "annotations/training"),
            "val": Split("images/validation", "annotations/validation"),
            "test": Split("images/test", "annotations/test"),
        },
    ),
}
