"""LEVIR-CD: changed buildings between two aerial images.

https://chenhao.in/LEVIR/
"""

from __future__ import annotations

from segship.datasets.layout import Layout, Split, split_table

__all__ = ["LAYOUTS"]

_CLASSES, _PALETTE = split_table("""
000000 background
ffffff changed
""")

LAYOUTS = {
    "levir_cd": Layout(
        title="LEVIR-CD",
        classes=_CLASSES,
        palette=_PALETTE,
        mmseg_types=("LEVIRCDDataset",),
        image_suffix=".png",
        splits={
            "train": Split("train/A", "train/label"),
            "test": Split("test/A", "test/label"),
        },
    ),
}
