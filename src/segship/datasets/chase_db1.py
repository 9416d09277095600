"""CHASE DB1: vessels in images of the retina.

https://blogs.kingston.ac.uk/retinal/chasedb1/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
787878 background
06e6e6 vessel
""")

LAYOUTS = {
    "chase_db1": Layout(
        title="CHASE DB1",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("ChaseDB1Dataset",),
        image_suffix=".png",
        label_suffix="_1stHO.png",
        splits={
            "train": Split("images/training", "annotations/training"),
            "val": Split("images/validation", "annotations/validation"),
        },
    ),
}
