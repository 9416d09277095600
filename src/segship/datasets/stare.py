"""STARE: vessels in images of the retina.

https://cecas.clemson.edu/~ahoover/stare/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
787878 background
06e6e6 vessel
""")

LAYOUTS = {
    "stare": Layout(
        title="STARE",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("STAREDataset",),
        image_suffix=".png",
        label_suffix=".ah.png",
        splits={
            "train": Split("images/training", "annotations/training"),
            "val": Split("images/validation", "annotations/validation"),
        },
    ),
}
