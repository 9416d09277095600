"""HRF: vessels in high-resolution images of the retina.

https://www5.cs.fau.de/research/data/fundus-images/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
787878 background
06e6e6 vessel
""")

LAYOUTS = {
    "hrf": Layout(
        title="HRF",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("HRFDataset",),
        image_suffix=".png",
        splits={
            "train": Split("images/training", "annotations/training"),
            "val": Split("images/validation", "annotations/validation"),
        },
    ),
}
